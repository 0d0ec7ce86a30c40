"""Principal components of one model's features.

Only the subspace of the leading components matters to what follows: signs and rotations inside it are
the solver's, so compare `singular_values`, `points @ points.T` or scores, never raw coordinates.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from nrjax.kernels import _krylov
from nrjax.kernels._linalg import matmul, right_singular

Solver = Literal["auto", "svd", "gram", "krylov"]

# Below this many samples or dims a full SVD costs no more than a Gram matrix and its eigenvectors.
SVD_AT_MOST = 32
# Above this `error` the score may be off by more than 1e-6: `gram` it is.
KRYLOV_ERROR = 1e-2
# Eigenvectors kept beyond n_components: the Rayleigh-Ritz step sorts out what the Gram matrix blurred.
OVERSAMPLING = 10


class Projection(NamedTuple):
    """Samples in the coordinates of the leading components.

    Attributes:
      points: one row per sample, largest component first. Rows that are zero but for rounding are zero.
      singular_values: of the centred features, descending; `s**2 / (samples - 1)` are the variances.
      error: bound on the sine of the angle between the subspace found and the true one, for `krylov`;
        0 for the solvers that iterate to machine precision.
    """

    points: Float[Array, "samples components"]
    singular_values: Float[Array, " components"]
    error: Float[Array, ""]


@functools.partial(jax.jit, static_argnames=("n_components", "solver"))
def pca(
    features: Float[Array, "samples dims"],
    n_components: int,
    *,
    solver: Solver = "auto",
    mask: Bool[Array, " samples"] | None = None,
) -> Projection:
    """Coordinates of every sample on the leading principal components.

    Args:
      features: finite; any scale and offset.
      n_components: static, at most `min(samples, dims)`.
      solver: `svd` is the thin SVD of the centred features; `gram` the eigenvectors of the smaller
        Gram matrix, then a Rayleigh-Ritz step on `n_components + 10` of them; `krylov` reads the
        features a few times and says how well it did (`error`), and is `gram` where the features are
        too small for it; `auto` is `resolve_solver`'s choice.
      mask: samples that count; the others get zero points. None counts all.

    Source: agrees with `sklearn.decomposition.PCA(svd_solver="full").fit_transform` up to signs.
    """
    exponent = jnp.clip(jnp.frexp(jnp.max(jnp.abs(features)))[1], -125, 125)
    centred = _centre(features * jnp.ldexp(jnp.ones((), features.dtype), -exponent), mask)
    solver = resolve_solver(solver, centred.shape, n_components, centred.dtype)
    error = jnp.zeros((), centred.dtype)
    if solver == "svd":
        left, values, _ = jnp.linalg.svd(centred, full_matrices=False)
        values = values[:n_components]
        points = left[:, :n_components] * values
    elif solver == "krylov":
        points, values, error = _krylov.krylov(centred, n_components)
    else:
        points, values = _gram(centred, n_components)
    norms = jnp.linalg.norm(points, axis=1, keepdims=True)
    largest = jnp.sqrt(jnp.max(jnp.sum(centred * centred, axis=1)))
    points = jnp.where(norms > 10 * jnp.finfo(points.dtype).eps * largest, points, 0)
    return Projection(jnp.ldexp(points, exponent), jnp.ldexp(values, exponent), error)


def resolve_solver(solver: Solver, shape: tuple[int, ...], n_components: int, dtype: DTypeLike = jnp.float32) -> Solver:
    """The solver that features of this shape get: the one place where `auto` is decided.

    `svd` for at most 32 samples or dims. `krylov` on CPU where its blocks are small beside the
    features; on accelerators, where its small factorisations are not batched, and in float64, where
    more is expected than it certifies, `gram`.
    """
    if solver == "auto" and min(shape) <= SVD_AT_MOST:
        return "svd"
    if solver == "auto":
        solver = "krylov" if jax.default_backend() == "cpu" and dtype == jnp.float32 else "gram"
    return "gram" if solver == "krylov" and not _krylov.fits(shape, n_components) else solver


def _centre(
    features: Float[Array, "samples dims"], mask: Bool[Array, " samples"] | None
) -> Float[Array, "samples dims"]:
    """Features minus their mean, twice: the second pass removes what the first mean lost to rounding."""
    weights = jnp.ones(len(features), features.dtype) if mask is None else mask.astype(features.dtype)
    for _ in range(2):
        mean = jnp.sum(features * weights[:, None], axis=0) / jnp.sum(weights)
        features = (features - mean) * weights[:, None]
    return features


def _gram(
    centred: Float[Array, "samples dims"], n_components: int
) -> tuple[Float[Array, "samples components"], Float[Array, " components"]]:
    """Points and singular values by way of the smaller of X'X and XX'."""
    samples, dims = centred.shape
    block = min(n_components + OVERSAMPLING, samples, dims)
    if samples >= dims:
        basis = jnp.linalg.eigh(matmul(centred.T, centred))[1][:, -block:]
        image = matmul(centred, basis)  # Y = X V
        values, rotation = right_singular(image)
        return matmul(image, rotation[:, :n_components]), values[:n_components]  # X V W = (left vectors) diag(s)
    basis = jnp.linalg.eigh(matmul(centred, centred.T))[1][:, -block:]
    values, rotation = right_singular(matmul(centred.T, basis))  # X'U = P diag(s) W'
    return matmul(basis, (rotation * values)[:, :n_components]), values[:n_components]  # U W diag(s)
