"""Whether a choice can be believed: how good a retrained head will be, as far as a linear probe knows.

The accuracy on many other samples of a head that is trained on model i's layer, from the probe's accuracy p_i:

    a_i = b + slope (p_i - e_i) + d_i        d_i ~ N(0, scale^2 p_i (1 - p_i))

e_i is what the samples at hand add to p_i by chance, resampled, alike for models that err on the same samples; d_i is
what training with cross-entropy makes of a layer and ridge regression does not; b is the same for all models. The
constants are those that fit `benchmarks/trust` (`python -m benchmarks.trust --parts agreement`), which also says how
often such statements held on data and candidates that they had not been fitted to.
"""

from typing import NamedTuple

import numpy as np

from nrjax.scoring.confidence import resampled

POINT = 0.01  # of accuracy: heads that close are as good as each other


class Discrepancy(NamedTuple):
    """How the accuracies of retrained heads follow those of the probe."""

    slope: float
    scale: float


FITTED = Discrepancy(0.87, 0.043)


def spread(accuracies: np.ndarray, found: Discrepancy) -> np.ndarray:
    """Standard deviation of `d_i`."""
    return found.scale * np.sqrt(accuracies * (1 - accuracies))


def p_near_best(accuracies: np.ndarray, influences: np.ndarray, found: Discrepancy = FITTED) -> np.ndarray:
    """Probability of every model that its retrained head is within a point of accuracy of the best model's.

    Args:
      accuracies: `[models]`, of the probe.
      influences: `[models, units]`, on them, units being samples or groups of them.
      found: how heads follow the probe.
    """
    drawn = found.slope * resampled(accuracies, influences)
    discrepancies = np.random.default_rng(0).normal(size=drawn.shape)
    drawn += discrepancies * spread(accuracies, found)
    return np.mean(drawn >= drawn.max(axis=1, keepdims=True) - POINT, axis=0)
