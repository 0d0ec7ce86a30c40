"""Sums over samples, and the linear algebra that every solver uses.

Samples may be split over devices: inside `jax.shard_map`, `axis_name` is the mesh axis that splits them,
and whatever is summed over samples is summed over that axis too. None: one device holds them all.
"""

import functools

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

# JAX's default is TF32 on GPU and bfloat16 on TPU: 1e-3 to 1e-2 in the silhouette of a sample.
matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def total(value, axis_name: str | None):
    """Sum over the devices."""
    return value if axis_name is None else lax.psum(value, axis_name)


def devices_along(axis_name: str | None) -> int:
    """How many devices the samples are split over."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def largest(value, axis_name: str | None):
    """Maximum over the devices."""
    return value if axis_name is None else lax.pmax(value, axis_name)


def exponent_of(rows: Float[Array, "samples dims"], axis_name: str | None = None) -> Int[Array, ""]:
    """Of the power of two above the largest entry; divided by it, squares do not overflow and no digit is lost."""
    most = 2 - jnp.finfo(rows.dtype).maxexp  # its power of two and that of its inverse are normal numbers
    return jnp.clip(jnp.frexp(largest(jnp.max(jnp.abs(rows)), axis_name))[1], most, -most)


def root(squares):
    """Square root whose derivative at 0 is 0."""
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def units(points: Float[Array, "rows dims"]) -> tuple[Float[Array, "rows dims"], Float[Array, " rows"]]:
    """Rows at length 1, and 1 where a row is zero. Divided by their largest entry first, so none underflows."""
    extent = jnp.max(jnp.abs(points), axis=1, keepdims=True)
    scaled = points / jnp.where(extent > 0, extent, 1)
    norms = root(jnp.sum(scaled * scaled, axis=1, keepdims=True))
    return scaled / jnp.where(norms > 0, norms, 1), (extent[:, 0] == 0).astype(points.dtype)


def centre(
    rows: Float[Array, "samples dims"], weights: Float[Array, " samples"], axis_name: str | None
) -> Float[Array, "samples dims"]:
    """Rows minus their mean, twice: the second pass removes what the first mean lost to rounding."""
    count = total(jnp.sum(weights), axis_name)
    for _ in range(2):
        rows = (rows - total(jnp.sum(rows * weights[:, None], axis=0), axis_name) / count) * weights[:, None]
    return rows


def cleaned(points: Float[Array, "samples width"], lengths: Float[Array, "*samples"]) -> Float[Array, "samples width"]:
    """Points with rows of zeros where there is nothing but rounding: a cosine would see a direction in it.

    `lengths` are those of what was centred, one for all or one per sample.
    """
    norms = jnp.linalg.norm(points, axis=1)
    return jnp.where((norms > 10 * jnp.finfo(points.dtype).eps * lengths)[:, None], points, 0)


def right_singular(
    tall: Float[Array, "rows columns"], axis_name: str | None = None
) -> tuple[Float[Array, " columns"], Float[Array, "columns columns"]]:
    """Singular values and right singular vectors (columns) of a tall matrix, from the triangle of its QR."""
    triangle = jnp.linalg.qr(tall, mode="r")
    if axis_name is not None:  # the triangles of all devices, one below the other, each put in its place by a sum
        everyone = jnp.zeros((lax.axis_size(axis_name), *triangle.shape), tall.dtype)
        everyone = lax.psum(everyone.at[lax.axis_index(axis_name)].set(triangle), axis_name)
        triangle = jnp.linalg.qr(everyone.reshape(-1, tall.shape[1]), mode="r")
    _, values, right = jnp.linalg.svd(triangle)
    return values, right.T


def orthonormal(
    rows: Float[Array, "width dims"], against: Float[Array, "known dims"] | None = None, passes: int = 2
) -> Float[Array, "width dims"]:
    """An orthonormal basis of the rows, without what `against` spans; rows of zeros where there is none.

    By the eigenvectors of the rows' Gram matrix, which is small products only; in two passes, for one leaves
    rounding behind.
    """
    for _ in range(passes):
        if against is not None:
            rows = rows - matmul(matmul(rows, against.T), against)
        lengths = jnp.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / jnp.where(lengths > 0, lengths, 1)
        squares, rotation = jnp.linalg.eigh(matmul(rows, rows.T))
        keep = squares > 10 * jnp.finfo(rows.dtype).eps * squares[-1]
        rows = matmul((rotation * jnp.where(keep, lax.rsqrt(jnp.where(keep, squares, 1)), 0)).T, rows)
    return rows
