"""Mean distances from samples to classes: by class sums, one difference at a time, or from all pairs."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import matmul, root, total, units

Distance = Literal["cosine", "euclidean", "sqeuclidean"]
LINEAR_ENTRIES = 1 << 22  # rows x classes held at once


class Points(NamedTuple):
    """Samples as the distances need them, in blocks of rows `[blocks, rows, ...]`."""

    vectors: Float[Array, "*rows dims"]  # of unit length for cosine
    is_zero: Float[Array, "*rows"]  # 1 for a zero vector under cosine distance
    labels: Int[Array, "*rows"]
    weights: Float[Array, "*rows"]  # 0 for padding
    place: Int[Array, "*rows"]


class Classes(NamedTuple):
    """What is known of every class."""

    counts: Float[Array, " classes"]
    means: Float[Array, "classes dims"]  # of the vectors
    mean_squares: Float[Array, " classes"]  # of the vectors, shifted
    zeros: Float[Array, " classes"]  # share of zero vectors
    centroids: Float[Array, "classes dims"]  # of the points, turned into vectors as the points were
    centroid_is_zero: Float[Array, " classes"]


def one_hot(block: Points, n_classes: int) -> Float[Array, "rows classes"]:
    """The class of every row, as often as the row counts."""
    return jax.nn.one_hot(block.labels, n_classes, dtype=block.vectors.dtype) * block.weights[:, None]


def _sums(columns_of, blocks: Points, things, n_classes: int, axis_name: str | None) -> Float[Array, "classes width"]:
    """Sums over the classes of columns of rows: products with one-hot labels, block after block of rows."""

    def add(so_far, block_and_thing):
        block, thing = block_and_thing
        columns = jnp.concatenate(columns_of(block, thing), axis=1)
        return so_far + matmul(one_hot(block, n_classes).T, columns), None

    first = jax.tree.map(lambda x: x[0], (blocks, things))
    width = sum(column.shape[1] for column in jax.eval_shape(columns_of, *first))
    start = jnp.zeros((n_classes, width), blocks.vectors.dtype)
    return total(lax.scan(add, start, (blocks, things))[0], axis_name)


def classes_of(blocks: Points, points, shift, n_classes: int, distance: Distance, axis_name: str | None) -> Classes:
    """Counts, means and centroids of every class."""

    def columns_of(block: Points, rows):
        vectors = block.vectors - shift
        squares = jnp.sum(vectors * vectors, axis=1)
        return [vectors, rows, squares[:, None], block.is_zero[:, None], jnp.ones_like(squares)[:, None]]

    dims = points.shape[-1]
    totals = _sums(columns_of, blocks, points, n_classes, axis_name)
    counts = totals[:, -1]
    means = totals[:, :-1] / jnp.where(counts > 0, counts, 1)[:, None]
    centroids = means[:, dims : 2 * dims]
    centroids, is_zero = units(centroids) if distance == "cosine" else (centroids, 0 * counts)
    return Classes(counts, means[:, :dims] + shift, means[:, -2], means[:, -1], centroids, is_zero)


class Spread(NamedTuple):
    """The means of the classes to more digits than one number holds, and how far their members are from them."""

    means: Float[Array, "classes dims"]
    rests: Float[Array, "classes dims"]  # what rounding took from the means
    within: Float[Array, " classes"]  # mean squared distance of the members


def spread_of(blocks: Points, classes: Classes, n_classes: int, axis_name: str | None) -> Spread:
    """`Spread` of every class, from the differences of its members to its rounded mean."""
    means = lax.stop_gradient(classes.means)

    def columns_of(block: Points, labels):
        from_mean = block.vectors - means[labels]
        return [from_mean, jnp.sum(from_mean * from_mean, axis=1)[:, None]]

    totals = _sums(columns_of, blocks, blocks.labels, n_classes, axis_name)
    totals = totals / jnp.where(classes.counts > 0, classes.counts, 1)[:, None]
    rests = totals[:, :-1]
    return Spread(means, rests, jnp.maximum(totals[:, -1] - jnp.sum(rests * rests, axis=1), 0))


def by_class_sums(block: Points, classes: Classes, shift, distance: Distance):
    """Mean distance to the members of every class, itself included, by the closed form; and its rounding."""
    vectors = block.vectors - shift
    own = jnp.sum(vectors * vectors, axis=1, keepdims=True)
    eps = jnp.finfo(own.dtype).eps
    squares = own + classes.mean_squares
    to_classes = squares - 2 * matmul(vectors, (classes.means - shift).T)
    to_classes = jnp.where(to_classes > 4 * eps * squares, to_classes, 0)
    as_came = (8 * eps) ** 2 * jnp.sum(block.vectors * block.vectors, axis=1)  # what the vectors are rounded by
    rounding = 4 * eps * (own[:, 0] + jnp.max(classes.mean_squares)) + as_came
    return _with_zeros(to_classes, block, classes, distance), rounding


def by_differences(block: Points, classes: Classes, spread: Spread, distance: Distance) -> Float[Array, "rows classes"]:
    """The same from every difference between a sample and the mean of a class."""

    def of(vector: Float[Array, " dims"]) -> Float[Array, " classes"]:
        differences = (vector - spread.means) - spread.rests
        return jnp.sum(differences * differences, axis=1) + spread.within

    at_once = min(max(1, LINEAR_ENTRIES // spread.means.size), len(block.vectors))
    to_classes = lax.map(of, block.vectors, batch_size=at_once)
    # vectors that differ by no more than their rounding are one
    noise = (8 * jnp.finfo(to_classes.dtype).eps) ** 2 * jnp.sum(block.vectors**2, axis=1, keepdims=True)
    return _with_zeros(jnp.where(to_classes > noise, to_classes, 0), block, classes, distance)


def _with_zeros(squares, block: Points, classes: Classes, distance: Distance) -> Float[Array, "rows classes"]:
    return (squares + block.is_zero[:, None] + classes.zeros) / 2 if distance == "cosine" else squares


def by_pairs(block: Points, blocks: Points, n_classes: int, distance: Distance) -> Float[Array, "rows classes"]:
    """Mean distance to the members of every class, itself included at 0: all distances, block by block."""

    @jax.checkpoint
    def add(so_far, others: Points):
        distances = _distances(block, others, distance)
        distances = jnp.where(block.place[:, None] == others.place, 0, distances)
        members = one_hot(others, n_classes)
        sums, counts = so_far
        return (sums + matmul(distances, members), counts + jnp.sum(members, axis=0)), None

    start = jnp.zeros((len(block.labels), n_classes), block.vectors.dtype), jnp.zeros(n_classes, block.vectors.dtype)
    (sums, counts), _ = lax.scan(add, start, blocks)
    return sums / jnp.where(counts > 0, counts, 1)


def _distances(block, others, distance: Distance) -> Float[Array, "rows others"]:
    """Distance of every row of `block` to every row of `others`."""
    differences = block.vectors[:, None] - others.vectors  # squared as they are: nothing cancels
    squared = jnp.sum(differences * differences, axis=-1)
    if distance == "cosine":
        return (squared + block.is_zero[:, None] + others.is_zero) / 2
    return squared if distance == "sqeuclidean" else root(squared)


def to_centroids(block: Points, classes: Classes, distance: Distance) -> Float[Array, "rows classes"]:
    centroids = block._replace(vectors=classes.centroids, is_zero=classes.centroid_is_zero)
    return _distances(block, centroids, distance)
