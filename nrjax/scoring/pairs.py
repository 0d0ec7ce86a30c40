"""Whether features are those of two texts, as models of single texts give them for a pair."""

import numpy as np

from nrjax._utils.arrays import Array

PARTS = 4
CHECKED_ROWS = 256
OFF = 4  # roundings of the largest number of a row
NO_HALVES = (
    "it compares two vectors a pair, features [u, v, |u - v|, u v], and these are not such features: a model that "
    "takes both texts at once has no vector of each. Take probe or knn, or an encoder of texts"
)


def not_in_four(samples: int, dims: int, counts: np.ndarray) -> str | None:
    """Why features of this width are not those of two texts."""
    return NO_HALVES if dims % PARTS else None


def without_halves(features: Array) -> str | None:
    """Why features are not `[u, v, abs(u - v), u * v]`, told by some of their rows; None where they are."""
    rows = np.asarray(features[:: max(1, len(features) // CHECKED_ROWS)])
    first, second, apart, product = np.split(rows, PARTS, axis=1)
    eps = OFF * float(np.finfo(rows.dtype).eps)
    size = np.maximum(np.abs(first), np.abs(second)).max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        is_such = (np.abs(apart - np.abs(first - second)) <= eps * size).all()
        is_such &= (np.abs(product - first * second) <= eps * size * size).all()
    return None if is_such else NO_HALVES
