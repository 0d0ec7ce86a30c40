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
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.distances import Distance
from nrjax.kernels.linalg import matmul, or_one
from nrjax.kernels.silhouette import Definition, Method, silhouette_samples, silhouette_score

SPLITS = 4  # into two halves each
# Times what halves have less, 1 / (2^a - 1) for a bias of c / samples^a. Where classes or components are nearly tied, a
# is 1/2, where they are well apart it is 1; these lie between, and hold on the pools of benchmarks.trust.calibration.
BY_COMPONENTS, BY_CLASSES = 1.8, 1.3
STATIC = ("n_classes", "distance", "definition", "method", "block_size")


class Influence(NamedTuple):
    """How the mean silhouette follows from which samples were drawn.

    Attributes:
      influences: what each sample adds: the derivative of the score by the sample's weight, times samples.
        They sum to 0, and `score + mean((w - 1) * influences)` is, to first order, the score of samples that
        count w times.
      bias: by which the score is off from that of many more such samples. The nearest of several classes is
        nearer than it should be where their means are uncertain, and components that are as good as tied are chosen
        by chance. Halves of the samples have more of both. Samples that are alone in their class's half are left out,
        for they score 0 by definition; classes of two say nothing.
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
    influences = _influences(points, labels, others, **options)
    chances = jnp.asarray(np.random.default_rng(0).random((SPLITS, len(points)), np.float32))
    return Influence(influences, _bias(points, labels, others, chances, **options))


@functools.partial(jax.jit, static_argnames=STATIC)
def _influences(
    points: Float[Array, "samples components"], labels: Int[Array, " samples"],
    others: Float[Array, "samples others"] | None, **options: Any,
) -> Float[Array, " samples"]:  # fmt: skip
    """`Influence.influences`."""
    samples = len(points)

    def score_of(weights: Float[Array, " samples"], points: Float[Array, "samples components"]) -> Float[Array, ""]:
        return silhouette_score(points, labels, weights=weights, **options)

    by_weight, by_place = jax.grad(score_of, argnums=(0, 1))(jnp.ones(samples, points.dtype), points)
    influences = samples * by_weight
    if others is not None:
        influences += samples * _by_turning(points, others, by_place) - matmul(points, jnp.sum(by_place, axis=0))
        influences -= jnp.mean(influences)
    return influences


@functools.partial(jax.jit, static_argnames=STATIC)
def _bias(
    points: Float[Array, "samples components"], labels: Int[Array, " samples"],
    others: Float[Array, "samples others"] | None, chances: Float[Array, "splits samples"], *, n_classes: int,
    **options: Any,
) -> Float[Array, ""]:  # fmt: skip
    """`Influence.bias`, from halves of the samples with the components that each half has.

    `chances` are at random in [0, 1): a split puts samples of a class in its halves in turn, in their order.
    """
    samples, components = points.shape
    is_alone = jnp.bincount(labels, length=n_classes)[labels] == 1  # in both halves, or half of the classes were gone

    def silhouettes(place: Int[Array, ""]) -> tuple[Float[Array, " samples"], Float[Array, " samples"]]:
        """Of a half, two of each split, and at last of all samples; and which of them count."""
        shuffled = jnp.argsort(labels + chances[jnp.minimum(place >> 1, SPLITS - 1)])  # class after class
        chosen = is_alone.at[shuffled].max(((jnp.arange(samples) ^ place) & 1 == 0) | (place == 2 * SPLITS))
        weights = chosen.astype(points.dtype)
        kept = silhouette_samples(points, labels, n_classes=n_classes, weights=weights, **options)
        values = BY_CLASSES * kept
        if others is not None:
            images = _anew(points, others, weights)[:, :components]
            own = silhouette_samples(images, labels, n_classes=n_classes, weights=weights, **options)
            values += BY_COMPONENTS * (own - kept)
        return values, weights * (jnp.bincount(labels, weights, length=n_classes)[labels] > 1)

    values, counted = lax.map(silhouettes, jnp.arange(2 * SPLITS + 1))
    values, counted, whole = values[:-1], counted[:-1], values[-1]
    return jnp.sum(counted * (values - whole)) / jnp.maximum(jnp.sum(counted), 1)


def _by_turning(
    points: Float[Array, "samples components"],
    others: Float[Array, "samples others"],
    by_place: Float[Array, "samples components"],
) -> Float[Array, " samples"]:
    """What a sample's weight does to the score by turning the components."""
    gaps = jnp.sum(points**2, axis=0)[:, None] - jnp.sum(others**2, axis=0)
    chance = jnp.sqrt(gaps**2 + matmul((points**2).T, others**2))
    turning = matmul(by_place.T, others) / or_one(chance)
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
