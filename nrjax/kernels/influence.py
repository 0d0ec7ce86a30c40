"""How a mean silhouette follows from which samples were drawn: influences and bias.

By a sample's weight change what silhouettes average, and the components themselves: their centre moves towards the
sample, and component i turns towards j, which is not kept, by

    p_ui p_uj / sqrt((s_i - s_j)^2 + sum over u of p_ui^2 p_uj^2),

p being the images of the samples on both, s the squared singular values. The sum is what the products add up to by
chance: components that are as good as tied turn by no more than that.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.distances import Distance
from nrjax.kernels.linalg import matmul
from nrjax.kernels.silhouette import Definition, Method, silhouette_score

SPLITS = 4  # into two halves each
STATIC = ("n_classes", "distance", "definition", "method", "block_size")


class Influence(NamedTuple):
    """How the mean silhouette follows from which samples were drawn.

    Attributes:
      influences: what each sample adds: the derivative of the score by the sample's weight, times samples.
        They sum to 0, and `score + mean((w - 1) * influences)` is, to first order, the score of samples that
        count w times.
      bias: by which the score is off from that of many more such samples. The nearest of several classes is
        nearer than it should be where their means are uncertain, and components that are as good as tied are chosen
        by chance, which costs the score c / samples; halves of the samples have twice that.
    """

    influences: Float[Array, "*models samples"]
    bias: Float[Array, "*models"]


def silhouette_influence(
    points: Float[Array, "samples components"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    others: Float[Array, "samples others"] | None = None,
    distance: Distance = "cosine",
    definition: Definition = "rousseeuw",
    method: Method = "auto",
    block_size: int | None = None,
) -> Influence:
    """`Influence` of points.

    Args:
      points: of the samples.
      labels: their class ids.
      n_classes: static.
      others: images of the samples on the next components, if the points are their leading ones: what may take
        their places. None leaves the points where they are.
      distance: as for `silhouette_samples`, and so are the rest.
      definition: of `b_i`.
      method: of the distances.
      block_size: rows at once.

    Source: the infinitesimal jackknife, Jaeckel 1972; Efron 1982, doi:10.1137/1.9781611970319.
    """
    options = {
        "n_classes": n_classes, "distance": distance, "definition": definition, "method": method,
        "block_size": block_size,
    }  # fmt: skip
    score, influences = _influences(points, labels, others, **options)  # two programs, which compile side by side
    return Influence(influences, _score_of_halves(points, labels, others, **options) - score)


@functools.partial(jax.jit, static_argnames=STATIC)
def _influences(
    points: Float[Array, "samples components"], labels: Int[Array, " samples"],
    others: Float[Array, "samples others"] | None, **options: Any,
) -> tuple[Float[Array, ""], Float[Array, " samples"]]:  # fmt: skip
    """The score, and `Influence.influences`."""
    samples = len(points)

    def score_of(weights: Float[Array, " samples"], points: Float[Array, "samples components"]) -> Float[Array, ""]:
        return silhouette_score(points, labels, weights=weights, **options)

    score, (by_weight, by_place) = jax.value_and_grad(score_of, argnums=(0, 1))(jnp.ones(samples, points.dtype), points)
    influences = samples * by_weight
    if others is not None:
        influences += samples * _by_turning(points, others, by_place) - matmul(points, jnp.sum(by_place, axis=0))
        influences -= jnp.mean(influences)
    return score, influences


@functools.partial(jax.jit, static_argnames=STATIC)
def _score_of_halves(
    points: Float[Array, "samples components"], labels: Int[Array, " samples"],
    others: Float[Array, "samples others"] | None, **options: Any,
) -> Float[Array, ""]:  # fmt: skip
    """Mean score of halves of the samples, with the components that each half has."""
    samples, components = points.shape

    def score_of_half(key_and_half: tuple[Array, Array]) -> Float[Array, ""]:
        key, half = key_and_half
        shuffled = jnp.argsort(labels + jax.random.uniform(key, (samples,), jnp.float32))  # class after class
        chosen = (jnp.arange(samples) % 2 == half).astype(points.dtype)
        weights = jnp.zeros(samples, points.dtype).at[shuffled].set(chosen)
        images = points if others is None else _anew(points, others, weights)[:, :components]
        return silhouette_score(images, labels, weights=weights, **options)

    keys = jnp.repeat(jax.random.split(jax.random.key(0), SPLITS), 2)
    return jnp.mean(lax.map(score_of_half, (keys, jnp.arange(2 * SPLITS) % 2)))


def _by_turning(
    points: Float[Array, "samples components"],
    others: Float[Array, "samples others"],
    by_place: Float[Array, "samples components"],
) -> Float[Array, " samples"]:
    """What a sample's weight does to the score by turning the components."""
    gaps = jnp.sum(points**2, axis=0)[:, None] - jnp.sum(others**2, axis=0)
    chance = jnp.sqrt(gaps**2 + matmul((points**2).T, others**2))
    turning = matmul(by_place.T, others) / jnp.where(chance > 0, chance, 1)
    return jnp.sum(matmul(points, turning) * others, axis=1)


def _anew(
    points: Float[Array, "samples components"],
    others: Float[Array, "samples others"],
    weights: Float[Array, " samples"],
) -> Float[Array, "samples all"]:
    """Images on the components that samples with these weights have, within what the given ones span."""
    images = jnp.concatenate([points, others], axis=1)
    images = images - matmul(weights, images) / jnp.sum(weights)
    return matmul(images, jnp.linalg.eigh(matmul((images * weights[:, None]).T, images))[1][:, ::-1])
