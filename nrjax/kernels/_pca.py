"""Principal components of one model's features.

Only the subspace of the leading components matters to what follows: signs and rotations inside it are
the solver's, so compare `singular_values`, `points @ points.T` or scores, never raw coordinates.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from nrjax.kernels import _krylov
from nrjax.kernels._certificate import points_error
from nrjax.kernels._linalg import centre, cleaned, exponent_of, matmul, right_singular, total

Solver = Literal["auto", "svd", "gram", "krylov"]

# Below this many samples or dims a full SVD costs no more than a Gram matrix and its eigenvectors.
SVD_AT_MOST = 32
# Eigenvectors kept beyond n_components: the Rayleigh-Ritz step sorts out what the Gram matrix blurred.
OVERSAMPLING = 10


class Projection(NamedTuple):
    """Samples in the coordinates of the leading components.

    Attributes:
      points: one row per sample, largest component first. Rows that are zero but for rounding are zero.
      singular_values: of the centred features, descending; `s**2 / (samples - 1)` are the variances.
      error: bound on the share of the points that lies outside the true subspace, in [0, 1]. Up to
        `MAX_ERROR` scores agree with float64 to 1e-6; above it take a safer solver: `gram` after `krylov`,
        float64 after `gram`. 0 for `svd`.
    """

    points: Float[Array, "samples components"]
    singular_values: Float[Array, " components"]
    error: Float[Array, ""]


@functools.partial(jax.jit, static_argnames=("n_components", "solver", "axis_name"))
def pca(
    features: Float[Array, "samples dims"],
    n_components: int,
    *,
    solver: Solver = "auto",
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
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
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples; `svd` cannot be split.

    Source: agrees with `sklearn.decomposition.PCA(svd_solver="full").fit_transform` up to signs.
    """
    weights = jnp.ones(len(features), features.dtype) if mask is None else mask.astype(features.dtype)
    devices = 1 if axis_name is None else lax.axis_size(axis_name)
    samples, dims = features.shape
    solver = resolve_solver(solver, (samples * devices, dims), n_components, features.dtype)
    if solver == "krylov":
        points, values, error, exponent = _krylov.krylov(features, n_components, weights, axis_name)
    else:
        exponent = exponent_of(features, axis_name)
        scaled = features * jnp.ldexp(jnp.ones((), features.dtype), -exponent)
        centred = centre(scaled, weights, axis_name)
        points, values, error = (
            _svd(centred, n_components) if solver == "svd" else _gram(centred, n_components, axis_name)
        )
    return Projection(jnp.ldexp(points, exponent), jnp.ldexp(values, exponent), error)


def resolve_solver(solver: Solver, shape: tuple[int, ...], n_components: int, dtype: DTypeLike = jnp.float32) -> Solver:
    """The solver that features of this shape get: the one place where `auto` is decided.

    `svd` for at most 32 samples or dims. `krylov` on CPU where its blocks are small beside the
    features; on accelerators, where it has not been measured, and in float64, where more is expected
    than it certifies, `gram`.
    """
    if solver == "auto" and min(shape) <= SVD_AT_MOST:
        return "svd"
    if solver == "auto":
        solver = "krylov" if jax.default_backend() == "cpu" and dtype == jnp.float32 else "gram"
    return "gram" if solver == "krylov" and not _krylov.fits(shape, n_components) else solver


class Attempt(NamedTuple):
    """A solver, the type it computes in, and how a result names the two."""

    name: str
    solver: Solver
    dtype: DTypeLike


def attempts(
    solver: Solver, shape: tuple[int, ...], n_components: int, dtype: DTypeLike = jnp.float32
) -> list[Attempt]:
    """What to try, in order, until a result's `error` is at most `MAX_ERROR`; the last is as good as it gets.

    In float64 (under `jax.enable_x64`) components tell apart that float32 rounding ties. TPUs have none.
    """
    solver = resolve_solver(solver, shape, n_components, dtype)
    ladder = [Attempt(solver, solver, dtype)]
    if solver == "krylov":
        ladder.append(Attempt("gram", "gram", dtype))
    if solver != "svd" and dtype != jnp.float64 and jax.default_backend() != "tpu":
        ladder.append(Attempt("gram, float64", "gram", jnp.float64))
    return ladder


class _Found(NamedTuple):
    points: Float[Array, "samples components"]
    values: Float[Array, " components"]
    error: Float[Array, ""]


def _svd(centred: Float[Array, "samples dims"], n_components: int) -> _Found:
    left, values, _ = jnp.linalg.svd(centred, full_matrices=False)
    points = left[:, :n_components] * values[:n_components]
    return _Found(cleaned(points, centred, None), values[:n_components], jnp.zeros((), centred.dtype))


def _gram(centred: Float[Array, "samples dims"], n_components: int, axis_name: str | None) -> _Found:
    """By way of the smaller of X'X and XX'; of X'X, which is a sum over samples, where devices split them."""
    samples, dims = centred.shape
    block = min(n_components + OVERSAMPLING, dims, samples if axis_name is None else dims)
    by_dims = samples >= dims or axis_name is not None
    gram = total(matmul(centred.T, centred), axis_name) if by_dims else matmul(centred, centred.T)
    vectors = jnp.linalg.eigh(gram)[1][:, -block:]
    values, rotation = right_singular(matmul(centred if by_dims else centred.T, vectors), axis_name)
    judged = min(n_components + 1, block)
    vectors, squares = matmul(vectors, rotation[:, :judged]), values[:judged] ** 2
    if by_dims:
        points = matmul(centred, vectors)  # X V = (left vectors) diag(s)
        residuals = total(matmul(points.T, centred), axis_name) - (vectors * squares).T
    else:
        points = vectors * values[:judged]  # U diag(s)
        residuals = (matmul(centred, matmul(centred.T, vectors)) - vectors * squares).T
    if judged == n_components:  # all there are: nothing lies outside
        error = jnp.zeros((), centred.dtype)
    else:
        error = points_error(squares, residuals, n_components)
    return _Found(cleaned(points[:, :n_components], centred, axis_name), values[:n_components], error)
