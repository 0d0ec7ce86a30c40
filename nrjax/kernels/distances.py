"""Mean distances from samples to classes, by class sums or from all pairs."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.linalg import matmul, one_hot, or_one, root, total, units

Distance = Literal["cosine", "euclidean", "sqeuclidean"]
LINEAR_ENTRIES = 1 << 22  # samples x classes held at once


class Points(NamedTuple):
    """Samples in the form that the distances need; `[rows, ...]`, or in blocks `[blocks, rows, ...]`."""

    vectors: Float[Array, "*rows dims"]  # of unit length for cosine
    is_zero: Float[Array, "*rows"]  # 1 for a zero vector under cosine distance
    labels: Int[Array, "*rows"]
    weights: Float[Array, "*rows"]  # 0 for padding
    position: Int[Array, "*rows"]


class Classes(NamedTuple):
    """Counts and means of every class. `shift` was subtracted from all vectors."""

    counts: Float[Array, " classes"]
    means: Float[Array, "classes dims"]
    mean_squares: Float[Array, " classes"]
    zero_shares: Float[Array, " classes"]  # share of zero vectors
    shift: Float[Array, " dims"]


def class_sums(
    columns: Float[Array, "samples width"], labels: Int[Array, " samples"], n_classes: int, axis_name: str | None
) -> Float[Array, "classes width"]:
    """Sums of columns over the samples of every class: products with one-hot labels, so many rows at a time."""
    samples, rows = len(columns), max(1, LINEAR_ENTRIES // n_classes)
    if samples <= rows:
        return total(matmul(one_hot(labels, n_classes, columns.dtype).T, columns), axis_name)
    blocks = -(-samples // rows)
    padding = (0, blocks * rows - samples)
    columns = jnp.pad(columns, (padding, (0, 0))).reshape(blocks, rows, -1)  # rows of zeros add nothing
    labels = jnp.pad(labels, padding).reshape(blocks, rows)

    def add(sums, block):
        return sums + matmul(one_hot(block[1], n_classes, sums.dtype).T, block[0]), None

    start = jnp.zeros((n_classes, columns.shape[-1]), columns.dtype)
    return total(lax.scan(add, start, (columns, labels))[0], axis_name)


def class_means(points: Points, shift: Float[Array, " dims"], n_classes: int, axis_name: str | None) -> Classes:
    """Counts, means and mean squares of every class, by products with one-hot labels.

    Sums of thousands of equal terms are off by many roundings. The mean of what is left after the mean is taken off
    corrects that.
    """
    squares = jnp.sum(points.vectors * points.vectors, axis=1, keepdims=True)
    columns = jnp.concatenate([points.vectors, squares, points.is_zero[:, None], jnp.ones_like(squares)], axis=1)
    sums = class_sums(columns * points.weights[:, None], points.labels, n_classes, axis_name)
    counts = sums[:, -1]
    means = lax.stop_gradient(sums[:, :-1] / or_one(counts)[:, None])
    left = (columns[:, :-1] - means[points.labels]) * points.weights[:, None]
    means += class_sums(left, points.labels, n_classes, axis_name) / or_one(counts)[:, None]
    return Classes(counts, means[:, :-2], means[:, -2], means[:, -1], shift)


def distances_by_class_sums(
    points: Points, classes: Classes, distance: Distance
) -> tuple[Float[Array, "rows classes"], Float[Array, " rows"]]:
    """Mean distance to the members of every class, itself included, and the rounding error of the differences."""
    own = jnp.sum(points.vectors * points.vectors, axis=1, keepdims=True)
    eps = jnp.finfo(own.dtype).eps
    squares = own + classes.mean_squares
    mean_distances = squares - 2 * matmul(points.vectors, classes.means.T)
    mean_distances = jnp.where(mean_distances > 4 * eps * squares, mean_distances, 0)
    rounding = 4 * eps * (own[:, 0] + jnp.max(classes.mean_squares))
    if distance == "cosine":
        mean_distances = (mean_distances + points.is_zero[:, None] + classes.zero_shares) / 2
    return mean_distances, rounding


def distances_by_pairs(
    rows: Points, blocks: Points, n_classes: int, distance: Distance
) -> Float[Array, "rows classes"]:
    """Mean distance to the members of every class, itself included as 0, from all pairs, block after block."""

    @jax.checkpoint
    def add(sums_and_counts, others: Points):
        distances = pairwise_distances(rows, others, distance)
        distances = jnp.where(rows.position[:, None] == others.position, 0, distances)
        indicators = one_hot(others.labels, n_classes, distances.dtype) * others.weights[:, None]
        sums, counts = sums_and_counts
        return (sums + matmul(distances, indicators), counts + jnp.sum(indicators, axis=0)), None

    dtype = rows.vectors.dtype
    start = jnp.zeros((len(rows.labels), n_classes), dtype), jnp.zeros(n_classes, dtype)
    (sums, counts), _ = lax.scan(add, start, blocks)
    return sums / or_one(counts)


def pairwise_distances(rows: Points, others: Points, distance: Distance) -> Float[Array, "rows others"]:
    """Distance of every row of `rows` to every row of `others`; differences are squared, so nothing cancels."""
    differences = rows.vectors[:, None] - others.vectors
    squared = jnp.sum(differences * differences, axis=-1)
    if distance == "cosine":
        return (squared + rows.is_zero[:, None] + others.is_zero) / 2
    return squared if distance == "sqeuclidean" else root(squared)


def centroids_of(
    points: Float[Array, "samples dims"], labels: Int[Array, " samples"], weights: Float[Array, " samples"],
    n_classes: int, distance: Distance, axis_name: str | None,
) -> Points:  # fmt: skip
    """Mean point of every class, in the form that distances need."""
    columns = jnp.concatenate([points, jnp.ones_like(points[:, :1])], axis=1)
    sums = class_sums(columns * weights[:, None], labels, n_classes, axis_name)
    means = sums[:, :-1] / or_one(sums[:, -1:])
    means, is_zero = units(means) if distance == "cosine" else (means, jnp.zeros(n_classes, points.dtype))
    return Points(means, is_zero, jnp.arange(n_classes), jnp.ones(n_classes, points.dtype), jnp.arange(n_classes))
