"""A linear probe in closed form: ridge regression onto the target, judged by leaving one sample or group out.

Classes are regressed as -1, and 1 for the own class, several labels as 0 and 1, numbers as they are.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nrjax.kernels.agreement import average_precision_between, balanced, mean_of_used, r_squared
from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import one_hot
from nrjax.kernels.ridge import Groups, LeftOut, leave_out
from nrjax.kernels.spectrum import Factorisation


class Probe(NamedTuple):
    """A fitted probe.

    Attributes:
      predicted: class that the probe gives every sample when fitted without that sample, or its group.
      hits: 1 where that is its own, else 0.
      alpha: the regularisation, of `ridge.ALPHAS`, with the least squared error in leaving one out.
      error: share of the samples that rounding could turn, and what a choice of alpha as good would change.
    """

    predicted: Int[Array, " samples"]
    hits: Float[Array, " samples"]
    alpha: Float[Array, ""]
    error: Float[Array, ""]


def fit_probe(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float | None = None,
    groups: Groups | None = None,
) -> Probe:
    """Ridge classifier on standardised features. The scaling sees all samples, the fit leaves one, or a group, out.

    Source: `RidgeClassifierCV(ALPHAS, store_cv_results=True)` of scikit-learn after a `StandardScaler`.
    """
    signs = 2 * one_hot(labels, n_classes, features.dtype) - 1
    own = one_hot(labels, n_classes, features.dtype) > 0
    best, second, as_good = leave_out(features, signs, groups, solver=solver, rounding=rounding)

    def judged(fit: LeftOut) -> tuple[Int[Array, " samples"], Float[Array, ""]]:
        predicted = signs - fit.residuals
        margin = jnp.max(jnp.where(own, predicted, -jnp.inf), axis=1) - jnp.max(
            jnp.where(own, -jnp.inf, predicted), axis=1
        )
        return jnp.argmax(predicted, axis=1), jnp.mean(jnp.abs(margin) <= fit.error / fit.free)

    named, unsure = judged(best)
    hits, others = ((of == labels).astype(features.dtype) for of in (named, judged(second)[0]))
    return Probe(named, hits, best.alpha, unsure + jnp.where(as_good, jnp.abs(jnp.mean(hits) - jnp.mean(others)), 0))


def estimate_probe(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
    groups: Groups | None = None,
) -> Estimate:
    """`probe` and its error."""
    fitted = fit_probe(features, labels, n_classes=n_classes, solver=solver, rounding=rounding, groups=groups)
    return Estimate(fitted.hits, fitted.error, fitted.predicted)


def probe(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample under a linear probe fitted without it; the mean is its accuracy."""
    return fit_probe(features, labels, n_classes=n_classes).hits


def estimate_balanced_probe(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
    groups: Groups | None = None,
) -> Estimate:
    """Mean over the classes of the probe's accuracy on each, and its error."""
    fitted = fit_probe(features, labels, n_classes=n_classes, solver=solver, rounding=rounding, groups=groups)
    return balanced(Estimate(fitted.hits, fitted.error, fitted.predicted), labels, n_classes)


def balanced_probe(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Mean over the classes of the accuracy of `probe` on each, in [0, 1]; higher is better.

    Source: `sklearn.metrics.balanced_accuracy_score`.
    """
    rounding = float(jnp.finfo(features.dtype).eps)
    return estimate_balanced_probe(features, labels, n_classes=n_classes, rounding=rounding).value


def estimate_average_precision(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
    groups: Groups | None = None,
) -> Estimate:
    """Average precision of the rarer of two classes by the probe's values, and its error.

    Of classes of one size the second is taken for the rare one. The values are those that `probe` compares.
    """
    counts = jnp.sum(one_hot(labels, n_classes, features.dtype), axis=0)
    rare = n_classes - 1 - jnp.argmin(counts[::-1])
    signs = 2 * one_hot(labels, n_classes, features.dtype) - 1
    best, second, as_good = leave_out(features, signs, groups, solver=solver, rounding=rounding)
    of_rare = (labels == rare).astype(features.dtype)[:, None]
    values, others = ((signs - fit.residuals)[:, rare, None] for fit in (best, second))
    value, error, other = average_precision_between(values, others, of_rare, best.error / best.free)
    return Estimate(value[0], error[0] + jnp.where(as_good, jnp.abs(value - other), 0)[0])


def average_precision(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Average precision of the rarer of two classes by the values of `probe`, in [0, 1]; higher is better.

    Chance is the share of the class. Of classes of one size the second is taken for the rare one.

    Source: `sklearn.metrics.average_precision_score`.
    """
    rounding = float(jnp.finfo(features.dtype).eps)
    return estimate_average_precision(features, labels, n_classes=n_classes, rounding=rounding).value


def estimate_probe_of_labels(
    features: Float[Array, "samples dims"],
    labels: Float[Array, "samples labels"],
    *,
    n_classes: int | None = None,
    solver: Factorisation = "gram",
    rounding: float,
    groups: Groups | None = None,
) -> Estimate:
    """Mean over the labels of the average precision of the probe's values, in [0, 1], and its error.

    A label that all samples or none have is left out of the mean.

    Source: `sklearn.metrics.average_precision_score` of `Ridge` fitted without the sample, `StandardScaler` before.
    """
    best, second, as_good = leave_out(features, labels, groups, solver=solver, rounding=rounding)
    values, errors, others = average_precision_between(
        labels - best.residuals, labels - second.residuals, labels, best.error / best.free
    )
    used = jnp.any(labels > 0, axis=0) & jnp.any(labels == 0, axis=0)
    mean = mean_of_used(values, used)
    error = mean_of_used(errors, used) + jnp.where(as_good, jnp.abs(mean - mean_of_used(others, used)), 0)
    return Estimate(mean, error, by_output=jnp.where(used, values, jnp.nan))


def estimate_probe_of_numbers(
    features: Float[Array, "samples dims"],
    numbers: Float[Array, "samples outputs"],
    *,
    n_classes: int | None = None,
    solver: Factorisation = "gram",
    rounding: float,
    groups: Groups | None = None,
) -> Estimate:
    """R^2 = 1 - sum e^2 / sum (y - mean)^2 of the residuals of leaving one out, mean over the outputs; at most 1.

    All outputs, scaled to one variance, choose one regularisation.

    Source: `sklearn.metrics.r2_score` of `Ridge` fitted without the sample, `StandardScaler` before.
    """
    centred = numbers - jnp.mean(numbers, axis=0)
    deviation = jnp.sqrt(jnp.mean(centred * centred, axis=0))
    used = deviation > 0
    scaled = jnp.where(used, centred / jnp.where(used, deviation, 1), 0)
    best, second, as_good = leave_out(features, scaled, groups, solver=solver, rounding=rounding)
    values, influences = r_squared(best.residuals, scaled, used)
    mean = mean_of_used(values, used)
    other = mean_of_used(r_squared(second.residuals, scaled, used)[0], used)
    off = 2 * jnp.mean(jnp.abs(best.residuals) * (best.error / best.free)[:, None], axis=0)
    error = mean_of_used(off, used) + jnp.where(as_good, jnp.abs(mean - other), 0)
    return Estimate(mean, error, by_output=jnp.where(used, values, jnp.nan), influences=influences)
