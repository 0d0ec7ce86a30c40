"""The convolutions that the zoos are trained with, one per backend.

On CPU: XLA's, with a gradient of our own. A training step of Figure 1's network (100 images) spends most
of its time in the gradient of the second convolution's kernel, for which XLA needs 50 ms (2 cores).
Written as products of shifted slices with the incoming gradient, over 10 images at a time so that the
slices stay in cache, it takes 20 ms; over all 100 images at once, 56 ms.

On accelerators models of one shape are trained together. `vmap` over the weights of a convolution is a
grouped convolution (14 times slower than one after another where it was measured, on CPU); over matrix
products it is a batched matrix product.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from nrjax.models import same_convolution

IMAGES_IN_CACHE = 10
FEWEST_CHANNELS = 16  # with fewer, the slices are too thin for matrix products and XLA's own gradient is faster


def training_convolution():
    """The convolution for this backend."""
    return blocked_convolution if jax.default_backend() == "cpu" else matmul_convolution


def matmul_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`same_convolution` as one matrix product per row of the kernel, over slices shifted by its columns."""
    rows, columns, channels, features = kernel.shape
    _, height, width, _ = x.shape
    padded = _pad(x, rows, columns)
    shifted = jnp.concatenate([padded[:, :, j : j + width] for j in range(columns)], axis=-1)
    by_row = kernel.reshape(rows, columns * channels, features)
    return functools.reduce(jnp.add, [shifted[:, i : i + height] @ by_row[i] for i in range(rows)])


@jax.custom_vjp
def blocked_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`same_convolution`, differentiated towards the kernel in blocks of images."""
    return same_convolution(x, kernel)


def _forward(x: jax.Array, kernel: jax.Array):
    return same_convolution(x, kernel), (x, kernel)


def _backward(saved, gradient: jax.Array):
    x, kernel = saved
    to_x = jax.vjp(lambda x: same_convolution(x, kernel), x)[1]
    return *to_x(gradient), _kernel_gradient(x, gradient, kernel.shape)


def _kernel_gradient(x: jax.Array, gradient: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`dK[i, j] = sum over images and places of x[place + (i, j)] gradient[place]'`."""
    rows, columns, channels, features = shape
    if channels < FEWEST_CHANNELS:
        return jax.vjp(lambda kernel: same_convolution(x, kernel), jnp.zeros(shape, x.dtype))[1](gradient)[0]
    samples, height, width, _ = x.shape
    block = math.gcd(samples, IMAGES_IN_CACHE)
    padded = _pad(x, rows, columns)

    def add(total, images_and_gradient):
        images, gradient = images_and_gradient
        flat = gradient.reshape(-1, features)
        shifted = jnp.concatenate([images[:, :, j : j + width] for j in range(columns)], axis=-1)
        products = [shifted[:, i : i + height].reshape(-1, columns * channels).T @ flat for i in range(rows)]
        return total + jnp.stack(products), None

    blocks = (
        padded.reshape(samples // block, block, *padded.shape[1:]),
        gradient.reshape(samples // block, block, height, width, features),
    )
    total, _ = lax.scan(add, jnp.zeros((rows, columns * channels, features), x.dtype), blocks)
    return total.reshape(shape)


def _pad(x: jax.Array, rows: int, columns: int) -> jax.Array:
    return jnp.pad(x, [(0, 0), ((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)])


blocked_convolution.defvjp(_forward, _backward)
