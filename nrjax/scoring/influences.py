"""What every sample, or group of samples, adds to a score: by leaving parts out, and by halves of the samples."""

from collections.abc import Callable

import numpy as np

from nrjax.scoring.confidence import QUANTILE

PARTS = 20  # of samples left out in turn, for scores whose influences are not known in closed form
HALVES = 32  # of the samples, for scores that rare classes decide: a power of two


def influences_of_samples(values: np.ndarray) -> np.ndarray:
    """Influences of samples on the mean of their values."""
    return values - values.mean(dtype=np.float64)


def by_unit(influences: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Influences of groups from those of their samples: sums, on the scale of units that are drawn; None: as they are.

    The variance of resampled scores is sum(influences^2) / (units (units - 1)).
    """
    if groups is None:
        return influences
    sums = np.bincount(groups, influences)
    return sums * len(sums) / len(groups)


def influences_of_parts(
    without: Callable[[np.ndarray], float], strata: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Influences of parts of the samples on any score, by leaving out one part after another.

    Args:
      without: the score of the samples with these indices.
      strata: such as class ids; the parts, at most `PARTS`, have them in proportion.
      groups: of samples that stay together; None where each is its own.

    They are larger by what the t distribution of so few parts is wider than the normal one.

    Source: the delete-a-group jackknife, Kott 2001.
    """
    units = _strata_of_units(strata, groups)
    parts = min(PARTS, len(units))
    part = np.empty(len(units), int)
    part[_by_class(units)] = np.arange(len(units)) % parts
    part = part if groups is None else part[groups]
    left_out = np.array([without(np.flatnonzero(part != p)) for p in range(parts)])
    wider = 1 + (QUANTILE**2 + 1) / (4 * (parts - 1))
    return wider * (parts - 1) * (left_out.mean() - left_out)


def influences_of_halves(
    of_half: Callable[[np.ndarray], float], strata: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Influences of pairs of parts of the samples on a score, by halves.

    Args:
      of_half: the score of the samples with these indices, half of them.
      strata: class ids; the halves have the proportions of the classes.
      groups: of samples that stay together; None where each is its own.

    Source: balanced half-samples, McCarthy 1969, doi:10.2307/1402260.
    """
    units = _strata_of_units(strata, groups)
    places = np.arange(len(units) // 2 * 2)  # neighbours are of one class, and only one of the two is in a half
    by_class = _by_class(units)[places]
    signs = _hadamard(HALVES)[:, 1:]  # orthogonal columns: one for each pair of parts
    pairs = signs.shape[1]
    halves = [np.sort(by_class[(row[places // 2 % pairs] > 0) == (places % 2 > 0)]) for row in signs]
    halves = halves if groups is None else [np.flatnonzero(np.isin(groups, half)) for half in halves]
    slopes = signs.T @ np.array([of_half(half) for half in halves]) / HALVES
    return slopes * np.sqrt(pairs * (pairs - 1))


def _strata_of_units(strata: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Of every sample, or the most frequent of every group's."""
    if groups is None:
        return strata
    counts = np.zeros((groups.max() + 1, strata.max() + 1), int)
    np.add.at(counts, (groups, strata), 1)
    return counts.argmax(axis=1)


def _by_class(ids: np.ndarray) -> np.ndarray:
    """Indices of the samples, class after class, at random within a class."""
    shuffled = np.random.default_rng(0).permutation(len(ids))
    return shuffled[np.argsort(ids[shuffled], kind="stable")]


def _hadamard(rows: int) -> np.ndarray:
    """A matrix of 1 and -1 with orthogonal columns, the first of them ones; of a power of two rows."""
    matrix = np.ones((1, 1))
    while len(matrix) < rows:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix
