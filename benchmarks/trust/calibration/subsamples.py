"""How often 90 % statements hold: small targets drawn from a larger one, and what became of each statement."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import nrjax

SIZES = (200, 500, 1000)
BY = ("silhouette", "probe")
BINS = ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01))  # of P(best)


def calibration(
    targets: Mapping[str, tuple[Mapping[str, np.ndarray], np.ndarray]], draws: int, on_done: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row per target, score and size.

    The truth of a statement about the silhouette is the larger target's own score. An accuracy depends on how
    many samples there are to learn from, so the truth about the probe is its mean over the draws.

    Args:
      targets: name to features by model and labels, of the larger targets.
      draws: small targets of each size.
      on_done: told each row.
    """
    rows = []
    for target, (features, labels) in targets.items():
        for by in BY:
            for size in SIZES:
                rows.append({"target": target, "score": by, "samples": size} | _row(features, labels, by, size, draws))
                on_done(f"{by} of {size} samples of {target}")
    return rows


def _row(features: Mapping[str, np.ndarray], labels: np.ndarray, by: str, size: int, draws: int) -> dict[str, Any]:
    rng, rankings = np.random.default_rng(0), []
    for _ in range(draws):
        chosen = rng.choice(len(labels), size, replace=False)
        models = {name: array[chosen] for name, array in features.items()}
        rankings.append(nrjax.rank_batch(models, labels[chosen], scores=by, confidence=True))
    if by == "silhouette":
        truth = nrjax.rank_batch(features, labels).scores
    else:
        truth = {name: float(np.mean([ranking.scores[name] for ranking in rankings])) for name in features}
    best = max(truth, key=truth.__getitem__)
    inside, apart, shares = [], [], {of: [] for of in BINS}
    for ranking in rankings:
        models = [model for model in ranking.models if model.rank is not None]
        for i, model in enumerate(models):
            assert model.interval is not None
            assert model.p_first is not None
            assert model.group is not None
            inside.append(model.interval[0] <= truth[model.name] <= model.interval[1])
            for of in BINS:
                if of[0] <= model.p_first < of[1]:
                    shares[of].append((model.p_first, model.name == best))
            leader = next((m for m in models[:i] if m.group == model.group - 1), None)
            if leader is not None and models[i - 1].group != model.group:  # the first of a new group
                apart.append(truth[leader.name] > truth[model.name])
    return {
        "intervals_hold": round(float(np.mean(inside)), 3),
        "models_told_apart_in_the_right_order": round(float(np.mean(apart)), 3) if apart else None,
        "p_first": {
            f"{low:g} to {min(high, 1):g}": {
                "said": round(float(np.mean([p for p, _ in seen])), 3),
                "came_true": round(float(np.mean([hit for _, hit in seen])), 3),
                "statements": len(seen),
            }
            for (low, high), seen in shares.items() if seen
        },
    }  # fmt: skip
