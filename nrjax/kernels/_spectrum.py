"""One factorisation of a model's features: what the scores beside the silhouette rest on.

Several scores in one program ask for the same spectrum of the same rows; XLA computes equal expressions once.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._linalg import centre, exponent_of, matmul

Factorisation = Literal["gram", "svd"]
ROUNDINGS = 5  # what features are off by that were themselves computed in the type that they came in: sums of products
ABOVE, BELOW = 30, 4  # times the square at which directions are taken for rounding: near it that is not sure


class Spectrum(NamedTuple):
    """X = U diag(s) V', without V; smallest first.

    Attributes:
      squares: s**2, not negative.
      left: U.
      there: directions that are not rounding.
      doubtful: directions of which that is not sure.
      blur: how far a square may be off.
    """

    squares: Float[Array, " width"]
    left: Float[Array, "samples width"]
    there: Bool[Array, " width"]
    doubtful: Bool[Array, " width"]
    blur: Float[Array, " width"]


class Rows(NamedTuple):
    """What is factorised, and the size that rounding alone can have in a singular value of it."""

    rows: Float[Array, "samples dims"]
    noise: Float[Array, ""]


def spectrum(given: Rows, solver: Factorisation) -> Spectrum:
    """Singular values and left singular vectors, `min(samples, dims)` of each.

    `gram`, by the smaller Gram matrix, knows squares to `eps` of the largest one: directions below its root are
    rounding, and scaled to length 1 they would not be orthogonal to the rest. `svd` knows the singular values
    themselves to `eps` of the largest. What the features were rounded by when they came is `noise`.
    """
    rows, noise = given
    samples, dims = rows.shape
    eps = jnp.finfo(rows.dtype).eps
    if solver == "svd":
        left, values, _ = jnp.linalg.svd(rows, full_matrices=False)
        left, values = left[:, ::-1], values[::-1]
        squares, blur = values**2, 4 * eps * values * values[-1]
        smallest = known = (10 * eps * values[-1]) ** 2
    else:
        if dims > samples:
            squares, left = jnp.linalg.eigh(matmul(rows, rows.T))
            squares = jnp.maximum(squares, 0)
        else:
            left = matmul(rows, jnp.linalg.eigh(matmul(rows.T, rows))[1])
            squares = jnp.sum(left * left, axis=0)
            left = left * jnp.where(squares > 0, jax.lax.rsqrt(squares), 0)
        largest = jnp.max(squares)
        blur = jnp.full_like(squares, eps * largest)
        smallest, known = 10 * eps * largest, (10 * eps) ** 2 * largest
    cut = jnp.maximum(smallest, noise * noise)
    # below the cut, the lengths of X v are small where they are nothing but rounding, and tell of more where not
    doubtful = (squares > jnp.maximum(known, noise * noise) / BELOW) & (squares < cut * ABOVE)
    return Spectrum(squares, left, squares > cut, doubtful, blur)


def scaled(features: Float[Array, "samples dims"]) -> Float[Array, "samples dims"]:
    """Features divided by the power of two above their largest entry."""
    return features * jnp.ldexp(jnp.ones((), features.dtype), -exponent_of(features))


def as_they_are(features: Float[Array, "samples dims"], rounding: float) -> Rows:
    """`scaled`, neither centred nor of one variance."""
    rows = scaled(features)
    return Rows(rows, _noise(rounding * jnp.sqrt(jnp.mean(rows * rows)), rows.shape))


def centred(features: Float[Array, "samples dims"], rounding: float) -> Rows:
    """`scaled`, minus the mean; zero where all of it is rounding."""
    rows = scaled(features)
    own = rounding * jnp.sqrt(jnp.mean(rows * rows))
    rows = centre(rows, jnp.ones(len(features), features.dtype), None)
    varies = jnp.mean(rows * rows) > (2 * own) ** 2
    return Rows(jnp.where(varies, rows, 0), _noise(own, rows.shape))


def standardised(features: Float[Array, "samples dims"], rounding: float) -> Rows:
    """Columns of mean 0 and standard deviation 1; those that are constant but for rounding are 0.

    `StandardScaler` of scikit-learn.
    """
    largest = jnp.max(jnp.abs(features), axis=0)
    columns = features / jnp.where(largest > 0, largest, 1)
    own = rounding * jnp.sqrt(jnp.mean(columns * columns, axis=0))
    columns = centre(columns, jnp.ones(len(features), features.dtype), None)
    deviation = jnp.sqrt(jnp.mean(columns * columns, axis=0))
    varies = deviation > 2 * own
    deviation = jnp.where(varies, deviation, 1)
    columns = jnp.where(varies, columns / deviation, 0)
    return Rows(columns, _noise(jnp.sqrt(jnp.mean(jnp.where(varies, own / deviation, 0) ** 2)), columns.shape))


def _noise(entry: Float[Array, ""], shape: tuple[int, ...]) -> Float[Array, ""]:
    """The largest singular value of independent errors of a few times this size in every entry."""
    samples, dims = shape
    return ROUNDINGS * entry * (samples**0.5 + dims**0.5)


def members(labels: Int[Array, " samples"], n_classes: int, dtype) -> Float[Array, "samples classes"]:
    """1 where a sample is of a class, 0 elsewhere."""
    return jax.nn.one_hot(labels, n_classes, dtype=dtype)
