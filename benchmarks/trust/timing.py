"""Seconds a model takes: every score at 10,000 x 1,024, nine models in one call, beside its definition in NumPy."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import nrjax
from benchmarks.trust import references

REPEATS = 3


def timing(
    features: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], labels: np.ndarray,
    on_done: Callable[[str], None],
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Score to `{"compile_s", "seconds", "reference_s", "ratio", "value", "reference"}`, seconds a model.

    Ours is the median of three calls of all models, from NumPy arrays to the ranking, after a first one that
    compiles. The reference takes the first model once, right after. `all but leep and nce` is one call.
    """
    names = [name for name in nrjax.available_scores() if hasattr(references, name)]
    found = {}
    for score in names:
        options = {"scores": score, "probabilities": outputs}
        first, seconds, ranking = _ours(features, labels, options)
        reference, reads = getattr(references, score), outputs if score in ("leep", "nce") else features
        model = next(iter(features))
        start = time.perf_counter()
        value = reference(reads[model], labels)
        took = time.perf_counter() - start
        found[score] = {
            "compile_s": max(0.0, round(first - seconds * len(features), 2)), "seconds": round(seconds, 4),
            "reference_s": round(took, 3), "ratio": round(took / seconds, 1), "value": ranking.scores[model],
            "reference": float(value[0] if isinstance(value, tuple) else value),
        }  # fmt: skip
        on_done(score)
    together = [score for score in names if score not in ("leep", "nce")]
    first, seconds, _ = _ours(features, labels, {"scores": together})
    took = sum(found[score]["reference_s"] for score in together)
    found["all but leep and nce"] = {
        "compile_s": max(0.0, round(first - seconds * len(features), 2)), "seconds": round(seconds, 4),
        "reference_s": round(took, 3), "ratio": round(took / seconds, 1),
    }  # fmt: skip
    plain = _ours(features, labels, {})[1]
    sure = _ours(features, labels, {"confidence": True})[1]
    found["silhouette with confidence"] = {"seconds": round(sure, 4), "times_the_score": round(sure / plain, 2)}
    return found


def _ours(features: Mapping[str, np.ndarray], labels: np.ndarray, options: Any) -> tuple[float, float, nrjax.Ranking]:
    """Seconds of the first call, median seconds a model of the next, and the ranking."""
    times, rankings = [], []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        rankings.append(nrjax.rank_batch(features, labels, **options))
        times.append(time.perf_counter() - start)
    return times[0], float(np.median(times[1:])) / len(features), rankings[-1]
