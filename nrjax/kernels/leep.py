"""LEEP and NCE: what the model's own predictions say of the labels. They read probabilities, not features."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import matmul, one_hot


def leep(
    probabilities: Float[Array, "samples source_classes"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Mean log likelihood of the labels given the model's own classes, at most 0; higher is better.

    P(y|z) = P(y,z) / P(z) with P(y,z) = mean of the probability of z over all samples, counted where the
    label is y; then the mean of log sum_z P(y_i|z) theta_iz. A source class nobody has counts nothing.

    Source: Nguyen et al. 2020, arXiv:2002.12462.
    """
    joint = matmul(one_hot(labels, n_classes, probabilities.dtype).T, probabilities)
    total = jnp.sum(joint, axis=0)
    given = joint / jnp.where(total > 0, total, 1)
    likelihood = jnp.sum(given[labels] * probabilities, axis=1) / jnp.sum(probabilities, axis=1)
    return jnp.mean(jnp.log(jnp.minimum(likelihood, 1)))


def nce(
    probabilities: Float[Array, "samples source_classes"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """-H(Y|Z), Z the model's most probable class, in [-log classes, 0]; higher is better.

    Source: Tran et al. 2019, arXiv:1908.08142.
    """
    samples, source_classes = probabilities.shape
    named = jax.nn.one_hot(jnp.argmax(probabilities, axis=1), source_classes, dtype=probabilities.dtype)
    joint = matmul(one_hot(labels, n_classes, probabilities.dtype).T, named) / samples
    total = jnp.sum(joint, axis=0)
    given = joint / jnp.where(total > 0, total, 1)
    return jnp.minimum(jnp.sum(jax.scipy.special.xlogy(joint, given)), 0)


def estimate_leep(probabilities, labels, *, n_classes: int, **_) -> Estimate:
    """`leep`, a mean of logarithms of sums of positive numbers: its error is that of the largest of them."""
    value = leep(probabilities, labels, n_classes=n_classes)
    return Estimate(value, 4 * jnp.finfo(value.dtype).eps * (1 + jnp.abs(value)))


def estimate_nce(probabilities, labels, *, n_classes: int, **_) -> Estimate:
    """`nce`, which counts: exact but for its logarithms."""
    value = nce(probabilities, labels, n_classes=n_classes)
    return Estimate(value, 4 * jnp.finfo(value.dtype).eps * (1 + jnp.abs(value)))
