"""What every sample, or group, adds to a score, by the way that suits the score and the number of samples."""

import numpy as np

from nrjax._utils.arrays import Array
from nrjax.kernels.error_bounds import Estimate
from nrjax.scoring.estimates import estimate_scores
from nrjax.scoring.influences import (
    by_unit,
    influences_of_halves,
    influences_of_parts,
    influences_of_samples,
)
from nrjax.scoring.score_kind import ScoreKind
from nrjax.targets import Target

FEW = 1000  # samples: what fewer teach each other is seen by parts or halves of them, where it is not known
FEW_OF_CLASS = 20  # samples: half of them may be none of more than a few


def score_influences(kind: ScoreKind, array: Array, estimate: Estimate, target: Target) -> np.ndarray:
    """Of samples, or of groups where there are any, or of parts of them.

    Of accuracies it is known how much samples teach each other. Of other scores parts of the samples say it, of
    scores that rare classes decide halves. Where there are many samples it hardly counts.

    Args:
      kind: the score.
      array: features `[samples, dims]`.
      estimate: the score of all samples.
      target: their labels.
    """

    def score_of(chosen: np.ndarray) -> float:
        estimates = estimate_scores([array[chosen]], target.take(chosen), (kind,))
        return float(np.mean(estimates[0, kind].value, dtype=np.float64))

    value = np.asarray(estimate.value)
    of_samples = influences_of_samples(value) if value.ndim else estimate.influences
    samples, strata = target.independent, target.strata
    if kind.rarest_decides:
        samples, strata = min(samples, target.n_classes * int(target.counts.min())), _drawn_freely(target)
    known = kind.teaching is not None and target.task == "classification"
    if of_samples is None or (samples < FEW and not known):
        return influences_of_parts(score_of, strata, target.groups)
    if samples < FEW and kind.rarest_decides:
        return influences_of_halves(score_of, strata, target.groups)
    of_units = by_unit(np.asarray(of_samples, np.float64), target.groups)
    if kind.teaching is None or kind.chance is None:
        return of_units
    error = (1 - float(np.mean(value, dtype=np.float64))) / (1 - kind.chance(target.counts / len(target)))
    return of_units * np.sqrt(kind.teaching(min(error, 1.0), samples))


def _drawn_freely(target: Target) -> np.ndarray:
    """Strata of draws that change the classes' shares, as other samples would: one for all samples.

    A probe of classes of different sizes decides for the rare one the less, the rarer it is among the samples at
    hand, so that balanced scores move with that share. Of very few samples of a class draws keep the shares.
    """
    return np.zeros_like(target.strata) if target.counts.min() >= FEW_OF_CLASS else target.strata
