"""One factorisation of a model's features, by the smaller Gram matrix: what the scores beside the silhouette rest on.

Several scores in one program ask for the same spectrum of the same rows; XLA computes equal expressions once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import centre, exponent_of, matmul


class Spectrum(NamedTuple):
    """X = U diag(s) V', without V; smallest first.

    Attributes:
      squares: s**2, not negative.
      left: U; a column is zero where its s is.
    """

    squares: Float[Array, " width"]
    left: Float[Array, "samples width"]


def spectrum(rows: Float[Array, "samples dims"]) -> Spectrum:
    """Singular values and left singular vectors of `rows`, `min(samples, dims)` of each.

    With at most as many dims as samples the squares are those of the columns of X V, so what rounding did to
    the eigenvalues of X'X does not show; small ones still are no better than eps of the largest, and their
    vectors are orthogonal to that extent.
    """
    samples, dims = rows.shape
    if dims > samples:
        squares, left = jnp.linalg.eigh(matmul(rows, rows.T))
        return Spectrum(jnp.maximum(squares, 0), left)
    projected = matmul(rows, jnp.linalg.eigh(matmul(rows.T, rows))[1])
    squares = jnp.sum(projected * projected, axis=0)
    return Spectrum(squares, projected * jnp.where(squares > 0, jax.lax.rsqrt(squares), 0))


def centred(features: Float[Array, "samples dims"]) -> Float[Array, "samples dims"]:
    """Features minus their mean, divided by a power of two that keeps squares from overflowing."""
    return centre(scaled(features), jnp.ones(len(features), features.dtype), None)


def scaled(features: Float[Array, "samples dims"]) -> Float[Array, "samples dims"]:
    """Features divided by the power of two above their largest entry."""
    return features * jnp.ldexp(jnp.ones((), features.dtype), -exponent_of(features))


def standardised(features: Float[Array, "samples dims"]) -> Float[Array, "samples dims"]:
    """Columns of mean 0 and standard deviation 1; constant columns are 0. `StandardScaler` of scikit-learn."""
    largest = jnp.max(jnp.abs(features), axis=0)
    columns = features / jnp.where(largest > 0, largest, 1)
    columns = centre(columns, jnp.ones(len(features), features.dtype), None)
    deviation = jnp.sqrt(jnp.mean(columns * columns, axis=0))
    varies = deviation > 10 * jnp.finfo(features.dtype).eps
    return jnp.where(varies, columns / jnp.where(varies, deviation, 1), 0)


def members(labels: Int[Array, " samples"], n_classes: int, dtype) -> Float[Array, "samples classes"]:
    """1 where a sample is of a class, 0 elsewhere."""
    return jax.nn.one_hot(labels, n_classes, dtype=dtype)
