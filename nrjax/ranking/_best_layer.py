"""Of every model the layer that scores best."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nrjax.ranking._jobs import CandidateResult
from nrjax.scoring.build_ranking import split_failed
from nrjax.scoring.model_scores import ModelScores, Request

RAW = ("input", "0")  # the samples themselves, which say nothing of a model


class BestLayers(NamedTuple):
    """The best layer of every model.

    Attributes:
      scores: of that layer, by model.
      failed: why a model has none, by model.
      layers: that layer and the scores of all layers, as fields of `ScoredModel`, by model.
    """

    scores: dict[str, ModelScores]
    failed: dict[str, str]
    layers: dict[str, dict[str, Any]]


def best_layers(results: Mapping[str, CandidateResult], request: Request) -> BestLayers:
    """Chooses among the layers of every model by the score that orders; the input only where there is no other."""
    by, sign = request.by.name, request.by.sign
    scored, failed = split_failed(
        {(name, layer): scores for name, result in results.items() for layer, scores in result.layers.items()}, request
    )
    best = BestLayers({}, {}, {})
    for name, result in results.items():
        values = {layer: scored[name, layer].values[by] for layer in result.layers if (name, layer) in scored}
        if values:
            of_the_model = {layer: value for layer, value in values.items() if layer not in RAW} or values
            layer = max(of_the_model, key=lambda layer: sign * of_the_model[layer])
            best.scores[name] = scored[name, layer]
            best.layers[name] = {"layer": layer, "layers": values}
        else:
            reasons = {layer: failed[name, layer] for layer in result.layers if (name, layer) in failed}
            best.failed[name] = result.reason or _reason(reasons)
    return best


def _reason(reasons: Mapping[str, str]) -> str:
    """Every reason once, with the layers it holds for where there are several reasons."""
    layers: dict[str, list[str]] = {}
    for layer, reason in reasons.items():
        layers.setdefault(reason, []).append(layer)
    if len(layers) == 1:
        return next(iter(layers))
    return " ".join(f"{', '.join(names)}: {reason}" for reason, names in layers.items())
