"""Samples that are there twice: leaving one out then leaves its twin in, and whoever remembers is right."""

import jax.numpy as jnp
import numpy as np

from nrjax._utils.arrays import Array
from nrjax.kernels.linalg import matmul

MOST_TWINS = 0.01  # of the samples
SAME = 1e-5  # of the largest value of column and row: copies that came in other batches differ by less
CELLS = 1e4  # of a projection's spread: rows in one are compared


def share_of_twins(features: Array) -> float:
    """Share of the samples that have an equal other, in proportion to the columns' sizes; 0 up to `MOST_TWINS`.

    Two random projections put equal rows into one cell; rows of a cell are then compared with its first.
    """
    largest = np.asarray(features.max(axis=0)), -np.asarray(features.min(axis=0))
    scale = np.maximum(*largest)
    scale = np.where(scale > np.finfo(np.float32).tiny, scale, 1)
    directions = (np.random.default_rng(0).normal(size=(len(scale), 2)) / scale[:, None]).astype(features.dtype)
    on_host = isinstance(features, np.ndarray)
    points = features @ directions if on_host else np.asarray(matmul(features, jnp.asarray(directions)))
    spread = points.std(axis=0, dtype=np.float64)
    if not (np.isfinite(spread) & (spread > 0)).all():
        return 0.0  # of features that do not vary it is said already
    cells = np.rint(points / spread * CELLS)
    order = np.lexsort(cells.T)
    starts = np.flatnonzero(np.r_[True, (cells[order][1:] != cells[order][:-1]).any(axis=1)])
    sizes = np.diff(np.r_[starts, len(cells)])
    shared = np.repeat(sizes > 1, sizes)
    if shared.mean() <= MOST_TWINS:
        return 0.0
    first = np.repeat(order[starts], sizes)
    own, other, rows = order[shared], first[shared], np.asarray(features)
    size = np.minimum(scale, np.abs(rows[own]).max(axis=1, keepdims=True))  # of one sample far out the others' are none
    same = (np.abs(rows[own] - rows[other]) <= SAME * size).all(axis=1) & (own != other)
    with_twin = np.unique(np.r_[own[same], other[same]])
    share = len(with_twin) / len(rows)
    return share if share > MOST_TWINS else 0.0


def doubt_of_twins(features: Array) -> str | None:
    """What there is to say of a score that leaves one sample out."""
    share = share_of_twins(features)
    return (
        f"{100 * share:.1f} % of the samples have a twin, an equal row, that stays when one is left out: groups= of "
        "equal samples leaves it out, too"
    ) if share else None  # fmt: skip
