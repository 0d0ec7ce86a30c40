"""How far principal components may be off: what a solver's answer is held against."""

import jax.numpy as jnp
from jaxtyping import Array, Float

# Above this a score may be off by 1e-5 (below: 1e-7 on features of trained CNNs): a safer solver it is.
MAX_ERROR = 1e-3


def points_error(
    squares: Float[Array, " found"], residuals: Float[Array, "judged _"], n_components: int
) -> Float[Array, ""]:
    """Bound on the share of the points that lies outside the true principal subspace, in [0, 1].

        error^2 = sum of s_i^2 sin_i^2 / sum of s_i^2,   sin_i = r_i / (s_i^2 - s_{k+1}^2 - r_{k+1})

    with `r_i = |A v_i - s_i^2 v_i|`, A the Gram matrix. `sin_i` bounds the sine of the angle between the i-th
    vector and the subspace of the k leading ones (Davis and Kahan 1970, doi:10.1137/0707001), weighted with
    the size of its coordinate, for a component that holds nothing cannot spoil a score. It is 1 where the
    gap is no larger than the residual. `r_{k+1}` is there because a Ritz value that has not converged is
    too small, and a tie would look like a gap.

    Args:
      squares: squared singular values, descending; those kept and at least one more.
      residuals: `A v_i - s_i^2 v_i` of as many pairs.
      n_components: k.
    """
    kept = squares[:n_components]
    lengths = jnp.linalg.norm(residuals[: n_components + 1], axis=1)
    gaps = kept - squares[n_components] - lengths[n_components]
    lengths = lengths[:n_components]
    sines = jnp.where(lengths < gaps, lengths / jnp.where(gaps > 0, gaps, 1), 1)
    everything = jnp.sum(kept)
    share = jnp.sum(kept * sines * sines) / jnp.where(everything == 0, 1, everything)
    return jnp.where(everything == 0, 0, jnp.sqrt(share))
