"""Sums over samples, and small pieces of linear algebra.

Samples may be split over devices. Inside `jax.shard_map`, `axis_name` is the mesh axis that splits them, and every sum
over samples is a sum over that axis too. `None` means that one device holds all samples.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

# JAX's default is TF32 on GPU and bfloat16 on TPU, an error of 1e-3 to 1e-2 in the silhouette of a sample.
matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def total(value, axis_name: str | None):
    """Sum over the devices."""
    return value if axis_name is None else lax.psum(value, axis_name)


def largest(value, axis_name: str | None):
    """Maximum over the devices."""
    return value if axis_name is None else lax.pmax(value, axis_name)


def exponent_of(rows: Float[Array, "samples dims"], axis_name: str | None = None) -> Int[Array, ""]:
    """Exponent of the power of two above the largest entry; rows divided by it have squares that do not overflow."""
    size = largest(jnp.max(jnp.abs(lax.stop_gradient(rows))), axis_name)
    whole, limits = _whole(rows.dtype), jnp.finfo(rows.dtype)
    exponent = (lax.bitcast_convert_type(size, whole) >> limits.nmant).astype(jnp.int32) + (2 - limits.maxexp)
    return jnp.clip(exponent, 2 - limits.maxexp, limits.maxexp - 2)  # the power and its inverse are normal numbers


def power_of_two(exponent: Int[Array, ""], dtype) -> Float[Array, ""]:
    """2^exponent, of an exponent as `exponent_of` gives it; `jnp.ldexp` is a program of 30 lines."""
    whole, limits = _whole(dtype), jnp.finfo(dtype)
    return lax.bitcast_convert_type((exponent + (limits.maxexp - 1)).astype(whole) << limits.nmant, jnp.dtype(dtype))


def _whole(dtype) -> jnp.dtype:
    """Whole numbers of as many bytes as floats have: of a positive float they are exponent and fraction."""
    return jnp.dtype(f"int{8 * jnp.dtype(dtype).itemsize}")


def or_one(values):
    """Values that are not negative, with 1 in place of 0, to divide by."""
    return values + (values == 0).astype(values.dtype)


def root(squares):
    """Square root whose derivative at 0 is 0."""
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def units(points: Float[Array, "rows dims"]) -> tuple[Float[Array, "rows dims"], Float[Array, " rows"]]:
    """Rows scaled to length 1, and 1 where a row is zero. Each row is divided by its largest entry first."""
    extent = jnp.max(jnp.abs(points), axis=1, keepdims=True)
    scaled = points / or_one(extent)
    norms = root(jnp.sum(scaled * scaled, axis=1, keepdims=True))
    return scaled / or_one(norms), (extent[:, 0] == 0).astype(points.dtype)


def centre(
    rows: Float[Array, "samples dims"], weights: Float[Array, " samples"] | None, axis_name: str | None
) -> Float[Array, "samples dims"]:
    """Rows minus their mean, in two passes; the second removes what the first mean lost to rounding."""
    if weights is None and axis_name is None:
        for _ in range(2):
            rows = rows - jnp.mean(rows, axis=0)
        return rows
    weights = jnp.ones(len(rows), rows.dtype) if weights is None else weights
    count = total(jnp.sum(weights), axis_name)
    for _ in range(2):
        rows = (rows - total(jnp.sum(rows * weights[:, None], axis=0), axis_name) / count) * weights[:, None]
    return rows


def one_hot(labels: Int[Array, " samples"], n_classes: int, dtype) -> Float[Array, "samples classes"]:
    """1 where a sample is of a class, 0 elsewhere."""
    return jax.nn.one_hot(labels, n_classes, dtype=dtype)


def map_blocks(function, arrays, block: int):
    """`function` of every leading index, `block` of them at a time; one copy of it in the program, unlike `lax.map`."""
    count = len(jax.tree.leaves(arrays)[0])
    if block >= count:
        return jax.vmap(function)(arrays)
    rounds = -(-count // block)
    rows = jnp.minimum(jnp.arange(rounds * block), count - 1).reshape(
        rounds, block
    )  # the last one fills the last block
    results = lax.map(lambda some: jax.vmap(function)(jax.tree.map(lambda x: x[some], arrays)), rows)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], results)
