"""Silhouettes by class sums in float64 NumPy, for one set of points of which every sample counts once.

The closed form of `kernels.silhouette`. On a CPU it takes as long as the compiled one where samples x classes are few,
and there is nothing to compile, which would take 0.3 s.
"""

from typing import NamedTuple

import numpy as np

from nrjax.kernels import ScoreSettings
from nrjax.scoring.displacement import displaced


class PointSilhouettes(NamedTuple):
    """Of every sample.

    Attributes:
      values: in [-1, 1].
      rounding: how far rounding may move each.
    """

    values: np.ndarray
    rounding: np.ndarray


def silhouettes_of_points(
    points: np.ndarray, members: np.ndarray, ids: np.ndarray, distance: str, point_rounding: float
) -> PointSilhouettes:
    """Silhouettes, and their rounding.

    Args:
      points: `[samples, components]` in float64.
      members: `[samples, classes]`, 1 where a sample is of a class.
      ids: `[samples]`, the class of every sample.
      distance: `cosine` or `sqeuclidean`.
      point_rounding: relative rounding of the points as they came.
    """
    counts, eps, every = members.sum(axis=0), np.finfo(np.float64).eps, np.arange(len(points))
    points = points / (np.abs(points).max(initial=0) or 1)  # squares could overflow
    vectors, is_zero = _units(points) if distance == "cosine" else (points, np.zeros(len(points)))
    length = 1 if distance == "cosine" else np.linalg.norm(vectors, axis=1)
    vectors = vectors - vectors.mean(axis=0)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    columns = np.concatenate([vectors, squares[:, None], is_zero[:, None]], axis=1)
    means = (members.T @ columns) / np.maximum(counts, 1)[:, None]
    means += (members.T @ (columns - means[ids])) / np.maximum(counts, 1)[:, None]  # see `kernels.distances`
    both = squares[:, None] + means[:, -2]
    mean_distances = both - 2 * (vectors @ means[:, :-2].T)
    mean_distances[mean_distances <= 4 * eps * both] = 0
    rounding = 4 * eps * (squares + means[:, -2].max())
    if distance == "cosine":
        mean_distances = (mean_distances + is_zero[:, None] + means[:, -1]) / 2
    size = counts[ids]
    # The closed form puts a zero vector at distance 1 from itself.
    a = (mean_distances[every, ids] * size - is_zero) / np.maximum(size - 1, 1)
    mean_distances[every, ids] = np.inf
    mean_distances[:, counts == 0] = np.inf
    b = mean_distances.min(axis=1)
    larger, counted = np.maximum(a, b), size > 1
    defined = counted & (larger > 0)
    divisor = np.where(defined, larger, 1)
    error = np.minimum(4 * point_rounding * (1 + length / np.sqrt(divisor)) + rounding / divisor, 2)
    # Equal points in float32 may differ in float64.
    may_differ = counted & (larger <= 0) & (is_zero == 0) & (point_rounding > 1e-10)
    return PointSilhouettes(np.where(defined, (b - a) / divisor, 0), np.where(defined, error, may_differ))


def _units(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows scaled to length 1, and 1 where a row is zero. Each row is divided by its largest entry first."""
    extent = np.abs(points).max(axis=1, keepdims=True)
    scaled = points / np.where(extent > 0, extent, 1)
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return scaled / np.where(norms > 0, norms, 1), (extent[:, 0] == 0).astype(np.float64)


def evaluate(
    images: np.ndarray, ids: np.ndarray, n_classes: int, settings: ScoreSettings
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The fields of `silhouette_programs.Silhouettes`."""
    points = images[:, : settings.n_components].astype(np.float64)
    members = _members(ids, n_classes)
    eps = float(np.finfo(images.dtype).eps)
    values, rounding = silhouettes_of_points(points, members, ids, settings.distance, eps)
    by_class = (members.T @ values) / np.maximum(members.sum(axis=0), 1)
    return values.mean(), by_class, rounding.mean(), np.abs(points).max(axis=1).min()


def largest_move(
    images: np.ndarray, ids: np.ndarray, n_classes: int, settings: ScoreSettings, tangents: np.ndarray,
    noise: np.ndarray,
) -> float:  # fmt: skip
    """How far the score moves at most when its points are displaced; see `displaced`."""
    members, eps = _members(ids, n_classes), float(np.finfo(np.float64).eps)
    scores = [
        silhouettes_of_points(points, members, ids, settings.distance, eps).values.mean()
        for points in displaced(np, images.astype(np.float64), tangents, noise)
    ]
    return max(abs(score - scores[0]) for score in scores)


def _members(ids: np.ndarray, n_classes: int) -> np.ndarray:
    """`[samples, classes]`, 1 where a sample is of a class."""
    return (ids[:, None] == np.arange(n_classes)).astype(np.float64)
