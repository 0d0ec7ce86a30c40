"""How far principal components may be off, from the residuals of Ritz pairs; and a value with its error."""

from types import ModuleType
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

TOLERANCE = 1e-5  # of a silhouette score; the samples leave 1e-2
SMALLEST_TOLERANCE, LARGEST_TOLERANCE = 1e-6, 1e-3


class Estimate(NamedTuple):
    """A score and how far it may be off.

    Attributes:
      value: of one model, or one per sample, whose mean is the score.
      error: of the score, absolute; an estimate from rank, cancellation and condition, or a bound.
      predicted: for a classifier, the class that it predicts for every sample.
    """

    value: Float[Array, "*samples"]
    error: Float[Array, ""]
    predicted: Int[Array, " samples"] | None = None


def subspace_error(xp: ModuleType, squares: Any, outside: Any, inside: Any, n_components: int) -> Any:
    """Root mean square sine of the angles between the leading Ritz vectors and the true subspace, in [0, 1].

        sin_i^2 = |q_i|^2 / (s_i - mu)^2  +  sum over j > k of (p_ij / (s_i - s_j))^2
                + sum over judged j > k of (q_i . q_j / ((s_i - mu) (s_i - s_j)))^2

    with Ritz values `s` (squared singular values) and residuals `r_i = p_i + q_i`, `p_i` in the span of the Ritz
    vectors (rounding) and `q_i` outside of it. Two Ritz vectors mix only by way of what lies outside their span, so
    their gap enters in second order. `mu`, the first Ritz value that is not judged, is the largest that may still be
    outside. Components count in proportion to their singular values.

    Args:
      xp: `numpy` or `jax.numpy`.
      squares: `s`, `[..., kept]`, descending.
      outside: `q_i . q_j`, `[..., judged, judged]` with `judged` between `n_components` and `kept`.
      inside: `p_ij`, `[..., judged, kept]`.
      n_components: k.

    Source: Davis and Kahan 1970, doi:10.1137/0707001; second order as in Stewart 1973, doi:10.1137/1015095.
    """
    k, judged = n_components, outside.shape[-1]
    lengths = xp.maximum(xp.diagonal(outside, axis1=-2, axis2=-1), 0)
    to_outside = xp.maximum(squares[..., :judged] - squares[..., judged : judged + 1], 0)
    leading, gaps = squares[..., :k, None], to_outside[..., :k, None]
    # Ritz values are too small while they converge, and a value raised by its residual may tie with the last kept.
    raised = xp.sqrt(lengths) * xp.minimum(_ratio(xp, xp.sqrt(lengths), to_outside), 1)
    following = xp.concatenate([squares[..., k:judged] + raised[..., k:], squares[..., judged:]], axis=-1)[..., None, :]
    sines = _ratio(xp, lengths[..., :k], to_outside[..., :k] ** 2)
    sines = sines + xp.sum(_ratio(xp, inside[..., :k, k:] ** 2, xp.maximum(leading - following, 0) ** 2), axis=-1)
    between = gaps * xp.maximum(leading - following[..., : judged - k], 0)
    sines = sines + xp.sum(_ratio(xp, outside[..., :k, k:] ** 2, between**2), axis=-1)
    weights = xp.sqrt(xp.maximum(squares[..., :k], 0))
    return xp.sqrt(_ratio(xp, xp.sum(weights * xp.minimum(sines, 1), axis=-1), xp.sum(weights, axis=-1)))


def _ratio(xp: ModuleType, numerator: Any, denominator: Any) -> Any:
    """Their quotient; 0 where the numerator is 0, and 1 where only the denominator is."""
    positive = denominator > 0
    quotient = numerator / xp.where(positive, denominator, 1)
    return xp.where(positive, quotient, xp.where(numerator > 0, 1.0, 0.0))
