"""The two pieces of linear algebra that every solver uses."""

import functools

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# JAX's default is TF32 on GPU and bfloat16 on TPU: 1e-3 to 1e-2 in the silhouette of a sample.
matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def right_singular(
    tall: Float[Array, "rows columns"],
) -> tuple[Float[Array, " columns"], Float[Array, "columns columns"]]:
    """Singular values and right singular vectors (columns) of a tall matrix, from the triangle of its QR."""
    _, values, right = jnp.linalg.svd(jnp.linalg.qr(tall, mode="r"))
    return values, right.T
