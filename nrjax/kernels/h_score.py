"""H-score and its regularised form: how much of the features' covariance lies between the classes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import matmul, one_hot
from nrjax.kernels.spectrum import Factorisation, centred, spectrum, standardised


def estimate_h_score(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`h_score` and its error: what doubtful directions hold, and what U lacks of being orthonormal."""
    _, left, is_signal, is_uncertain, *_ = spectrum(standardised(features, rounding), solver)
    indicators = one_hot(labels, n_classes, features.dtype)
    counts = jnp.maximum(jnp.sum(indicators, axis=0), 1)
    sums = matmul(left.T, indicators)
    inside = jnp.where(is_signal[:, None], sums, 0)
    held = matmul(left, inside)
    skew = jnp.sum((jnp.sum(held * held, axis=0) - jnp.sum(inside * inside, axis=0)) / counts)
    doubt = jnp.sum(jnp.where(is_uncertain[:, None], sums, 0) ** 2 / counts)
    return Estimate(jnp.sum(inside * inside / counts), doubt + jnp.abs(skew))


def h_score(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """tr(cov(X)^+ cov(E[X|y])), in [0, min(classes - 1, dims)]; higher is better.

    With centred X = U diag(s) V' it is the share of the classes' indicators that lies in the span of U,
    sum over classes of |U' 1_c|^2 / n_c. No linear map of the features changes it, so they are standardised.

    Source: Bao et al. 2019, doi:10.1109/ICIP.2019.8803726.
    """
    return estimate_h_score(features, labels, n_classes=n_classes, rounding=float(jnp.finfo(features.dtype).eps)).value


def estimate_regularized_h_score(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int, rounding: float, **_
) -> Estimate:
    """`regularized_h_score` and its error, from the residuals of the system that it solves."""
    samples, dims = features.shape
    rows = centred(features, rounding).rows
    indicators = one_hot(labels, n_classes, features.dtype)
    counts = jnp.maximum(jnp.sum(indicators, axis=0), 1)
    # Rows of A X are the classes' means, weighted so that (A X)'(A X) is the covariance of means.
    averaging = (indicators / jnp.sqrt(counts * (samples - 1))).T
    by_dims = dims <= samples
    gram = (matmul(rows.T, rows) if by_dims else matmul(rows, rows.T)) / samples
    variance = jnp.trace(gram) / dims
    fro = jnp.sum(gram * gram)
    fourth = jnp.sum(jnp.sum(rows * rows, axis=1) ** 2)
    beta, delta = (fourth / samples - fro) / (dims * samples), (fro - dims * variance**2) / dims
    shrinkage = jnp.clip(beta / jnp.where(delta > 0, delta, 1), 0, 1) * (dims > 1)  # one direction is its own mean
    eps, tiny = jnp.finfo(features.dtype).eps, jnp.finfo(features.dtype).tiny
    ridge = jnp.maximum(shrinkage, eps) * variance
    ridge = jnp.where(variance > 0, ridge, 1)
    matrix = (1 - shrinkage) * gram + ridge * jnp.eye(len(gram), dtype=features.dtype)
    factor = jax.scipy.linalg.cho_factor(matrix)
    means = matmul(averaging, rows)
    # X (ridge + c X'X)^-1 X' = X X' (ridge + c X X')^-1
    wanted = means.T if by_dims else matmul(rows, means.T)
    tested = means.T if by_dims else averaging.T
    solved = jax.scipy.linalg.cho_solve(factor, wanted)
    image = matmul(rows.T, matmul(rows, solved)) if by_dims else matmul(rows, matmul(rows.T, solved))
    residual = wanted - (1 - shrinkage) * image / samples - ridge * solved
    left_over = jnp.sum(tested * jax.scipy.linalg.cho_solve(factor, residual))
    trace = jnp.sum(tested * solved)
    # The shrinkage is a ratio of differences: what they lose to rounding moves the ridge, which divides.
    over, under = jnp.abs(fourth / samples - fro), jnp.abs(fro - dims * variance**2)
    lost = eps * ((fourth / samples + fro) / jnp.maximum(over, tiny) + fro / jnp.maximum(under, tiny))
    moved = jnp.where(lost > 0.01, 1, lost * shrinkage) * (dims > 1)  # how far the shrinkage may be off
    error = jnp.abs(left_over) + jnp.where(variance > 0, moved * jnp.abs(trace), 0)
    return Estimate((1 - shrinkage) * (trace + left_over), error)


def regularized_h_score(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """tr(cov_a(X)^-1 (1 - a) cov(E[X|y])) with Ledoit-Wolf shrinkage a; higher is better.

    In [0, classes - 1], times samples / (samples - 1): as published, the covariance of the means divides by
    samples - 1 and that of the features by samples.

    Source: Ibrahim et al. 2021, arXiv:2110.06893; `sklearn.covariance.LedoitWolf`.
    """
    rounding = float(jnp.finfo(features.dtype).eps)
    return estimate_regularized_h_score(features, labels, n_classes=n_classes, rounding=rounding).value
