"""The convolution that the zoos are trained with: XLA's, with a gradient that is fast on CPU.

A training step of Figure 1's network (100 images) spends most of its time in the gradient of the second
convolution's kernel. XLA on CPU needs 50 ms for it (2 cores). Written as products of shifted slices with
the incoming gradient, over 10 images at a time so that the slices stay in cache, it takes 20 ms; over all
100 images at once, 56 ms.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from nrjax.models import same_convolution

IMAGES_IN_CACHE = 10
FEWEST_CHANNELS = 16  # with fewer, the slices are too thin for matrix products and XLA's own gradient is faster


def training_convolution():
    """The convolution for this backend; accelerators keep XLA's own gradient."""
    return blocked_convolution if jax.default_backend() == "cpu" else same_convolution


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
    padding = [(0, 0), ((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)]
    padded = jnp.pad(x, padding)

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


blocked_convolution.defvjp(_forward, _backward)
