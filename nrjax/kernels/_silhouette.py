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
digits when all rows are nearly parallel. Where they would (two classes close to each other, and one far away), the
differences from the class means are squared one by one instead:

    mean over j in class k of |v_i - v_j|^2  =  |v_i - m_k|^2 + W_k,      W_k = mean over j of |v_j - m_k|^2
"""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._certificate import Estimate
from nrjax.kernels._class_distances import (
    LINEAR_ENTRIES,
    Distance,
    Points,
    by_class_sums,
    by_differences,
    by_pairs,
    classes_of,
    spread_of,
    to_centroids,
)
from nrjax.kernels._linalg import largest, total, units

Definition = Literal["rousseeuw", "centroid"]
Method = Literal["auto", "linear", "blockwise"]
LINEAR_DISTANCES = ("cosine", "sqeuclidean")

BLOCKWISE_ROWS = 512  # block x block distances stay in cache
# Rounding beside a sample's own distances, from which on differences are squared one by one: of any sample where each
# is asked for, and on average where only their mean is. What rounding does is a quarter of what it may do.
TOO_FLAT = 1e-5
TOO_FLAT_ON_AVERAGE = 4e-6
LINEAR_ROWS = 1 << 16  # summed in one product; sums of products keep more digits in float32 than one long sum


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
    return _silhouettes(
        points, labels, n_classes=n_classes, distance=distance, definition=definition, method=method,
        block_size=block_size, weights=weights, axis_name=axis_name, each=True,
    )[0]  # fmt: skip


@functools.partial(
    jax.jit,
    static_argnames=("n_classes", "distance", "definition", "method", "block_size", "axis_name", "each", "careful"),
)  # fmt: skip
def silhouette_estimate(
    points: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int,
    weights: Float[Array, " samples"] | None = None, axis_name: str | None = None, **options,
) -> Estimate:  # fmt: skip
    """`silhouette_samples` and the mean error of rounding, relative to the distances that each sample has.

    With `each=True` every value is as good as that; else their mean is. With `careful=False` neither need be, where
    rounding is large beside the distances; it is the smaller program.
    """
    values, errors = _silhouettes(points, labels, n_classes=n_classes, weights=weights, axis_name=axis_name, **options)
    weights = jnp.ones_like(values) if weights is None else weights
    return Estimate(values, total(jnp.sum(errors * weights), axis_name) / total(jnp.sum(weights), axis_name))


def is_linear(distance: str, method: str) -> bool:
    """Whether sums of the classes stand for the distances."""
    return method == "linear" or (method == "auto" and distance in LINEAR_DISTANCES)


def _silhouettes(
    points, labels, *, n_classes: int, distance: Distance = "cosine", definition: Definition = "rousseeuw",
    method: Method = "auto", block_size: int | None = None, weights=None, axis_name: str | None = None,
    each: bool = False, careful: bool = True,
) -> tuple[Float[Array, " samples"], Float[Array, " samples"]]:  # fmt: skip
    samples = len(points)
    linear = is_linear(distance, method)
    rows = block_size or (min(LINEAR_ROWS, max(1, LINEAR_ENTRIES // n_classes)) if linear else BLOCKWISE_ROWS)
    rows = min(rows, samples)
    weights = jnp.ones(samples, points.dtype) if weights is None else weights
    points = jnp.where(weights[:, None] > 0, points, 0)
    extent = largest(jnp.max(jnp.abs(lax.stop_gradient(points))), axis_name)
    points = points / jnp.where(extent > 0, extent, 1)  # no silhouette depends on scale; squares could overflow
    vectors, is_zero = units(points) if distance == "cosine" else (points, jnp.zeros(samples, points.dtype))
    blocks = _in_blocks(Points(vectors, is_zero, labels, weights, jnp.arange(samples)), rows)
    shift = total(jnp.sum(vectors * weights[:, None], axis=0), axis_name) / total(jnp.sum(weights), axis_name)
    shift = lax.stop_gradient(shift)  # no distance depends on it
    classes = classes_of(blocks, _in_blocks(points, rows), shift, n_classes, distance, axis_name)

    eps = jnp.finfo(points.dtype).eps

    def judged(block: Points, to_classes: Float[Array, "rows classes"]):
        """Silhouettes, what rounding may have done to them, and the larger of the two distances of each."""
        is_own = jax.nn.one_hot(block.labels, n_classes, dtype=bool)
        size = jnp.sum(jnp.where(is_own, classes.counts, 0), axis=1)
        # the closed form puts a zero vector at distance 1 from itself
        itself = block.is_zero * block.weights if linear else 0
        to_own = jnp.sum(jnp.where(is_own, to_classes, 0), axis=1) * size - itself
        others = size - block.weights
        a = to_own / jnp.where(others > 0, others, 1)
        other = to_classes if definition == "rousseeuw" else to_centroids(block, classes, distance)
        b = jnp.min(jnp.where(is_own | (classes.counts == 0), jnp.inf, other), axis=1)
        larger = jnp.maximum(a, b)
        counted = (others > 0) & (block.weights > 0)
        there = counted & (larger > 0)
        safe = jnp.where(there, larger, 1)
        # of differences between vectors that are rounded themselves, beside their length
        apart = safe if distance == "euclidean" else jnp.sqrt(safe)
        length = 1 if distance == "cosine" else lax.stop_gradient(jnp.linalg.norm(block.vectors, axis=1))
        error = jnp.minimum(4 * eps * (1 + length / apart), 2)
        hidden = counted & (larger <= 0) & (block.is_zero == 0) & (eps > 1e-10)  # float64 is to say if it is so
        values = jnp.where(there, (b - a) / safe, 0), jnp.where(there, error, hidden.astype(error.dtype))
        return values, jnp.where(counted, larger, jnp.inf)

    @jax.checkpoint  # a gradient by the weights forms the distances again, and does not keep them
    def quickly(block: Points):
        if not linear:
            return judged(block, by_pairs(block, blocks, n_classes, distance))[0], jnp.zeros_like(block.weights)
        to_classes, rounding = by_class_sums(block, classes, shift, distance)
        values, larger = judged(block, to_classes)
        return values, jnp.minimum(rounding / jnp.maximum(larger, jnp.finfo(larger.dtype).tiny), 1)

    values, flatness = lax.map(quickly, blocks)
    if linear and careful:

        def carefully():
            spread = spread_of(blocks, classes, n_classes, axis_name)
            again = jax.checkpoint(lambda block: judged(block, by_differences(block, classes, spread, distance))[0])
            return lax.map(again, blocks)

        if each:  # every device takes the same way
            flat = largest(jnp.max(lax.stop_gradient(flatness)), axis_name) > TOO_FLAT
        else:
            sums = total(jnp.stack([jnp.sum(flatness * blocks.weights), jnp.sum(weights)]), axis_name)
            flat = sums[0] > TOO_FLAT_ON_AVERAGE * sums[1]
        values = lax.cond(flat, carefully, lambda: values)
    return jax.tree.map(lambda x: x.reshape(-1)[:samples], values)


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


def _in_blocks(arrays, rows: int):
    """`[samples, ...]` as `[blocks, rows, ...]`; the last block is padded with zeros, so of weight 0."""

    def fold(array):
        blocks = math.ceil(len(array) / rows)
        padding = [(0, blocks * rows - len(array))] + [(0, 0)] * (array.ndim - 1)
        return jnp.pad(array, padding).reshape(blocks, rows, *array.shape[1:])

    return jax.tree.map(fold, arrays)
