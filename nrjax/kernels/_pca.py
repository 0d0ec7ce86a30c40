"""Principal components of one model's features.

Only the subspace of the leading components matters to what follows: signs and rotations inside it are
the solver's, so compare `singular_values`, `points @ points.T` or scores, never raw coordinates.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._certificate import MAX_ERROR, error_of_points, of_rounding
from nrjax.kernels._felt import Doubt, doubt
from nrjax.kernels._krylov import Feels, Found, fits, krylov
from nrjax.kernels._leading import leading_vectors
from nrjax.kernels._linalg import centre, cleaned, devices_along, exponent_of, matmul, right_singular, total

Solver = Literal["auto", "svd", "gram", "krylov"]

# Below this many samples or dims a full SVD costs no more than a Gram matrix and its eigenvectors.
SVD_AT_MOST = 32
# Eigenvectors kept beyond n_components: the Rayleigh-Ritz step sorts out what the Gram matrix blurred.
OVERSAMPLING = 10
NOISE = 2  # features that vary by so many times their rounding, or less, are constant
DOUBT = 64  # in float32 so many may be, too: that is for float64 to say


class Projection(NamedTuple):
    """Samples in the coordinates of the leading components.

    Attributes:
      points: one row per sample, largest component first. Rows that are zero but for rounding are zero, and all
        of them where the features vary by no more than their rounding.
      singular_values: of the centred features, descending; `s**2 / (samples - 1)` are the variances.
      error: bound on the share of what tells the points apart that lies outside the true subspace, in [0, 1]. Up
        to `MAX_ERROR` scores agree with float64 to 1e-6; above it take a safer solver: `gram` after `krylov`,
        float64 after `gram`.
    """

    points: Float[Array, "samples components"]
    singular_values: Float[Array, " components"]
    error: Float[Array, ""]


class Scaled(NamedTuple):
    """A projection divided by a power of two: features near the largest float have points beyond it.

    Attributes:
      projection: divided.
      exponent: of the power of two.
      variation: size of the centred features beside the features' own, at least.
      felt: by the use of the points, of what they may be off by; in shares of them, as `error`.
      others: images of the samples on the next components, as far as the solver knows them.
    """

    projection: Projection
    exponent: Int[Array, ""]
    variation: Float[Array, ""]
    felt: Float[Array, ""]
    others: Float[Array, "samples others"]


@functools.partial(jax.jit, static_argnames=("n_components", "solver", "axis_name", "rounding", "max_error"))
def pca(
    features: Float[Array, "samples dims"],
    n_components: int,
    *,
    solver: Solver = "auto",
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
    rounding: float | None = None,
    max_error: float = MAX_ERROR,
) -> Projection:
    """Coordinates of every sample on the leading principal components.

    Args:
      features: finite; any scale and offset.
      n_components: static, at most `min(samples, dims)`.
      solver: `svd` is the thin SVD of the centred features; `gram` the leading eigenvectors of the smaller
        Gram matrix, then a Rayleigh-Ritz step on `n_components + 10` of them; `krylov` reads the
        features a few times and says how well it did (`error`), and is `gram` where the features are
        too small for it; `auto` is `resolve_solver`'s choice.
      mask: samples that count; the others get zero points. None counts all.
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples; `svd` cannot be split.
      rounding: relative, of the features as they came; None is that of their type.
      max_error: at which `krylov` is content with a `Projection`'s error.

    Source: agrees with `sklearn.decomposition.PCA(svd_solver="full").fit_transform` up to signs.
    """
    projection, exponent, *_ = scaled_pca(
        features, n_components, solver=solver, mask=mask, axis_name=axis_name, rounding=rounding, max_error=max_error
    )
    return projection._replace(
        points=jnp.ldexp(projection.points, exponent),
        singular_values=jnp.ldexp(projection.singular_values, exponent),
    )


def _nothing(points: Float[Array, "samples components"], _: Doubt) -> Float[Array, ""]:
    return jnp.zeros((), points.dtype)


def scaled_pca(
    features: Float[Array, "samples dims"],
    n_components: int,
    *,
    solver: Solver = "auto",
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
    rounding: float | None = None,
    max_error: float = MAX_ERROR,
    feels: Feels = _nothing,
) -> Scaled:
    """`pca`, divided by a power of two.

    Args:
      features: as for `pca`, and so are the others.
      n_components: static.
      solver: static.
      mask: of samples.
      axis_name: of a mesh.
      rounding: of the features.
      max_error: also of what is felt.
      feels: what the use of the points feels of where they may be displaced to, as a share of them.
    """
    weights = jnp.ones(len(features), features.dtype) if mask is None else mask.astype(features.dtype)
    samples, dims = features.shape
    rounding = max(float(jnp.finfo(features.dtype).eps), rounding or 0)

    def finished(points: Float[Array, "samples components"], lengths, variation) -> Float[Array, "samples components"]:
        return jnp.where(variation > NOISE * rounding, cleaned(points, lengths), 0)

    solver = resolve_solver(solver, (samples * devices_along(axis_name), dims), n_components, features.dtype)
    if solver == "krylov":
        found, images, exponent = krylov(features, n_components, weights, axis_name, max_error, finished, feels)
    else:
        exponent = exponent_of(features, axis_name)
        scaled = features * jnp.ldexp(jnp.ones((), features.dtype), -exponent) * weights[:, None]
        centred = centre(scaled, weights, axis_name)
        if solver == "svd":
            images, values, error, left = _svd(centred, n_components)
        else:
            images, values, error, left = _gram(centred, n_components, weights, axis_name)
        own = jnp.sum(scaled * scaled, axis=1)  # squared lengths of the rows as they came, and of what was taken off
        off = jnp.sum((scaled - centred) ** 2, axis=1)
        everything = jnp.maximum(total(jnp.sum(own * weights), axis_name), jnp.finfo(features.dtype).tiny)
        variation = jnp.sqrt(total(jnp.sum(centred * centred), axis_name) / everything)
        points = finished(images[:, :n_components], jnp.sqrt(own) + jnp.sqrt(off), variation)
        found = Found(points, values[:n_components], error, variation, feels(points, left))
    error = found.error
    if features.dtype != jnp.float64:
        lost = jnp.any((weights > 0) & ~jnp.any(found.points != 0, axis=1)).astype(features.dtype)
        extreme = jnp.abs(exponent) > 100  # below, entries are subnormal, which XLA takes for zero
        doubtful = (total(lost, axis_name) > 0) | extreme | (found.variation <= DOUBT * rounding)
        error = jnp.where(doubtful, 1, error)
    others = jnp.where(jnp.any(found.points != 0, axis=1)[:, None], images[:, n_components:], 0)
    return Scaled(Projection(found.points, found.values, error), exponent, found.variation, found.felt, others)


def resolve_solver(solver: Solver, shape: tuple[int, ...], n_components: int, dtype: DTypeLike = jnp.float32) -> Solver:
    """The solver that features of this shape get: the one place where `auto` is decided.

    `svd` for at most 32 samples or dims. `krylov` where its blocks are small beside the features, on CPU and on
    accelerators, where `gram` takes 50 times as long (`benchmarks/accelerator`); `gram` elsewhere, and in float64,
    where more is expected than `krylov` certifies.
    """
    if solver == "auto" and min(shape) <= SVD_AT_MOST:
        return "svd"
    if solver == "auto":
        solver = "krylov" if dtype == jnp.float32 else "gram"
    return "gram" if solver == "krylov" and not fits(shape, n_components) else solver


class Attempt(NamedTuple):
    """A solver, the type it computes in, and how a result names the two."""

    name: str
    solver: Solver
    dtype: DTypeLike


def attempts(
    solver: Solver, shape: tuple[int, ...], n_components: int, dtype: DTypeLike = jnp.float32
) -> list[Attempt]:
    """What to try, in order, until a result's `error` is at most `MAX_ERROR`; the last is as good as it gets.

    In float64 (under `jax.enable_x64`) components tell apart that float32 rounding ties, and a singular value
    decomposition sees what squares do not: directions 1e-8 times the largest. TPUs have no float64.
    """
    solver = resolve_solver(solver, shape, n_components, dtype)
    ladder = [Attempt(solver, solver, dtype)]
    if solver == "krylov":
        ladder.append(Attempt("gram", "gram", dtype))
    if dtype == jnp.float64:
        ladder += [Attempt("svd", "svd", dtype)] if solver != "svd" else []
    elif jax.default_backend() != "tpu":
        safer = ("svd",) if solver == "svd" else ("gram", "svd")
        ladder += [Attempt(f"{solver}, float64", solver, jnp.float64) for solver in safer]
    return ladder


class _Decomposed(NamedTuple):
    """Images of the samples on the components and some more, with singular values; how far the former may be off."""

    images: Float[Array, "samples known"]
    values: Float[Array, " known"]
    error: Float[Array, ""]
    doubt: Doubt


def _svd(centred: Float[Array, "samples dims"], n_components: int) -> _Decomposed:
    left, values, _ = jnp.linalg.svd(centred, full_matrices=False)
    images = left * values
    points = images[:, :n_components]
    # Backward stable: what was decomposed differs from the features by a few eps of the largest singular value.
    rounding = 4 * jnp.finfo(centred.dtype).eps * values[0] * values[: n_components + 1]
    residuals, vectors = of_rounding(rounding, len(values)), jnp.eye(len(values), dtype=centred.dtype)
    ones = jnp.ones(len(centred), centred.dtype)
    error = error_of_points(points, values**2, residuals, vectors, n_components, ones, None)
    left_out = doubt(images, values**2, residuals, vectors, n_components)
    return _Decomposed(images[:, : n_components + OVERSAMPLING], values, error, left_out)


def _gram(
    centred: Float[Array, "samples dims"], n_components: int, weights: Float[Array, " samples"], axis_name: str | None
) -> _Decomposed:
    """By way of the smaller of X'X and XX'; of X'X, which is a sum over samples, where devices split them."""
    samples, dims = centred.shape
    block = min(n_components + OVERSAMPLING, dims, samples if axis_name is None else dims)
    by_dims = samples >= dims or axis_name is not None
    gram = total(matmul(centred.T, centred), axis_name) if by_dims else matmul(centred, centred.T)
    vectors = leading_vectors(gram, n_components, block)
    values, rotation = right_singular(matmul(centred if by_dims else centred.T, vectors), axis_name)
    vectors, squares = matmul(vectors, rotation), values**2
    if by_dims:
        images = matmul(centred, vectors)  # X V = (left vectors) diag(s)
        residuals = total(matmul(images.T, centred), axis_name) - (vectors * squares).T
    else:
        images = vectors * values  # U diag(s)
        residuals = (matmul(centred, matmul(centred.T, vectors)) - vectors * squares).T
    left_out = doubt(images, squares, residuals, vectors.T, n_components, axis_name)
    points = images[:, :n_components]
    error = error_of_points(points, squares, residuals, vectors.T, n_components, weights, axis_name)
    return _Decomposed(images, values, error, left_out)
