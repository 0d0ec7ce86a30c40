"""A race: who cannot reach the first places any more stops, after few samples already.

After every round, on the first n of N samples,

    d_ij = (s_i - b_i) - (s_j - b_j),    b = bias (1 - n / N),
    var d_ij = (1 - n / N) sum_u (a_iu - a_ju)^2 / (n (n - 1)),

a being the influences of the samples on the scores: the samples that are still to come are the same for all models, so
what models have in common cancels, and nothing is left to chance once all samples are there. A model is dropped when
at least `top` others are above it by more than z standard deviations, z being the normal quantile of the error that is
allowed, divided over rounds and models. Scores are computed to within an error; what lies within that of two scores
is no difference.
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from nrjax.scoring.model_scores import ModelScores

FIRST, PER_CLASS = 400, 20  # samples of the first round: so many, and so many of each class on average
LEVEL = 0.99
CERTAIN = 1000.0  # standard deviations: there are none between scores that no sample can change


def round_sizes(samples: int, classes: int) -> list[int]:
    """Samples of each round: doubled until they are all."""
    sizes, size = [], max(FIRST, PER_CLASS * classes)
    while size <= samples / 2:
        sizes.append(size)
        size *= 2
    return [*sizes, samples]


class Standing(NamedTuple):
    """A model that was dropped.

    Attributes:
      samples: after how many.
      score: that it had then.
      behind: how far it was behind the last model that stayed ahead of it, and by how many standard deviations.
      ahead: name of that one.
    """

    samples: int
    score: float
    behind: tuple[float, float]
    ahead: str


def dropped(
    models: Mapping[str, ModelScores], by: str, sign: int, *, samples: int, total: int, top: int, level: float,
    comparisons: int, error: float = 0.0,
) -> dict[str, Standing]:  # fmt: skip
    """Models that will not be among the first `top` on all samples.

    Args:
      models: models of which influences are known.
      by: the score.
      sign: of its direction.
      samples: that they were scored on.
      total: samples there are.
      top: how many are wanted.
      level: probability that no model is dropped wrongly, over all comparisons.
      comparisons: of a whole race: rounds and models.
      error: by which a score may be off, however many samples there are.
    """
    names = [name for name, model in models.items() if np.isfinite(model.influences.get(by, np.nan)).all()]
    if len(names) <= top:
        return {}
    missing = 1 - samples / total
    scores = np.array([sign * (models[name].values[by] - missing * models[name].bias) for name in names])
    influences = np.stack([models[name].influences[by] for name in names]).astype(np.float64)
    deviations = np.sqrt(missing * _distances(influences) / (influences.shape[1] * (influences.shape[1] - 1)))
    ahead = scores[None, :] - scores[:, None]  # of j before i
    surplus = ahead - 2 * error
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(surplus > 0, np.minimum(surplus / deviations, CERTAIN), 0.0)
    enough = NormalDist().inv_cdf(1 - (1 - level) / comparisons)
    stopped = {}
    for i, name in enumerate(names):
        better = np.flatnonzero(times[i] > enough)
        if len(better) >= top:
            last = better[np.argsort(-scores[better], kind="stable")[top - 1]]
            behind = float(ahead[i, last]), float(times[i, last])
            stopped[name] = Standing(samples, models[name].values[by], behind, names[last])
    return stopped


def _distances(rows: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs of rows."""
    products = rows @ rows.T
    sizes = np.diag(products)
    return np.maximum(sizes[:, None] + sizes[None, :] - 2 * products, 0)
