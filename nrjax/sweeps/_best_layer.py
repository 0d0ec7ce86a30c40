"""From what came out for the layers of every model to a ranking: each model by the layer that scores best."""

from collections.abc import Mapping
from typing import Any

from nrjax.results import Ranking
from nrjax.scoring.build_ranking import build_ranking, split_failed
from nrjax.scoring.model_scores import ModelScores, Request
from nrjax.sweeps._jobs import CandidateResult
from nrjax.targets import Target

RAW = ("input", "0")  # the samples themselves, which say nothing of a model


def best_of(
    found: Mapping[str, CandidateResult], request: Request
) -> tuple[dict[str, ModelScores], dict[str, str], dict[str, dict[str, Any]]]:
    """Of every model the layer that scores best, or why none does, and the scores of all its layers."""
    by, sign = request.by.name, request.by.sign
    evaluated, failed = split_failed(
        {(name, layer): one for name, done in found.items() for layer, one in done.layers.items()}, request
    )
    scores: dict[str, dict[str, float]] = {name: {} for name in found}
    reasons: dict[str, dict[str, list[str]]] = {name: {} for name in found}
    for (name, layer), one in evaluated.items():
        scores[name][layer] = one.values[by]
    for (name, layer), reason in failed.items():
        reasons[name].setdefault(reason, []).append(layer)
    best, told = {}, {}
    for name, of_layers in scores.items():
        if of_layers:
            of_the_model = {layer: value for layer, value in of_layers.items() if layer not in RAW} or of_layers
            layer = max(of_the_model, key=lambda layer: sign * of_the_model[layer])
            best[name] = evaluated[name, layer]
            told[name] = {"layer": layer, "layers": of_layers}
    lost = {
        name: found[name].reason
        or " ".join(why if len(why_of) == 1 else f"{', '.join(of)}: {why}" for why, of in why_of.items())
        for name, why_of in reasons.items() if name not in best
    }  # fmt: skip
    return best, lost, told


def ranking_of(
    found: Mapping[str, CandidateResult],
    request: Request,
    made_with: Mapping[str, Any],
    target: Target,
    several: bool,
) -> Ranking:
    """The ranking of models; `several` layers of each were asked for."""
    best, lost, told = best_of(found, request)
    return build_ranking(list(found), best, lost, request, made_with, target, told if several else None)
