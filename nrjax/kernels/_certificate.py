"""How far a result may be off: what a solver's answer and a score's value are held against."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import matmul, total, units

# A score of real features is off by a three-hundredth of the share of its points that is, in the median, and by a
# twentieth at most: up to this share by 1e-6. Above it a safer solver it is, and where the score feels more than that.
MAX_ERROR = 3e-5
TOLERANCE = 1e-6
HIDDEN = 0.01  # of the samples
# Of a silhouette's own arithmetic, relative to the distances: what a score may be off by all in all.
MAX_ROUNDING = 1e-5


def largest_error(tolerance: float) -> float:
    """The share of the points that may be off where the score may be by `tolerance`."""
    return MAX_ERROR * tolerance / TOLERANCE


class Estimate(NamedTuple):
    """A value and how far it may be off.

    Attributes:
      value: of one model, or one per sample, whose mean is the score.
      error: of the score, absolute; an estimate from rank, cancellation and condition, or a bound.
      named: of a classifier, the class that it gives every sample.
    """

    value: Float[Array, "*samples"]
    error: Float[Array, ""]
    named: Int[Array, " samples"] | None = None


class Turned(NamedTuple):
    """How far every component may be turned, as tangents of angles.

    Attributes:
      towards: each of the pairs that are known beside the components.
      outside: what no pair spans, of which `mu` is the largest square that there may be.
    """

    towards: Float[Array, "components others"]
    outside: Float[Array, " components"]
    mu: Float[Array, ""]


def turned(
    squares: Float[Array, " found"],
    residuals: Float[Array, "judged width"],
    vectors: Float[Array, "found width"],
    n_components: int,
) -> Turned:
    """By what is left of the residuals of Ritz pairs.

        towards_ij^2 = (p_ij / (s_i - s_j))^2 + (q_i . q_j / ((s_i - mu) (s_i - s_j)))^2
        outside_i = |q_i| / (s_i - mu)

    of pairs `v_i, s_i` (squared singular values) whose residuals `r_i = A v_i - s_i v_i`, A the Gram matrix, have
    a part inside the space of all pairs, `p_ij = r_i . v_j`, which is rounding, and one outside, `q_i`. Two pairs of
    the space mix only by way of what is outside of it, so their closeness enters in second order; `q_j = 0` where that
    is not known. `mu` is the largest square that may still be outside: that of the first pair that is not judged. Ritz
    values are too small while they converge; `s_j` of j > k is raised by what that may be, or a tie would look like a
    gap. Without a gap an angle is 45 degrees.

    Args:
      squares: of all pairs, descending.
      residuals: of the leading pairs; those kept and, where there are more, at least one more.
      vectors: of all pairs, of length 1, in the coordinates of the residuals.
      n_components: k, fewer than there are pairs.

    Source: Davis and Kahan 1970, doi:10.1137/0707001; second order as in Stewart 1973, doi:10.1137/1015095.
    """
    judged = len(residuals)
    inside = matmul(residuals, vectors.T)
    outside = residuals - matmul(inside, vectors)
    lengths = jnp.sum(outside * outside, axis=1)
    mu = squares[min(judged, len(squares) - 1)]
    to_outside = squares[:judged] - mu
    kept, gaps = squares[:n_components, None], to_outside[:n_components, None]
    raised = lengths / jnp.maximum(to_outside, jnp.sqrt(lengths))  # no more than the length of the residual
    raised = jnp.where(lengths > 0, raised, 0)
    others = squares[n_components:].at[: judged - n_components].add(raised[n_components:])
    by_rounding = _over(jnp.abs(inside[:n_components, n_components:]), kept - others)
    between = jnp.abs(matmul(outside[:n_components], outside[n_components:].T))
    by_outside = _over(between, gaps * (kept - others[: judged - n_components]))
    towards = (by_rounding**2).at[:, : judged - n_components].add(by_outside**2)
    return Turned(jnp.sqrt(towards), _over(jnp.sqrt(lengths[:n_components]), gaps[:, 0]), mu)


def points_error(
    squares: Float[Array, " found"],
    residuals: Float[Array, "judged width"],
    vectors: Float[Array, "found width"],
    n_components: int,
    shares: Float[Array, " components"] | None = None,
) -> Float[Array, ""]:
    """Share of the points that lies outside the true principal subspace, in [0, 1].

        error^2 = sum of w_i sin_i^2 / sum of w_i,   sin_i^2 = outside_i^2 + sum over j > k of towards_ij^2, at most 1

    of what is `turned`, weighted with what each coordinate decides, for one that holds nothing cannot spoil a score.

    Args:
      squares: as for `turned`, and so are the next three.
      residuals: of the leading pairs.
      vectors: of all pairs.
      n_components: k.
      shares: w, see `shares_of`; None takes the squares.
    """
    turns = turned(squares, residuals, vectors, n_components)
    weights = squares[:n_components] if shares is None else shares
    sines = jnp.minimum(jnp.sum(turns.towards**2, axis=1) + turns.outside**2, 1)
    everything = jnp.sum(weights)
    share = jnp.sum(weights * sines) / jnp.where(everything == 0, 1, everything)
    return jnp.where(everything == 0, 0, jnp.sqrt(share))


def of_rounding(lengths: Float[Array, " judged"], found: int) -> Float[Array, "judged found"]:
    """Residuals that are nothing but rounding, in the coordinates of the pairs: towards the first that is left out."""
    return jnp.zeros((len(lengths), found), lengths.dtype).at[:, len(lengths) - 1].set(lengths)


def _over(size, gap):
    """Tangent of an angle; 1 where there is no gap."""
    return jnp.where(size < gap, size / jnp.where(gap > 0, gap, 1), (size > 0).astype(gap.dtype))


def shares_of(
    points: Float[Array, "samples components"], weights: Float[Array, " samples"], axis_name: str | None
) -> tuple[Float[Array, " components"], Float[Array, ""]]:
    """How much of what tells samples apart each component holds, and the share of samples that rounding hides.

    Silhouettes compare samples, by direction (cosine) or by place; the larger share of the two counts. The samples
    are taken in pairs, and every pair counts the same: by size, one sample far out would outweigh all others,
    which the other components decide. Pairs that differ by rounding alone count nothing.
    """
    shift = len(points) // 3 + 1
    both = (weights > 0) & (jnp.roll(weights, shift) > 0)

    def of(rows: Float[Array, "samples components"]) -> tuple[Float[Array, " components"], Float[Array, ""]]:
        difference = rows - jnp.roll(rows, shift, axis=0)
        largest = jnp.max(jnp.abs(difference), axis=1, keepdims=True)
        squared = (difference / jnp.where(largest > 0, largest, 1)) ** 2
        length = jnp.sum(squared, axis=1)
        size = jnp.max(jnp.abs(rows), axis=1)
        seen = largest[:, 0] > 30 * jnp.finfo(rows.dtype).eps * jnp.maximum(size, jnp.roll(size, shift))
        each = jnp.where((seen & both)[:, None], squared / jnp.where(length > 0, length, 1)[:, None], 0)
        counted = total(jnp.sum(seen & both), axis_name)
        pairs = jnp.maximum(total(jnp.sum(both), axis_name), 1)
        return total(jnp.sum(each, axis=0), axis_name) / jnp.maximum(counted, 1), 1 - counted / pairs

    (shares, hidden), (also, by_place) = of(units(points)[0]), of(points)
    return jnp.maximum(shares, also), jnp.maximum(hidden, by_place).astype(points.dtype)


def error_of_points(
    points: Float[Array, "samples components"], squares: Float[Array, " found"],
    residuals: Float[Array, "judged width"], vectors: Float[Array, "found width"],
    n_components: int, weights: Float[Array, " samples"], axis_name: str | None,
) -> Float[Array, ""]:  # fmt: skip
    """`points_error` by what the points are used for; samples that rounding hides in float32 count as lost."""
    if len(squares) <= n_components:  # all there are: nothing lies outside
        return jnp.zeros((), points.dtype)
    shares, hidden = shares_of(points, weights, axis_name)
    error = points_error(squares, residuals, vectors, n_components, shares)
    return error if points.dtype == jnp.float64 else jnp.maximum(error, jnp.where(hidden > HIDDEN, hidden, 0))


def as_share(felt: Float[Array, ""]) -> Float[Array, ""]:
    """What a score may be off by, in units of `points_error`: at most `MAX_ERROR` where it is at most `TOLERANCE`."""
    return MAX_ERROR / TOLERANCE * felt


def joint_error(
    of_points: Float[Array, ""], felt: Float[Array, ""], of_silhouettes: Float[Array, ""]
) -> Float[Array, ""]:
    """The largest of three errors, in units of `points_error`.

    Args:
      of_points: `points_error`.
      felt: by the score of that, `as_share`.
      of_silhouettes: by their own arithmetic.
    """
    return jnp.maximum(jnp.maximum(of_points, felt), MAX_ERROR / MAX_ROUNDING * of_silhouettes)
