"""What came out for a layer as rows of the store, one for each score, and back to the last digit."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.scoring.model_scores import ModelScores

LAYER = "layer"  # stands for a score in what is said of a layer as a whole


def parts_of(
    one: ModelScores | str, settings: Mapping[str, str], layers: int
) -> Iterator[tuple[str, str, bytes | None]]:
    """Score, what came out as JSON (whose numbers are read as they were), and the influences of samples on it.

    `layers` is how many the model has: a row of a layer that is lost is missed.
    """
    if isinstance(one, str):
        yield LAYER, json.dumps({"reason": one, "layers": layers}), None
        return
    yield LAYER, json.dumps({"dims": one.dims, "layers": layers}), None
    for score in settings:
        if score in one.raised:  # perhaps not the next time
            continue
        said: dict[str, Any] = {
            "value": one.values.get(score), "missing": one.missing.get(score), "uncertain": one.uncertain.get(score),
            "by_class": one.by_class[score].tolist() if score in one.by_class else None,
            "confused": one.confused.get(score),
        }  # fmt: skip
        if score == "silhouette":
            said |= {"n_components": one.n_components, "solver": one.solver}
        influences = one.influences.get(score)
        if influences is not None:
            said["bias"] = one.bias if score == "silhouette" else 0.0
        blob = None if influences is None else np.asarray(influences, np.float64).tobytes()
        yield score, json.dumps({key: value for key, value in said.items() if value is not None}), blob


def layers_beside(parts: Mapping[str, tuple[str, bytes | None]]) -> int:
    """How many layers of the model were written with this one, as far as it says so."""
    return json.loads(parts[LAYER][0]).get("layers", 0) if LAYER in parts else 0


def whole(
    parts: Mapping[str, tuple[str, bytes | None]], scores: Iterable[str], sampled: Sequence[str]
) -> ModelScores | str | None:
    """A layer of its parts; None where one is not there."""
    if LAYER not in parts:
        return None
    said = json.loads(parts[LAYER][0])
    if "reason" in said:
        return str(said["reason"])
    one = ModelScores(said["dims"])
    for score in scores:
        if score not in parts:
            return None
        found, influences = json.loads(parts[score][0]), parts[score][1]
        if score in sampled and influences is None and "value" in found:
            return None
        for field in ("values", "missing", "uncertain", "confused"):
            key = field.removesuffix("s")
            if key in found:
                getattr(one, field)[score] = found[key]
        if "confused" in found:
            one.confused[score] = [tuple(pair) for pair in found["confused"]]
        if "by_class" in found:
            one.by_class[score] = np.array(found["by_class"])
        if score == "silhouette":
            one.n_components, one.solver = found.get("n_components"), found.get("solver")
        if influences is not None and score in sampled:
            one.influences[score] = np.frombuffer(influences, np.float64)
            one.bias = found["bias"] if score == "silhouette" else one.bias
    return one
