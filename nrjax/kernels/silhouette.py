"""Silhouettes of one set of labelled points.

    s_i = (b_i - a_i) / max(a_i, b_i),   score = mean of s_i

`a_i` is the mean distance to the other members of the class of sample i. `b_i` is, over the other classes, the
smallest mean distance to their members (`rousseeuw`) or the distance to the nearest centroid (`centroid`, Eq. 4 of the
neuralRank paper). The paper's tables contain `rousseeuw`. Its Eq. 3 divides by the number of samples instead of the
class size, which is a misprint: it would give 0.85 for 0.346.

Squared distance is linear in class sums, and cosine distance is half of it between unit vectors:

    mean over j in class k of |v_i - v_j|^2  =  |v_i|^2 + q_k - 2 v_i . m_k

with `m_k` the mean and `q_k` the mean squared norm of class k. This costs O(samples * classes * dims) instead of
O(samples^2 * dims). Both sides are for vectors shifted by their mean: nearly parallel rows then lose fewer digits.
"""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.distances import (
    LINEAR_ENTRIES,
    Classes,
    Distance,
    Points,
    centroids_of,
    class_means,
    distances_by_class_sums,
    distances_by_pairs,
    pairwise_distances,
)
from nrjax.kernels.linalg import largest, matmul, one_hot, or_one, total, units

Definition = Literal["rousseeuw", "centroid"]
Method = Literal["auto", "linear", "blockwise"]
LINEAR_DISTANCES = ("cosine", "sqeuclidean")

BLOCKWISE_ROWS = 512  # block x block distances stay in cache


def is_linear(distance: str, method: str) -> bool:
    """Whether class sums stand for the distances."""
    return method == "linear" or (method == "auto" and distance in LINEAR_DISTANCES)


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
      definition: of `b_i`: the smallest mean distance to the members of another class (`rousseeuw`), or the distance to
        the nearest centroid of another class (`centroid`, Eq. 4 of the paper).
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
    return silhouettes_and_rounding(
        points, labels, n_classes=n_classes, distance=distance, definition=definition, method=method,
        block_size=block_size, weights=weights, axis_name=axis_name,
    )[0]  # fmt: skip


def silhouette_score(
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
) -> Float[Array, ""]:
    """Weighted mean of the samples' silhouettes, in [-1, 1]; higher is better. See `silhouette_samples`."""
    values = silhouette_samples(
        points, labels, n_classes=n_classes, distance=distance, definition=definition, method=method,
        block_size=block_size, weights=weights, axis_name=axis_name,
    )  # fmt: skip
    weights = jnp.ones_like(values) if weights is None else weights
    return total(jnp.sum(values * weights), axis_name) / total(jnp.sum(weights), axis_name)


def silhouettes_and_rounding(
    points: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int,
    distance: Distance, definition: Definition, method: Method, block_size: int | None,
    weights: Float[Array, " samples"] | None = None, axis_name: str | None = None, point_rounding: float | None = None,
) -> tuple[Float[Array, " samples"], Float[Array, " samples"]]:  # fmt: skip
    """`silhouette_samples`, and how far rounding may move each of them.

    `point_rounding` is the relative rounding of the points as they came; None is that of their type.
    """
    samples, dtype = len(points), points.dtype
    linear = is_linear(distance, method)
    rows = min(samples, block_size or (max(1, LINEAR_ENTRIES // n_classes) if linear else BLOCKWISE_ROWS))
    if weights is None:
        weights = jnp.ones(samples, dtype)
    else:
        points = jnp.where(weights[:, None] > 0, points, 0)
    extent = largest(jnp.max(jnp.abs(lax.stop_gradient(points))), axis_name)
    points = points / or_one(extent)  # silhouettes do not depend on scale, and squares could overflow
    vectors, is_zero = units(points) if distance == "cosine" else (points, jnp.zeros(samples, dtype))
    shift = total(matmul(weights, vectors), axis_name) / total(jnp.sum(weights), axis_name)
    shift = lax.stop_gradient(shift)
    everything = Points(vectors - shift, is_zero, labels, weights, jnp.arange(samples))
    classes = class_means(everything, shift, n_classes, axis_name)
    centroids = None
    if definition == "centroid":
        centroids = centroids_of(points, labels, weights, n_classes, distance, axis_name)
        centroids = centroids._replace(vectors=centroids.vectors - shift)
    blocks = jax.tree.map(lambda x: _in_blocks(x, rows), everything)
    point_rounding = float(jnp.finfo(dtype).eps) if point_rounding is None else point_rounding

    def of_rows(block: Points):
        if linear:
            mean_distances, rounding = distances_by_class_sums(block, classes, distance)
        else:
            mean_distances = distances_by_pairs(block, blocks, n_classes, distance)
            rounding = jnp.zeros(len(block.labels), dtype)
        others = mean_distances if centroids is None else pairwise_distances(block, centroids, distance)
        return _silhouettes(block, mean_distances, others, rounding, classes, linear, distance, point_rounding)

    if rows == samples:
        return of_rows(everything)
    # A gradient by the weights forms the distances of many blocks again and does not store them.
    return jax.tree.map(lambda x: x.reshape(-1)[:samples], lax.map(jax.checkpoint(of_rows), blocks))


def _silhouettes(
    rows: Points, to_own: Float[Array, "rows classes"], to_others: Float[Array, "rows classes"],
    rounding: Float[Array, " rows"], classes: Classes, linear: bool, distance: Distance, point_rounding: float,
) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:  # fmt: skip
    """Silhouettes from mean distances to the classes, and how far rounding may move each."""
    own = one_hot(rows.labels, len(classes.counts), to_own.dtype)
    size = matmul(own, classes.counts)
    # The closed form puts a zero vector at distance 1 from itself.
    itself = rows.is_zero * rows.weights if linear else 0
    others = size - rows.weights
    a = (jnp.sum(own * to_own, axis=1) * size - itself) / or_one(jnp.maximum(others, 0))
    b = jnp.min(jnp.where((own > 0) | (classes.counts == 0), jnp.inf, to_others), axis=1)
    larger = jnp.maximum(a, b)
    counted = (others > 0) & (rows.weights > 0)
    defined = counted & (larger > 0)
    divisor = jnp.where(defined, larger, 1)
    apart = divisor if distance == "euclidean" else jnp.sqrt(divisor)
    length = 1 if distance == "cosine" else jnp.linalg.norm(lax.stop_gradient(rows.vectors + classes.shift), axis=1)
    error = 4 * point_rounding * (1 + length / apart) + rounding / divisor
    # Equal points in float32 may differ in float64.
    may_differ = counted & (larger <= 0) & (rows.is_zero == 0) & (point_rounding > 1e-10)
    error = jnp.where(defined, jnp.minimum(error, 2), may_differ.astype(error.dtype))
    return jnp.where(defined, (b - a) / divisor, 0), lax.stop_gradient(error)


def _in_blocks(array, rows: int):
    """`[samples, ...]` as `[blocks, rows, ...]`; the last block is padded with zeros, so with weight 0."""
    blocks = math.ceil(len(array) / rows)
    padding = [(0, blocks * rows - len(array))] + [(0, 0)] * (array.ndim - 1)
    return jnp.pad(array, padding).reshape(blocks, rows, *array.shape[1:])
