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

from nrjax.kernels._linalg import matmul
from nrjax.kernels._spectrum import members, spectrum, standardised

ALPHAS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)


class Probe(NamedTuple):
    """A fitted probe.

    Attributes:
      hits: 1 for a sample whose class the probe names rightly when fitted without that sample, else 0.
      alpha: the regularisation, of `ALPHAS`, with the least squared error in leaving one out.
    """

    hits: Float[Array, " samples"]
    alpha: Float[Array, ""]


def fit_probe(features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int) -> Probe:
    """Ridge classifier on standardised features. The scaling sees all samples, the fit leaves one out.

    Source: `RidgeClassifierCV(ALPHAS, store_cv_results=True)` of scikit-learn after a `StandardScaler`.
    """
    samples, dims = features.shape
    squares, left = spectrum(standardised(features))
    signs = 2 * members(labels, n_classes, features.dtype) - 1
    targets = signs - jnp.mean(signs, axis=0)
    turned = matmul(left.T, targets)

    def residuals(alpha: Float[Array, ""]) -> Float[Array, "samples classes"]:
        kept = squares / (squares + alpha)
        if dims > samples:  # U is complete: what is not fitted has no cancellation, where 1 - h would
            lost = alpha / (squares + alpha)
            unfitted, free = matmul(left, lost[:, None] * turned), matmul(left * left, lost) - 1 / samples
        else:
            unfitted = targets - matmul(left, kept[:, None] * turned)
            free = 1 - matmul(left * left, kept) - 1 / samples
        return unfitted / jnp.maximum(free, jnp.finfo(free.dtype).eps)[:, None]

    alphas = jnp.asarray(ALPHAS, features.dtype)
    errors = lax.map(lambda alpha: jnp.mean(residuals(alpha) ** 2), alphas)
    alpha = alphas[jnp.argmin(errors)]
    named = jnp.argmax(signs - residuals(alpha), axis=1)
    return Probe((named == labels).astype(features.dtype), alpha)


def probe(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample under a linear probe fitted without it; the mean is its accuracy."""
    return fit_probe(features, labels, n_classes=n_classes).hits
