"""How far a result may be off: what a solver's answer and a score's value are held against."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import total, units

# Above this a score may be off by 1e-5 (below: 1e-7 on features of trained CNNs): a safer solver it is.
MAX_ERROR = 1e-3
HIDDEN = 0.01  # of the samples
# Of a silhouette's own arithmetic, relative to the distances: what a score may be off by all in all.
MAX_ROUNDING = 1e-5


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


def points_error(
    squares: Float[Array, " found"],
    residuals: Float[Array, "judged _"],
    n_components: int,
    shares: Float[Array, " components"] | None = None,
) -> Float[Array, ""]:
    """Bound on the share of the points that lies outside the true principal subspace, in [0, 1].

        error^2 = sum of w_i sin_i^2 / sum of w_i,   sin_i = r_i / (s_i^2 - s_{k+1}^2 - r_{k+1})

    with `r_i = |A v_i - s_i^2 v_i|`, A the Gram matrix. `sin_i` bounds the sine of the angle between the i-th
    vector and the subspace of the k leading ones (Davis and Kahan 1970, doi:10.1137/0707001), weighted with
    what its coordinate decides, for a component that holds nothing cannot spoil a score. It is 1 where the
    gap is no larger than the residual. `r_{k+1}` is there because a Ritz value that has not converged is
    too small, and a tie would look like a gap.

    Args:
      squares: squared singular values, descending; those kept and at least one more.
      residuals: `A v_i - s_i^2 v_i` of as many pairs.
      n_components: k.
      shares: w, see `shares_of`; None takes the squares.
    """
    kept = squares[:n_components]
    lengths = jnp.linalg.norm(residuals[: n_components + 1], axis=1)
    gaps = kept - squares[n_components] - lengths[n_components]
    lengths = lengths[:n_components]
    sines = jnp.where(lengths < gaps, lengths / jnp.where(gaps > 0, gaps, 1), 1)
    weights = kept if shares is None else shares
    everything = jnp.sum(weights)
    share = jnp.sum(weights * sines * sines) / jnp.where(everything == 0, 1, everything)
    return jnp.where(everything == 0, 0, jnp.sqrt(share))


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
    points: Float[Array, "samples components"], squares: Float[Array, " found"], residuals: Float[Array, "judged _"],
    n_components: int, weights: Float[Array, " samples"], axis_name: str | None,
) -> Float[Array, ""]:  # fmt: skip
    """`points_error` by what the points are used for; samples that rounding hides in float32 count as lost."""
    if len(squares) <= n_components:  # all there are: nothing lies outside
        return jnp.zeros((), points.dtype)
    shares, hidden = shares_of(points, weights, axis_name)
    error = points_error(squares, residuals, n_components, shares)
    return error if points.dtype == jnp.float64 else jnp.maximum(error, jnp.where(hidden > HIDDEN, hidden, 0))


def joint_error(of_points: Float[Array, ""], of_silhouettes: Float[Array, ""]) -> Float[Array, ""]:
    """The larger of two errors, in units of `points_error`: at most `MAX_ERROR` where both are small enough."""
    return jnp.maximum(of_points, MAX_ERROR / MAX_ROUNDING * of_silhouettes)
