"""How far principal components may be off, from the residuals of Ritz pairs; and a value with its error."""

from types import ModuleType
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from nrjax._utils.arrays import OneKind

TOLERANCE = 1e-5  # of a silhouette score; the samples leave 1e-2
LAST = 4  # of the judged vectors, which stand for what is not known
SMALLEST_TOLERANCE, LARGEST_TOLERANCE = 1e-6, 1e-3


class Estimate(NamedTuple):
    """A score and how far it may be off.

    Attributes:
      value: of one model, or one per sample, whose mean is the score.
      error: of the score, absolute; an estimate from rank, cancellation and condition, or a bound.
      predicted: for a classifier, the class that it predicts for every sample.
      by_output: where it is not a mean over samples, what it is a mean of: the value of every output, label or class.
      influences: of the samples on a value that is not a mean over them, the fits being as they are.
    """

    value: Float[Array, "*samples"]
    error: Float[Array, ""]
    predicted: Int[Array, " samples"] | None = None
    by_output: Float[Array, " outputs"] | None = None
    influences: Float[Array, " samples"] | None = None


def subspace_error(
    xp: ModuleType, squares: OneKind, outside: OneKind, inside: OneKind, n_components: int
) -> tuple[Any, OneKind]:  # fmt: skip
    """How far the leading Ritz vectors may be turned out of the true subspace.

        t_ij^2 = (p_ij / (s_i - s_j))^2 + (q_i . q_j / ((s_i - mu) (s_i - s_j)))^2       towards each other vector j > k
        o_i^2  = |q_i|^2 / (s_i - mu)^2                                                  towards what is not known

    with Ritz values `s` (squared singular values) and residuals `r_i = p_i + q_i`, `p_i` in the span of the Ritz
    vectors (rounding) and `q_i` outside of it. Two Ritz vectors mix only by way of what lies outside their span, so
    their gap enters in second order. `mu`, the first Ritz value that is not judged, is the largest that may still be
    outside. A vector without a gap is turned by 45 degrees.

    Args:
      xp: `numpy` or `jax.numpy`.
      squares: `s`, `[..., kept]`, descending.
      outside: `q_i . q_j`, `[..., judged, judged]` with `judged` between `n_components` and `kept`.
      inside: `p_ij`, `[..., judged, kept]`.
      n_components: k.

    Returns:
      The root mean square of the tangents, in [0, 1], components counting in proportion to their singular values; and
      the tangents `[..., k, kept - k]`. Among them, the last vectors that are judged stand for what is not known.

    Source: Davis and Kahan 1970, doi:10.1137/0707001; second order as in Stewart 1973, doi:10.1137/1015095.
    """
    k, judged = n_components, outside.shape[-1]
    lengths = xp.maximum(xp.diagonal(outside, axis1=-2, axis2=-1), 0)
    mu = squares[..., judged : judged + 1]
    to_outside = xp.maximum(squares[..., :judged] - mu, 0)
    leading, gaps = squares[..., :k, None], to_outside[..., :k, None]
    # Ritz values are too small while they converge, and a value raised by its residual may tie with the last kept.
    raised = xp.sqrt(lengths) * xp.minimum(_ratio(xp, xp.sqrt(lengths), to_outside), 1)
    following = xp.concatenate([squares[..., k:judged] + raised[..., k:], squares[..., judged:]], axis=-1)[..., None, :]
    tangents = _ratio(xp, inside[..., :k, k:] ** 2, xp.maximum(leading - following, 0) ** 2)
    unknown = _ratio(xp, lengths[..., :k], to_outside[..., :k] ** 2)
    if judged > k:
        between = gaps * xp.maximum(leading - following[..., : judged - k], 0)
        mixed = _ratio(xp, outside[..., :k, k:] ** 2, between**2)
        last = min(LAST, judged - k)
        share = _ratio(xp, mu, squares[..., judged - last : judged]) / last  # their images are longer than it may be
        parts = [mixed[..., :-last], mixed[..., -last:] + unknown[..., None] * share[..., None, :]]
        nothing = xp.zeros((*mixed.shape[:-1], tangents.shape[-1] - mixed.shape[-1]))
        sines = xp.sum(tangents, axis=-1) + xp.sum(mixed, axis=-1) + unknown
        tangents = tangents + xp.concatenate([*parts, nothing], axis=-1)
    else:
        sines = xp.sum(tangents, axis=-1)
    weights = xp.sqrt(xp.maximum(squares[..., :k], 0))
    error = xp.sqrt(_ratio(xp, xp.sum(weights * xp.minimum(sines, 1), axis=-1), xp.sum(weights, axis=-1)))
    return error, xp.sqrt(xp.minimum(tangents, 1))


def _ratio(xp: ModuleType, numerator: Any, denominator: Any) -> Any:
    """Their quotient; 0 where the numerator is 0, and 1 where only the denominator is."""
    positive = denominator > 0
    quotient = numerator / xp.where(positive, denominator, 1)
    return xp.where(positive, quotient, xp.where(numerator > 0, 1.0, 0.0))
