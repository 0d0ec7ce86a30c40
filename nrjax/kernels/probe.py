"""A linear probe in closed form: ridge regression onto the classes, judged by leaving one sample out.

With Xs = U diag(s) V' the standardised features and Yc the centred targets (-1, and 1 for the own class):

    fit(a) = U diag(s^2 / (s^2 + a)) U' Yc        leverage h_i(a) = sum_j U_ij^2 s_j^2 / (s_j^2 + a) + 1 / samples
    residual of sample i, fitted without it = (Yc_i - fit_i) / (1 - h_i)

so that one factorisation serves every regularisation and every class.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import matmul, one_hot
from nrjax.kernels.spectrum import Factorisation, spectrum, standardised

ALPHAS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)


class Probe(NamedTuple):
    """A fitted probe.

    Attributes:
      predicted: class that the probe gives every sample when fitted without that sample.
      hits: 1 where that is its own, else 0.
      alpha: the regularisation, of `ALPHAS`, with the least squared error in leaving one out.
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
) -> Probe:
    """Ridge classifier on standardised features. The scaling sees all samples, the fit leaves one out.

    Source: `RidgeClassifierCV(ALPHAS, store_cv_results=True)` of scikit-learn after a `StandardScaler`.
    """
    samples, dims = features.shape
    eps = float(jnp.finfo(features.dtype).eps)
    squares, left, *_ = spectrum(standardised(features, max(eps, rounding or 0)), solver)
    signs = 2 * one_hot(labels, n_classes, features.dtype) - 1
    targets = signs - jnp.mean(signs, axis=0)
    turned = matmul(left.T, targets)

    def residuals(alpha: Float[Array, ""]) -> tuple[Float[Array, "samples classes"], Float[Array, "samples 1"]]:
        kept = squares / (squares + alpha)
        if dims > samples:  # U is complete: what is not fitted has no cancellation, where 1 - h would
            lost = alpha / (squares + alpha)
            unfitted, free = matmul(left, lost[:, None] * turned), matmul(left * left, lost) - 1 / samples
        else:
            unfitted = targets - matmul(left, kept[:, None] * turned)
            free = 1 - matmul(left * left, kept) - 1 / samples
        free = jnp.maximum(free, eps)[:, None]
        return unfitted / free, free

    alphas = jnp.asarray(ALPHAS, features.dtype)
    errors = lax.map(lambda alpha: jnp.mean(residuals(alpha)[0] ** 2), alphas)
    own = one_hot(labels, n_classes, features.dtype) > 0

    def judged(alpha: Float[Array, ""]) -> tuple[Int[Array, " samples"], Float[Array, ""], Float[Array, ""]]:
        left_over, free = residuals(alpha)
        predicted = signs - left_over
        named = jnp.argmax(predicted, axis=1)
        margin = jnp.max(jnp.where(own, predicted, -jnp.inf), axis=1) - jnp.max(
            jnp.where(own, -jnp.inf, predicted), axis=1
        )
        eigenvalue_error = (
            4 * eps * (1 + jnp.max(squares) / alpha)
        )  # of what is fitted: that of the squares, beside alpha
        return named, jnp.mean(jnp.abs(margin) <= eigenvalue_error / free[:, 0]), eigenvalue_error

    best, second = jnp.argsort(errors)[:2]
    named, unsure, eigenvalue_error = judged(alphas[best])
    hits, others = ((of == labels).astype(features.dtype) for of in (named, judged(alphas[second])[0]))
    as_good = errors[second] - errors[best] <= jnp.minimum(eigenvalue_error, 0.1) * errors[best]
    return Probe(named, hits, alphas[best], unsure + jnp.where(as_good, jnp.abs(jnp.mean(hits) - jnp.mean(others)), 0))


def estimate_probe(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`probe` and its error."""
    fitted = fit_probe(features, labels, n_classes=n_classes, solver=solver, rounding=rounding)
    return Estimate(fitted.hits, fitted.error, fitted.predicted)


def probe(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample under a linear probe fitted without it; the mean is its accuracy."""
    return fit_probe(features, labels, n_classes=n_classes).hits
