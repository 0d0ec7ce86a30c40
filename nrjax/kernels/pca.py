"""Principal components of one model's features, as one pure function.

Only the subspace of the leading components matters to what follows. Signs and rotations inside it are the solver's, so
compare `singular_values`, `points @ points.T` or scores, never raw coordinates.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nrjax.kernels.linalg import centre, exponent_of, matmul, power_of_two, total

Solver = Literal["auto", "krylov", "gram", "svd"]


class Projection(NamedTuple):
    """Samples in the coordinates of the leading components.

    Attributes:
      points: one row per sample, largest component first.
      singular_values: of the centred features, descending; `s**2 / (samples - 1)` are the variances.
      error: root mean square sine of the angles between these components and the true ones, in [0, 1]; from
        `nrjax.pca`. None from `nrjax.kernels.pca`, which checks nothing.
    """

    points: Float[Array, "samples components"]
    singular_values: Float[Array, " components"]
    error: Float[Array, ""] | None = None


@functools.partial(jax.jit, static_argnames=("n_components", "solver", "axis_name"))
def pca(
    features: Float[Array, "samples dims"],
    n_components: int,
    *,
    solver: Literal["gram", "svd"] = "gram",
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
) -> Projection:
    """Coordinates of every sample on the leading principal components.

    `nrjax.pca` is faster and says how exact it is, but its loop is on the host. This function is pure: it composes with
    `jit`, `vmap`, `grad` and `shard_map`.

    Args:
      features: finite; any scale and offset.
      n_components: static, at most `min(samples, dims)`.
      solver: static. `gram` decomposes the smaller Gram matrix, in the features' type, which knows squared singular
        values to the type's rounding of the largest. `svd` decomposes the centred features.
      mask: samples that count; the others get zero points. None counts all.
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples; `svd` cannot be split.

    Source: agrees with `sklearn.decomposition.PCA(svd_solver="full").fit_transform` up to signs.
    """
    samples, dims = features.shape
    weights = None if mask is None else mask.astype(features.dtype)
    exponent = exponent_of(features, axis_name)
    scaled = features * power_of_two(-exponent, features.dtype)
    scaled = scaled if weights is None else scaled * weights[:, None]
    centred = centre(scaled, weights, axis_name)
    if solver == "svd":
        left, values, _ = jnp.linalg.svd(centred, full_matrices=False)
        points = left[:, :n_components] * values[:n_components]
    elif axis_name is not None or dims <= samples:
        vectors = jnp.linalg.eigh(total(matmul(centred.T, centred), axis_name))[1]
        points = matmul(centred, vectors[:, ::-1][:, :n_components])
    else:
        squares, left = jnp.linalg.eigh(matmul(centred, centred.T))
        points = (left * jnp.sqrt(jnp.maximum(squares, 0)))[:, ::-1][:, :n_components]
    values = jnp.sqrt(total(jnp.sum(points * points, axis=0), axis_name))
    power = power_of_two(exponent, features.dtype)
    return Projection(points * power, values * power)
