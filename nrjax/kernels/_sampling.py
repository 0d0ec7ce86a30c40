"""How a mean silhouette follows from which samples were drawn: influences and bias."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._silhouette import silhouette_score

SPLITS = 4  # into two halves each


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
        shuffled = jnp.argsort(labels + jax.random.uniform(key, (samples,), jnp.float32))  # class after class
        weights = (
            jnp.zeros(samples, points.dtype).at[shuffled].set((jnp.arange(samples) % 2 == half).astype(points.dtype))
        )
        return weighted(weights)

    keys = jnp.repeat(jax.random.split(jax.random.key(0), SPLITS), 2)
    of_halves = lax.map(of_half, (keys, jnp.arange(2 * SPLITS) % 2))
    return Sampling(samples * gradient, jnp.mean(of_halves) - score)
