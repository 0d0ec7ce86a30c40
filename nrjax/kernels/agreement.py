"""How well values agree with a target: R^2, correlation, average precision, accuracy balanced over classes."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import map_blocks, matmul, one_hot

AT_ONCE = 1 << 22  # numbers


def mean_of_used(values: Float[Array, " outputs"], used: Bool[Array, " outputs"]) -> Float[Array, ""]:
    """Mean over the outputs that vary; NaN where none does."""
    return jnp.sum(jnp.where(used, values, 0)) / jnp.sum(used)


def r_squared(
    residuals: Float[Array, "samples outputs"], centred: Float[Array, "samples outputs"], used: Bool[Array, " outputs"]
) -> tuple[Float[Array, " outputs"], Float[Array, " samples"]]:
    """1 - A / B per output, A the mean square of the residuals, B that of the target; influences on their mean."""
    size = jnp.where(used, jnp.mean(centred * centred, axis=0), 1)
    unexplained = jnp.mean(residuals * residuals, axis=0) / size
    influences = (unexplained * centred**2 - residuals**2) / size
    return 1 - unexplained, _mean_over_outputs(influences, used)


def correlation(
    values: Float[Array, "samples outputs"], numbers: Float[Array, "samples outputs"], used: Bool[Array, " outputs"]
) -> tuple[Float[Array, " outputs"], Float[Array, " samples"]]:
    """Pearson's correlation per output, 0 where the values do not vary; influences of samples on the mean of all."""

    def units(columns):
        columns = columns - jnp.mean(columns, axis=0)
        size = jnp.sqrt(jnp.mean(columns * columns, axis=0))
        return columns / jnp.where(size > 0, size, 1)

    a, b = units(values), units(numbers)
    r = jnp.mean(a * b, axis=0)
    return r, _mean_over_outputs(a * b - r * (a * a + b * b) / 2, used)


def _mean_over_outputs(
    influences: Float[Array, "samples outputs"], used: Bool[Array, " outputs"]
) -> Float[Array, " samples"]:
    return jnp.sum(jnp.where(used, influences, 0), axis=1) / jnp.sum(used)


def average_precision(values: Float[Array, " samples"], positive: Float[Array, " samples"]) -> Float[Array, ""]:
    """Mean over the positives, which are 1 and others 0, of the precision among all of no less value; NaN without any.

    Source: `sklearn.metrics.average_precision_score`.
    """
    falling, is_positive = lax.sort((-values, positive), num_keys=1)
    last = jnp.concatenate([falling[1:] != falling[:-1], jnp.ones(1, bool)])  # of those that are tied, which count all
    counts = jnp.stack([jnp.cumsum(is_positive), jnp.arange(1, len(values) + 1, dtype=values.dtype)])
    found, among = lax.cummin(jnp.where(last, counts, jnp.inf), axis=1, reverse=True)
    return jnp.sum(is_positive * found / among) / jnp.sum(is_positive)


def average_precisions(
    values: Float[Array, "samples labels"], positive: Float[Array, "samples labels"]
) -> Float[Array, " labels"]:
    """`average_precision` per label."""
    at_once = max(1, AT_ONCE // len(values))
    return map_blocks(lambda of: average_precision(*of), (values.T, positive.T), at_once)


def average_precision_between(
    values: Float[Array, "samples labels"],
    others: Float[Array, "samples labels"],
    positive: Float[Array, "samples labels"],
    off: Float[Array, " samples"],
) -> tuple[Float[Array, " labels"], Float[Array, " labels"], Float[Array, " labels"]]:
    """Average precision per label, how far it goes where every value may be off by so much, and that of others."""
    away = off[:, None] * (2 * positive - 1)
    stacked = jnp.concatenate([values, values - away, values + away, others], axis=1)
    exact, least, most, of_others = average_precisions(stacked, jnp.tile(positive, 4)).reshape(4, -1)
    return exact, most - least, of_others


def balanced(estimate: Estimate, labels: Int[Array, " samples"], n_classes: int) -> Estimate:
    """Mean over the classes that there are of the accuracy on each, from hits and misses of samples."""
    hits, members = estimate.value, one_hot(labels, n_classes, estimate.value.dtype)
    counts = jnp.sum(members, axis=0)
    share = matmul(members, 1 / jnp.maximum(counts, 1) / jnp.sum(counts > 0))  # of the score, by sample
    accuracy = matmul(members.T, hits) / counts
    influences = len(labels) * share * (hits - matmul(members, jnp.where(counts > 0, accuracy, 0)))
    error = estimate.error * len(labels) * jnp.max(share)
    return Estimate(jnp.sum(share * hits), error, estimate.predicted, accuracy, influences)
