"""Scores from how the classes overlap: TransRate, GBC."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._certificate import Estimate
from nrjax.kernels._linalg import exponent_of, matmul
from nrjax.kernels._spectrum import Factorisation, centred, members, spectrum

EPSILON = 1e-4  # of TransRate, beside features of total variance 1
GBC_COMPONENTS, GBC_FLOOR = 64, 1e-4
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


def estimate_gbc(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`gbc` and its error: components that are as good as tied, by which the variances are told, turn freely."""
    squares, left, _, _, blur, _ = spectrum(centred(features, rounding), solver)
    points = (left * jnp.sqrt(squares))[:, -GBC_COMPONENTS:]
    indicators = members(labels, n_classes, features.dtype)
    counts = jnp.maximum(jnp.sum(indicators, axis=0), 1)[:, None]
    means = matmul(indicators.T, points) / counts
    around = points - matmul(indicators, means)
    variances = matmul(indicators.T, around * around) / counts
    # In units of `centred`, where nothing overflows; the floor is of the features' own.
    most = jnp.finfo(features.dtype).maxexp - 8
    floor = GBC_FLOOR * jnp.ldexp(jnp.ones((), features.dtype), -jnp.clip(2 * exponent_of(features), -most, most))
    variances = jnp.maximum(variances, floor)

    def overlaps(c: Int[Array, ""]) -> Float[Array, ""]:
        mean, variance = means[c], variances[c]
        between = (variance + variances) / 2
        distances = jnp.sum((mean - means) ** 2 / between, axis=1) / 8
        distances += jnp.sum(jnp.log(between) - (jnp.log(variance) + jnp.log(variances)) / 2, axis=1) / 2
        return jnp.sum(jnp.where(jnp.arange(n_classes) == c, 0, jnp.exp(-distances)))  # a class overlaps itself by 1

    value = -jnp.sum(lax.map(overlaps, jnp.arange(n_classes)))
    # Of the components that any variance above the floor is told by, and the first that is left out.
    counted = squares / len(features) > floor
    gaps = jnp.where(counted[1:], blur[1:] / jnp.maximum(squares[1:] - squares[:-1], blur[1:]), 0)
    turned = jnp.max(gaps[-GBC_COMPONENTS:], initial=0)
    smallest = jnp.finfo(value.dtype).tiny  # of which nothing can be said
    relative = jnp.where((turned > 0.01) | (value > -smallest) & (value.dtype != jnp.float64), 1, turned)
    return Estimate(value, jnp.maximum(jnp.abs(value), smallest) * relative)


def gbc(features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int) -> Float[Array, ""]:
    """Overlap of the classes as Gaussians with diagonal covariances, in [-classes (classes - 1), 0]; higher is better.

    -sum over pairs i != j of exp(-D_B), with Bhattacharyya's distance on 64 principal components
    D_B = sum (m_i - m_j)^2 / v / 8 + sum log(v / sqrt(v_i v_j)) / 2, v = (v_i + v_j) / 2, variances at least
    1e-4. Features are taken as they are: their scale beside that floor, and beside nothing else, matters.

    Source: Pandy et al. 2022, arXiv:2111.12780.
    """
    return estimate_gbc(features, labels, n_classes=n_classes, rounding=float(jnp.finfo(features.dtype).eps)).value
