"""Scores from means and covariances of the classes: H-score and its regularised form, TransRate, GBC."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import exponent_of, matmul
from nrjax.kernels._spectrum import centred, members, spectrum, standardised

EPSILON = 1e-4  # of TransRate, beside features of total variance 1
GBC_COMPONENTS, GBC_FLOOR = 64, 1e-4
CLASS_ROWS = 256  # of one class, at once


def h_score(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """tr(cov(X)^+ cov(E[X|y])), in [0, min(classes - 1, dims)]; higher is better.

    With centred X = U diag(s) V' it is the share of the classes' indicators that lies in the span of U,
    sum over classes of |U' 1_c|^2 / n_c. No linear map of the features changes it, so they are standardised.

    Source: Bao et al. 2019, doi:10.1109/ICIP.2019.8803726.
    """
    squares, left = spectrum(standardised(features))
    there = squares > 10 * jnp.finfo(features.dtype).eps * squares[-1]
    indicators = members(labels, n_classes, features.dtype)
    sums = matmul(jnp.where(there, left, 0).T, indicators)
    return jnp.sum(sums * sums / jnp.maximum(jnp.sum(indicators, axis=0), 1))


def regularized_h_score(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """tr(cov_a(X)^-1 (1 - a) cov(E[X|y])) with Ledoit-Wolf shrinkage a; higher is better.

    In [0, classes - 1], times samples / (samples - 1): as published, the covariance of the means divides by
    samples - 1 and that of the features by samples.

    Source: Ibrahim et al. 2021, arXiv:2110.06893; `sklearn.covariance.LedoitWolf`.
    """
    samples, dims = features.shape
    rows = centred(features)
    indicators = members(labels, n_classes, features.dtype)
    counts = jnp.maximum(jnp.sum(indicators, axis=0), 1)
    # Rows of A X are the classes' means, weighted so that (A X)'(A X) is the covariance of means.
    averaging = (indicators / jnp.sqrt(counts * (samples - 1))).T
    by_dims = dims <= samples
    gram = (matmul(rows.T, rows) if by_dims else matmul(rows, rows.T)) / samples
    variance = jnp.trace(gram) / dims
    fro = jnp.sum(gram * gram)
    fourth = jnp.sum(jnp.sum(rows * rows, axis=1) ** 2)
    beta, delta = (fourth / samples - fro) / (dims * samples), (fro - dims * variance**2) / dims
    shrinkage = jnp.clip(beta / jnp.where(delta > 0, delta, 1), 0, 1)
    ridge = jnp.maximum(shrinkage, jnp.finfo(features.dtype).eps) * variance
    matrix = (1 - shrinkage) * gram + ridge * jnp.eye(len(gram), dtype=features.dtype)
    factor = jax.scipy.linalg.cho_factor(matrix)
    if by_dims:
        means = matmul(averaging, rows)
        trace = jnp.sum(means.T * jax.scipy.linalg.cho_solve(factor, means.T))
    else:  # X (ridge + X'X c)^-1 X' = X X' (ridge + c X X')^-1
        between = matmul(gram, averaging.T) * samples
        trace = jnp.sum(averaging.T * jax.scipy.linalg.cho_solve(factor, between))
    return (1 - shrinkage) * trace


def transrate(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Rate of the features less the mean rate of the classes, R(Z) - sum_c n_c/samples R(Z_c); higher is better.

    R(Z) = logdet(I + Z'Z / (n eps)) / 2 of n rows. Z is centred and scaled to a total variance of 1, and eps
    is 1e-4: the published scores follow the scale of the features and differ widely with eps.

    Source: Huang et al. 2022, arXiv:2106.09362.
    """
    samples, dims = features.shape
    rows = centred(features)
    if dims > samples:  # coordinates along the components: Gram matrices of the smaller side, same eigenvalues
        squares, left = spectrum(rows)
        rows = left * jnp.sqrt(squares)
    rows = rows * jnp.sqrt(samples / jnp.maximum(jnp.sum(rows * rows), jnp.finfo(rows.dtype).tiny))

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

    return whole - jnp.sum(counts / samples * lax.map(rate, jnp.arange(n_classes)))


def gbc(features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int) -> Float[Array, ""]:
    """Overlap of the classes as Gaussians with diagonal covariances, in [-classes (classes - 1), 0]; higher is better.

    -sum over pairs i != j of exp(-D_B), with Bhattacharyya's distance on 64 principal components
    D_B = sum (m_i - m_j)^2 / v / 8 + sum log(v / sqrt(v_i v_j)) / 2, v = (v_i + v_j) / 2, variances at least
    1e-4. Features are taken as they are: their scale beside that floor, and beside nothing else, matters.

    Source: Pandy et al. 2022, arXiv:2111.12780.
    """
    squares, left = spectrum(centred(features))
    points = (left * jnp.sqrt(squares))[:, -GBC_COMPONENTS:]
    indicators = members(labels, n_classes, features.dtype)
    counts = jnp.maximum(jnp.sum(indicators, axis=0), 1)[:, None]
    means = matmul(indicators.T, points) / counts
    around = points - matmul(indicators, means)
    variances = matmul(indicators.T, around * around) / counts
    # In units of `centred`, where nothing overflows; the floor is of the features' own.
    floor = GBC_FLOOR * jnp.ldexp(jnp.ones((), features.dtype), -jnp.clip(2 * exponent_of(features), -120, 120))
    variances = jnp.maximum(variances, floor)

    def overlaps(mean: Float[Array, " components"], variance: Float[Array, " components"]) -> Float[Array, ""]:
        between = (variance + variances) / 2
        distances = jnp.sum((mean - means) ** 2 / between, axis=1) / 8
        distances += jnp.sum(jnp.log(between) - (jnp.log(variance) + jnp.log(variances)) / 2, axis=1) / 2
        return jnp.sum(jnp.exp(-distances))

    each = lax.map(lambda both: overlaps(*both), (means, variances))
    return n_classes - jnp.sum(each)  # a class overlaps itself by 1
