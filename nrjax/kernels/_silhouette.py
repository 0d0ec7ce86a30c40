"""Silhouettes of one set of labelled points.

    s_i = (b_i - a_i) / max(a_i, b_i),   score = mean of s_i

`a_i` is the mean distance to the other members of i's class. `b_i` is, over the other classes, the
smallest mean distance to their members (`rousseeuw`) or the distance to the nearest of their centroids
(`centroid`, Eq. 4 of the neuralRank paper). The paper's tables contain `rousseeuw`; its Eq. 3 divides by
the number of samples instead of the class size, which is a misprint (it would give 0.85 for 0.346).

Squared distance is linear in class sums, and cosine distance is half of it between unit vectors:

    mean over j in class k of |v_i - v_j|^2  =  |v_i|^2 + q_k - 2 v_i . m_k

with `m_k` the mean and `q_k` the mean squared norm of class k: O(samples * classes * dims) in place of
O(samples^2 * dims). Both hold for vectors shifted by any constant; shifted by their mean they lose no
digits when all rows are nearly parallel.
"""

import functools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import largest, matmul, root, total, units

Distance = Literal["cosine", "euclidean", "sqeuclidean"]
Definition = Literal["rousseeuw", "centroid"]
Method = Literal["auto", "linear", "blockwise"]
LINEAR_DISTANCES = ("cosine", "sqeuclidean")

BLOCKWISE_ROWS = 512  # block x block distances stay in cache
LINEAR_ENTRIES = 1 << 22  # rows x classes held at once
SPLITS = 4  # into two halves each
LINEAR_ROWS = 1 << 16  # summed in one product; sums of products keep more digits in float32 than one long sum


class _Points(NamedTuple):
    """Samples as the distances need them, in blocks of rows `[blocks, rows, ...]`."""

    vectors: Float[Array, "*rows dims"]  # shifted by the mean; of unit length before that for cosine
    is_zero: Float[Array, "*rows"]  # 1 for a zero vector under cosine distance
    labels: Int[Array, "*rows"]
    weights: Float[Array, "*rows"]  # 0 for padding
    place: Int[Array, "*rows"]


class _Classes(NamedTuple):
    counts: Float[Array, " classes"]
    means: Float[Array, "classes dims"]  # of the vectors
    mean_squares: Float[Array, " classes"]  # of the vectors
    zeros: Float[Array, " classes"]  # share of zero vectors
    centroids: Float[Array, "classes dims"]  # of the points, turned into vectors as the points were
    centroid_is_zero: Float[Array, " classes"]


@functools.partial(
    jax.jit, static_argnames=("n_classes", "distance", "definition", "method", "block_size", "axis_name")
)  # fmt: skip
def silhouette_samples(
    points: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    distance: Distance = "cosine",
    definition: Definition = "rousseeuw",
    method: Method = "auto",
    block_size: int | None = None,
    weights: Float[Array, " samples"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, " samples"]:
    """Silhouette of every sample, in [-1, 1]; higher is better.

    Args:
      points: finite. Under cosine distance a zero vector is at distance 1 from every other.
      labels: class ids in `0..n_classes-1`; a class may be empty.
      n_classes: static; a new value compiles again.
      distance: `cosine`, `euclidean` or `sqeuclidean`.
      definition: of `b_i`, see the top of this module.
      method: `linear` is the closed form (cosine and squared Euclidean), `blockwise` forms all
        distances in blocks of `block_size` squared; `auto` takes `linear` where it exists.
      block_size: rows at once; None chooses. Memory beyond the points is O(block_size * classes) for
        `linear`, O(block_size * (block_size + classes)) for `blockwise`.
      weights: how often each sample counts; those of weight 0 get 0. None counts all once.
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples; `linear` only, for
        `blockwise` needs every sample on every device.

    Returns:
      One value per sample. A sample alone in its class gets 0, and so does one with a = b = 0.

    Source: Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7; agrees with
    `sklearn.metrics.silhouette_samples(metric=distance)`.
    """
    samples = len(points)
    linear = method == "linear" or (method == "auto" and distance in LINEAR_DISTANCES)
    rows = block_size or (min(LINEAR_ROWS, max(1, LINEAR_ENTRIES // n_classes)) if linear else BLOCKWISE_ROWS)
    rows = min(rows, samples)
    weights = jnp.ones(samples, points.dtype) if weights is None else weights
    points = jnp.where(weights[:, None] > 0, points, 0)
    extent = largest(jnp.max(jnp.abs(points)), axis_name)
    points = points / jnp.where(extent > 0, extent, 1)  # no silhouette depends on scale; squares could overflow
    vectors, is_zero, shift = _vectors(points, weights, distance, axis_name)
    blocks = _in_blocks(_Points(vectors, is_zero, labels, weights, jnp.arange(samples)), rows)
    classes = _classes(blocks, _in_blocks(points, rows), shift, n_classes, distance, axis_name)

    @jax.checkpoint  # a gradient by the weights forms the distances again, and does not keep them
    def of_block(block: _Points) -> Float[Array, " rows"]:
        to_classes = _linear(block, classes, distance) if linear else _blockwise(block, blocks, n_classes, distance)
        itself = (
            block.is_zero * block.weights if linear else 0
        )  # the closed form puts a zero vector at distance 1 from itself
        is_own = jax.nn.one_hot(block.labels, n_classes, dtype=bool)
        size = jnp.sum(jnp.where(is_own, classes.counts, 0), axis=1)
        to_own = jnp.sum(jnp.where(is_own, to_classes, 0), axis=1) * size - itself
        others = size - block.weights
        a = to_own / jnp.where(others > 0, others, 1)
        other = to_classes if definition == "rousseeuw" else _to_centroids(block, classes, distance)
        b = jnp.min(jnp.where(is_own | (classes.counts == 0), jnp.inf, other), axis=1)
        larger = jnp.maximum(a, b)
        counts = (others > 0) & (larger > 0) & (block.weights > 0)
        return jnp.where(counts, (b - a) / jnp.where(counts, larger, 1), 0)

    return lax.map(of_block, blocks).reshape(-1)[:samples]


def silhouette_score(
    points: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    weights: Float[Array, " samples"] | None = None,
    axis_name: str | None = None,
    **options,
) -> Float[Array, ""]:
    """Weighted mean of the samples' silhouettes, in [-1, 1]; higher is better. See `silhouette_samples`."""
    values = silhouette_samples(points, labels, n_classes=n_classes, weights=weights, axis_name=axis_name, **options)
    weights = jnp.ones_like(values) if weights is None else weights
    return total(jnp.sum(values * weights), axis_name) / total(jnp.sum(weights), axis_name)


class Sampling(NamedTuple):
    """How the mean silhouette follows from which samples were drawn.

    Attributes:
      influences: what each sample adds: the derivative of the score by the sample's weight, times samples.
        They sum to 0, and `score + mean((w - 1) * influences)` is, to first order, the score of samples that
        count w times.
      bias: by which the score is off from that of many more such samples. The nearest of several classes is
        nearer than it should be where their means are uncertain, which costs the score c / samples; halves of
        the samples have twice that.
    """

    influences: Float[Array, "*models samples"]
    bias: Float[Array, "*models"]


def silhouette_sampling(
    points: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int, **options
) -> Sampling:
    """`Sampling` of points that stay where they are; options are those of `silhouette_samples`.

    Source: the infinitesimal jackknife, Jaeckel 1972; Efron 1982, doi:10.1137/1.9781611970319.
    """
    samples = len(points)

    def weighted(weights: Float[Array, " samples"]) -> Float[Array, ""]:
        return silhouette_score(points, labels, n_classes=n_classes, weights=weights, **options)

    score, gradient = jax.value_and_grad(weighted)(jnp.ones(samples, points.dtype))

    def of_half(key_and_half) -> Float[Array, ""]:
        key, half = key_and_half
        shuffled = jnp.argsort(labels + jax.random.uniform(key, (samples,)))  # class after class
        weights = (
            jnp.zeros(samples, points.dtype).at[shuffled].set((jnp.arange(samples) % 2 == half).astype(points.dtype))
        )
        return weighted(weights)

    keys = jnp.repeat(jax.random.split(jax.random.key(0), SPLITS), 2)
    of_halves = lax.map(of_half, (keys, jnp.arange(2 * SPLITS) % 2))
    return Sampling(samples * gradient, jnp.mean(of_halves) - score)


def _vectors(points, weights, distance: Distance, axis_name: str | None):
    """Vectors whose (half) squared differences are the distance, which of them are zero, and their shift."""
    vectors, is_zero = units(points) if distance == "cosine" else (points, jnp.zeros(len(points), points.dtype))
    shift = total(jnp.sum(vectors * weights[:, None], axis=0), axis_name) / total(jnp.sum(weights), axis_name)
    shift = lax.stop_gradient(shift)  # no distance depends on it
    return jnp.where(weights[:, None] > 0, vectors - shift, 0), is_zero, shift


def _in_blocks(arrays, rows: int):
    """`[samples, ...]` as `[blocks, rows, ...]`; the last block is padded with zeros, so of weight 0."""

    def fold(array):
        blocks = math.ceil(len(array) / rows)
        padding = [(0, blocks * rows - len(array))] + [(0, 0)] * (array.ndim - 1)
        return jnp.pad(array, padding).reshape(blocks, rows, *array.shape[1:])

    return jax.tree.map(fold, arrays)


def _one_hot(block: _Points, n_classes: int) -> Float[Array, "rows classes"]:
    return jax.nn.one_hot(block.labels, n_classes, dtype=block.vectors.dtype) * block.weights[:, None]


def _classes(blocks: _Points, points, shift, n_classes: int, distance: Distance, axis_name: str | None) -> _Classes:
    """Counts, means and centroids of every class: products with one-hot labels, summed over blocks of rows."""

    def add(sums, block_and_points):
        block, rows = block_and_points
        squares = jnp.sum(block.vectors * block.vectors, axis=1)
        columns = [block.vectors, rows, squares[:, None], block.is_zero[:, None], jnp.ones_like(squares)[:, None]]
        return sums + matmul(_one_hot(block, n_classes).T, jnp.concatenate(columns, axis=1)), None

    dims = points.shape[-1]
    start = jnp.zeros((n_classes, 2 * dims + 3), points.dtype)
    totals = total(lax.scan(add, start, (blocks, points))[0], axis_name)
    counts = totals[:, -1]
    means = totals[:, :-1] / jnp.where(counts > 0, counts, 1)[:, None]
    centroids, is_zero = (
        units(means[:, dims : 2 * dims]) if distance == "cosine" else (means[:, dims : 2 * dims], 0 * counts)
    )
    return _Classes(counts, means[:, :dims], means[:, -2], means[:, -1], centroids - shift, is_zero)


def _linear(block: _Points, classes: _Classes, distance: Distance) -> Float[Array, "rows classes"]:
    """Mean distance to the members of every class, itself included, by the closed form."""
    squares = jnp.sum(block.vectors * block.vectors, axis=1, keepdims=True) + classes.mean_squares
    means = squares - 2 * matmul(block.vectors, classes.means.T)
    means = jnp.where(means > 4 * jnp.finfo(means.dtype).eps * squares, means, 0)  # below: rounding
    return (means + block.is_zero[:, None] + classes.zeros) / 2 if distance == "cosine" else means


def _blockwise(block: _Points, blocks: _Points, n_classes: int, distance: Distance) -> Float[Array, "rows classes"]:
    """Mean distance to the members of every class, itself included at 0: all distances, block by block."""

    @jax.checkpoint
    def add(so_far, others: _Points):
        distances = _distances(block, others, distance)
        distances = jnp.where(block.place[:, None] == others.place, 0, distances)
        one_hot = _one_hot(others, n_classes)
        sums, counts = so_far
        return (sums + matmul(distances, one_hot), counts + jnp.sum(one_hot, axis=0)), None

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


def _to_centroids(block: _Points, classes: _Classes, distance: Distance) -> Float[Array, "rows classes"]:
    centroids = block._replace(vectors=classes.centroids, is_zero=classes.centroid_is_zero)
    return _distances(block, centroids, distance)
