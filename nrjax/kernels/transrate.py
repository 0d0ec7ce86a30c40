"""TransRate: coding rate of the features less that of the classes."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import matmul
from nrjax.kernels.spectrum import Factorisation, centred, spectrum

EPSILON = 1e-4  # of TransRate, beside features of total variance 1
CLASS_ROWS = 256  # of one class, at once


def estimate_transrate(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`transrate` and its error: rounding of the largest eigenvalue, in every direction beside a 1."""
    samples, dims = features.shape
    given = centred(features, rounding)
    rows = given.rows
    if dims > samples:  # coordinates along the components: Gram matrices of the smaller side, same eigenvalues
        squares, left, *_ = spectrum(given, solver)
        rows = left * jnp.sqrt(squares)
    everything = jnp.sum(rows * rows)
    rows = rows * jnp.sqrt(samples / jnp.where(everything > 0, everything, 1))

    def rate_of(gram: Float[Array, "width width"], count) -> Float[Array, ""]:
        matrix = jnp.eye(len(gram), dtype=gram.dtype) + gram / (jnp.maximum(count, 1) * EPSILON)
        return jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(matrix))))

    whole = rate_of(matmul(rows.T, rows), samples)
    rows = rows[jnp.argsort(labels)]  # class after class
    rows = jnp.concatenate([rows, jnp.zeros((CLASS_ROWS, rows.shape[1]), rows.dtype)])
    counts = jnp.bincount(labels, length=n_classes)
    starts = jnp.cumsum(counts) - counts

    def rate(c: Int[Array, ""]) -> Float[Array, ""]:
        def add(i, gram):
            block = lax.dynamic_slice_in_dim(rows, starts[c] + i * CLASS_ROWS, CLASS_ROWS)
            inside = jnp.arange(CLASS_ROWS) < counts[c] - i * CLASS_ROWS
            block = jnp.where(inside[:, None], block, 0)
            return gram + matmul(block.T, block)

        blocks = (counts[c] + CLASS_ROWS - 1) // CLASS_ROWS
        return rate_of(lax.fori_loop(0, blocks, add, jnp.zeros((rows.shape[1],) * 2, rows.dtype)), counts[c])

    value = whole - jnp.sum(counts / samples * lax.map(rate, jnp.arange(n_classes)))
    return Estimate(value, jnp.finfo(rows.dtype).eps / EPSILON * rows.shape[1] ** 0.5)


def transrate(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Rate of the features less the mean rate of the classes, R(Z) - sum_c n_c/samples R(Z_c); higher is better.

    R(Z) = logdet(I + Z'Z / (n eps)) / 2 of n rows. Z is centred and scaled to a total variance of 1, and eps
    is 1e-4: the published scores follow the scale of the features and differ widely with eps.

    Source: Huang et al. 2022, arXiv:2106.09362.
    """
    rounding = float(jnp.finfo(features.dtype).eps)
    return estimate_transrate(features, labels, n_classes=n_classes, rounding=rounding).value
