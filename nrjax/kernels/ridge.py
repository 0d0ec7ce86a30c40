"""Ridge regression in closed form, judged by leaving one sample out, or one group of samples.

With Xs = U diag(s) V' the standardised features and Yc the centred targets:

    fit(a) = U diag(s^2 / (s^2 + a)) U' Yc        H(a) = U diag(s^2 / (s^2 + a)) U' + 1 1' / samples
    residual of sample i, fitted without it = (Yc - fit)_i / (1 - H_ii)
    residuals of group G, fitted without it = (I - H_GG)^-1 (Yc - fit)_G

so that one factorisation serves every regularisation, every column of the targets and every group.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.linalg import map_blocks, matmul
from nrjax.kernels.spectrum import Factorisation, spectrum, standardised

ALPHAS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)
AT_ONCE = 1 << 22  # numbers


class Groups(NamedTuple):
    """Samples that are left out together.

    Attributes:
      ids: group of every sample.
      members: places of the samples of every group, groups of about one size in one array; `samples` fills up.
      positions: where each sample is among the members, all arrays flat and one after the other.
    """

    ids: Int[Array, " samples"]
    members: tuple[Int[Array, "_ _"], ...]
    positions: Int[Array, " samples"]


class LeftOut(NamedTuple):
    """What ridge regressions that were fitted without a sample, or its group, leave over.

    Attributes:
      residuals: targets less the value that the fit without the sample gives it.
      free: share of a sample's own residual that its fit leaves over; small where the fit hangs on the sample.
      alpha: the regularisation.
      error: of what is fitted, relative: that of the squares, beside alpha.
    """

    residuals: Float[Array, "samples outputs"]
    free: Float[Array, " samples"]
    alpha: Float[Array, ""]
    error: Float[Array, ""]


def leave_out(
    features: Float[Array, "samples dims"],
    targets: Float[Array, "samples outputs"],
    groups: Groups | None,
    *,
    solver: Factorisation,
    rounding: float | None,
) -> tuple[LeftOut, LeftOut, Bool[Array, ""]]:
    """With the regularisation of the least squared error so and with the second; and whether that is as good.

    The scaling of the features sees all samples, the fit does not see what is left out.
    """
    samples, dims = features.shape
    eps = float(jnp.finfo(features.dtype).eps)
    squares, left, *_ = spectrum(standardised(features, max(eps, rounding or 0)), solver)
    centred = targets - jnp.mean(targets, axis=0)
    turned = matmul(left.T, centred)

    def residuals(alpha: Float[Array, ""]) -> tuple[Float[Array, "samples outputs"], Float[Array, " samples"]]:
        kept, lost = squares / (squares + alpha), alpha / (squares + alpha)
        if dims > samples:  # U is complete: what is not fitted has no cancellation, where 1 - h would
            unfitted = matmul(left, lost[:, None] * turned)
        else:
            unfitted = centred - matmul(left, kept[:, None] * turned)
        if groups is not None:
            return _without_groups(left, kept, lost if dims > samples else None, unfitted, groups)
        if dims > samples:
            free = matmul(left * left, lost) - 1 / samples
        else:
            free = 1 - matmul(left * left, kept) - 1 / samples
        free = jnp.maximum(free, eps)
        return unfitted / free[:, None], free

    def left_out(alpha: Float[Array, ""]) -> LeftOut:
        return LeftOut(*residuals(alpha), alpha, 4 * eps * (1 + jnp.max(squares) / alpha))

    alphas = jnp.asarray(ALPHAS, features.dtype)
    errors = lax.map(lambda alpha: jnp.mean(residuals(alpha)[0] ** 2), alphas)
    best, second = jnp.argsort(errors)[:2]
    if groups is None:
        chosen, other = left_out(alphas[best]), left_out(alphas[second])
    else:  # one copy of a longer program
        both = lax.map(left_out, alphas[jnp.stack([best, second])])
        chosen, other = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
    return chosen, other, errors[second] - errors[best] <= jnp.minimum(chosen.error, 0.1) * errors[best]


def _inverse(matrix: Float[Array, "size size"]) -> Float[Array, "size size"]:
    """Of a positive definite matrix; NaN where it is not, but for rounding."""
    factor = lax.linalg.cholesky(matrix)
    inverse = lax.linalg.triangular_solve(factor, jnp.eye(len(matrix), dtype=matrix.dtype), left_side=True, lower=True)
    return matmul(inverse.T, inverse)


def _without_groups(
    left: Float[Array, "samples width"],
    kept: Float[Array, " width"],
    lost: Float[Array, " width"] | None,
    unfitted: Float[Array, "samples outputs"],
    groups: Groups,
) -> tuple[Float[Array, "samples outputs"], Float[Array, " samples"]]:
    """Residuals without the group, and the inverse of the diagonal of (I - H_GG)^-1.

    Groups of more samples than directions are solved in the directions: (I - W W')^-1 = I + W (I - W'W)^-1 W'.
    """
    samples, width = left.shape

    both = jnp.concatenate([left, unfitted], axis=1)

    def of_group(places):
        inside = (places < samples).astype(left.dtype)
        rows, rest = jnp.split(both[jnp.minimum(places, samples - 1)] * inside[:, None], [width], axis=1)
        if lost is None and len(places) > width + 1:
            weighted = jnp.concatenate([rows * jnp.sqrt(kept), inside[:, None] / samples**0.5], axis=1)
            inverse = _inverse(jnp.eye(width + 1, dtype=left.dtype) - matmul(weighted.T, weighted))
            spread = matmul(weighted, inverse)
            diagonal = 1 + jnp.sum(spread * weighted, axis=1, keepdims=True)
            return jnp.concatenate([rest + matmul(spread, matmul(weighted.T, rest)), diagonal], axis=1)
        if lost is None:
            free = jnp.eye(len(places), dtype=left.dtype) - matmul(rows * kept, rows.T)
        else:
            free = matmul(rows * lost, rows.T) + jnp.diag(1 - inside)
        inverse = _inverse(free - inside[:, None] * inside / samples)
        return jnp.concatenate([matmul(inverse, rest), jnp.diagonal(inverse)[:, None]], axis=1)

    results = []
    for places in groups.members:
        size = places.shape[1]
        of = map_blocks(of_group, places, max(1, AT_ONCE // (size * (min(size, width) + width))))
        results.append(of.reshape(-1, of.shape[2]))
    residuals, amplified = jnp.split(jnp.concatenate(results)[groups.positions], [unfitted.shape[1]], axis=1)
    return residuals, 1 / amplified[:, 0]
