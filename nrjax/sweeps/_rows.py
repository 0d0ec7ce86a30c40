"""The scores of a layer as rows of the store, one for each score, and back to the last digit."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.scoring.model_scores import ModelScores

LAYER = "layer"  # stands for a score in the row of a layer as a whole


def parts_of(
    scores: ModelScores | str, settings: Mapping[str, str], layers: int
) -> Iterator[tuple[str, str, bytes | None]]:
    """Score, outcome as JSON (whose numbers are read as they were), and the influences of samples on it.

    `layers` is how many the model has: a row of a layer that is lost is missed.
    """
    if isinstance(scores, str):
        yield LAYER, json.dumps({"reason": scores, "layers": layers}), None
        return
    yield LAYER, json.dumps({"dims": scores.dims, "layers": layers}), None
    for name in settings:
        if name in scores.raised:  # perhaps not the next time
            continue
        outcome: dict[str, Any] = {
            "value": scores.values.get(name), "missing": scores.missing.get(name),
            "uncertain": scores.uncertain.get(name), "confused": scores.confused.get(name),
            "by_class": scores.by_class[name].tolist() if name in scores.by_class else None,
        }  # fmt: skip
        if name == "silhouette":
            outcome |= {"n_components": scores.n_components, "solver": scores.solver}
        influences = scores.influences.get(name)
        if influences is not None:
            outcome |= {"bias": scores.bias if name == "silhouette" else 0.0, "hits": scores.hits.get(name)}
        blob = None if influences is None else np.asarray(influences, np.float64).tobytes()
        yield name, json.dumps({key: value for key, value in outcome.items() if value is not None}), blob


def layers_beside(parts: Mapping[str, tuple[str, bytes | None]]) -> int:
    """How many layers of the model were written with this one, as far as it says so."""
    return json.loads(parts[LAYER][0]).get("layers", 0) if LAYER in parts else 0


def whole(
    parts: Mapping[str, tuple[str, bytes | None]], names: Iterable[str], with_influences: Sequence[str]
) -> ModelScores | str | None:
    """A layer of its parts; None where one is not there."""
    if LAYER not in parts:
        return None
    layer = json.loads(parts[LAYER][0])
    if "reason" in layer:
        return str(layer["reason"])
    scores = ModelScores(layer["dims"])
    for name in names:
        if name not in parts:
            return None
        outcome, influences = json.loads(parts[name][0]), parts[name][1]
        if name in with_influences and influences is None and "value" in outcome:
            return None
        for key, values in (
            ("value", scores.values), ("missing", scores.missing), ("uncertain", scores.uncertain),
        ):  # fmt: skip
            if key in outcome:
                values[name] = outcome[key]
        if "confused" in outcome:
            scores.confused[name] = [tuple(pair) for pair in outcome["confused"]]
        if "by_class" in outcome:
            scores.by_class[name] = np.array(outcome["by_class"])
        if name == "silhouette":
            scores.n_components, scores.solver = outcome.get("n_components"), outcome.get("solver")
        if influences is not None and name in with_influences:
            scores.influences[name] = np.frombuffer(influences, np.float64)
            scores.bias = outcome["bias"] if name == "silhouette" else scores.bias
            if "hits" in outcome:
                scores.hits[name] = tuple(outcome["hits"])
    return scores
