"""Principal components of one model's features.

Only the subspace of the leading components matters to what follows: signs and rotations inside it are
the solver's, so compare `singular_values`, `points @ points.T` or scores, never raw coordinates.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

Solver = Literal["auto", "svd", "gram"]
SOLVERS: tuple[str, ...] = ("auto", "svd", "gram")

# Below this many samples or dims a full SVD costs no more than a Gram matrix and its eigenvectors.
SVD_AT_MOST = 32
# Eigenvectors kept beyond n_components: the Rayleigh-Ritz step sorts out what the Gram matrix blurred.
OVERSAMPLING = 10

# JAX's default is TF32 on GPU and bfloat16 on TPU: 1e-3 to 1e-2 in the silhouette of a sample.
matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class Projection(NamedTuple):
    """Samples in the coordinates of the leading components.

    Attributes:
      points: one row per sample, largest component first. Rows that are zero but for rounding are zero.
      singular_values: of the centred features, descending; `s**2 / (samples - 1)` are the variances.
    """

    points: Float[Array, "samples components"]
    singular_values: Float[Array, " components"]


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
        Gram matrix, then a Rayleigh-Ritz step on `n_components + 10` of them; `auto` takes `svd`
        where `min(samples, dims)` is at most 32, else `gram`.
      mask: samples that count; the others get zero points. None counts all.

    Source: agrees with `sklearn.decomposition.PCA(svd_solver="full").fit_transform` up to signs.
    """
    exponent = jnp.clip(jnp.frexp(jnp.max(jnp.abs(features)))[1], -125, 125)
    centred = _centre(features * jnp.ldexp(jnp.ones((), features.dtype), -exponent), mask)
    if solver == "auto":
        solver = "svd" if min(features.shape) <= SVD_AT_MOST else "gram"
    if solver == "svd":
        left, values, _ = jnp.linalg.svd(centred, full_matrices=False)
        values = values[:n_components]
        points = left[:, :n_components] * values
    else:
        points, values = _gram(centred, n_components)
    norms = jnp.linalg.norm(points, axis=1, keepdims=True)
    largest = jnp.sqrt(jnp.max(jnp.sum(centred * centred, axis=1)))
    points = jnp.where(norms > 10 * jnp.finfo(points.dtype).eps * largest, points, 0)
    return Projection(jnp.ldexp(points, exponent), jnp.ldexp(values, exponent))


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
        values, rotation = _right_singular(image)
        return matmul(image, rotation[:, :n_components]), values[:n_components]  # X V W = (left vectors) diag(s)
    basis = jnp.linalg.eigh(matmul(centred, centred.T))[1][:, -block:]
    values, rotation = _right_singular(matmul(centred.T, basis))  # X'U = P diag(s) W'
    return matmul(basis, (rotation * values)[:, :n_components]), values[:n_components]  # U W diag(s)


def _right_singular(tall: Float[Array, "rows block"]) -> tuple[Float[Array, " block"], Float[Array, "block block"]]:
    """Singular values and right singular vectors of a tall matrix, from the triangle of its QR."""
    _, values, right = jnp.linalg.svd(jnp.linalg.qr(tall, mode="r"))
    return values, right.T
