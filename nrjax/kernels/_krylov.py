"""Leading components by block Krylov iteration: a few reads of the features instead of a Gram matrix.

    Q_0 = leading directions of a sample of the rows,   Q_{j+1} = orth(X'X Q_j - what Q_0..Q_j span)

then a Rayleigh-Ritz step on all blocks together. Blocks are kept as rows `[block, dims]`: on CPU `X Q'`
and `Y' X` in this layout cost one read each, transposed ones up to five.

Musco and Musco 2015, arXiv:1504.05477. What it delivers is certified by the residuals, see `Krylov.error`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from nrjax.kernels._linalg import matmul, right_singular

EXTRA = 22  # directions beyond n_components in each block
STEPS = 2  # blocks after the first
SAMPLE = 16  # the first block comes from one row in so many,
MOST_SAMPLED = 1024  # but from no more than these


class Krylov(NamedTuple):
    """Points and singular values, and how far the subspace may be off.

    Attributes:
      points: as in `Projection`.
      values: singular values, descending.
      error: bound on the sine of the angle to the true subspace, by Davis and Kahan:
        `max |X'X v - s^2 v| / (s_k^2 - s_{k+1}^2)` over the kept pairs. On features of trained CNNs the
        score is off by less than 1e-4 times this.
    """

    points: Float[Array, "samples components"]
    values: Float[Array, " components"]
    error: Float[Array, ""]


def krylov(centred: Float[Array, "samples dims"], n_components: int) -> Krylov:
    """Leading components of centred features; `fits` must hold of their shape."""
    samples, _ = centred.shape
    width = n_components + EXTRA
    sampled = min(samples, MOST_SAMPLED, max(samples // SAMPLE, 4 * width))
    basis = _orthonormal(_leading_rows(centred[:: samples // sampled][:sampled], width))
    image = matmul(centred, basis.T)  # Y = X Q'
    last = image
    for _ in range(STEPS):
        block = _orthonormal(matmul(last.T, centred), basis)
        last = matmul(centred, block.T)
        basis, image = jnp.concatenate([basis, block]), jnp.concatenate([image, last], axis=1)
    values, rotation = right_singular(image)
    points = matmul(image, rotation[:, :n_components])
    squares = values * values
    vectors = matmul(rotation[:, :n_components].T, basis)
    residuals = matmul(points.T, centred) - squares[:n_components, None] * vectors
    gap = squares[n_components - 1] - squares[n_components]
    largest = jnp.max(jnp.linalg.norm(residuals, axis=1))
    return Krylov(points, values[:n_components], jnp.where(gap > 0, largest / jnp.where(gap > 0, gap, 1), jnp.inf))


def fits(shape: tuple[int, ...], n_components: int) -> bool:
    """Whether all blocks together are small beside the features, so that iterating is worth it."""
    return 4 * (STEPS + 1) * (n_components + EXTRA) <= min(shape)


def _leading_rows(rows: Float[Array, "sampled dims"], width: int) -> Float[Array, "width dims"]:
    """Directions of most variance in a few rows, from the smaller Gram matrix."""
    sampled, dims = rows.shape
    if sampled <= dims:
        return matmul(jnp.linalg.eigh(matmul(rows, rows.T))[1][:, -width:].T, rows)
    return jnp.linalg.eigh(matmul(rows.T, rows))[1][:, -width:].T


def _orthonormal(
    rows: Float[Array, "width dims"], against: Float[Array, "known dims"] | None = None
) -> Float[Array, "width dims"]:
    """An orthonormal basis of the rows, without what `against` spans; twice, for one pass leaves rounding behind."""
    for _ in range(2):
        if against is not None:
            rows = rows - matmul(matmul(rows, against.T), against)
        rows = jnp.linalg.qr(rows.T)[0].T
    return rows
