"""One factorisation of a model's features: what the scores beside the silhouette rest on.

Several scores in one program ask for the same spectrum of the same rows; XLA computes equal expressions once.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nrjax.kernels.linalg import centre, exponent_of, matmul, or_one, power_of_two

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
      hidden: whether there may be directions below the rounding of XX', of which it shows neither place nor size.
    """

    squares: Float[Array, " width"]
    left: Float[Array, "samples width"]
    is_signal: Bool[Array, " width"]
    is_uncertain: Bool[Array, " width"]
    eigenvalue_error: Float[Array, " width"]
    hidden: Bool[Array, ""]


class Rows(NamedTuple):
    """What is factorised, and how large the errors are that its entries came with.

    Attributes:
      rows: X.
      by_row: mean square of the errors in every row,
      by_column: and in every column.
    """

    rows: Float[Array, "samples dims"]
    by_row: Float[Array, " samples"]
    by_column: Float[Array, " dims"]


def spectrum(given: Rows, solver: Factorisation) -> Spectrum:
    """Singular values and left singular vectors, `min(samples, dims)` of each.

    `gram`, by the smaller Gram matrix, knows squares to `eps` of the largest one: directions below its root are
    rounding, and scaled to length 1 they would not be orthogonal to the rest. `svd` knows the singular values
    themselves to `eps` of the largest. Directions no longer than what the errors of the rows alone can make are
    rounding, too.
    """
    rows = given.rows
    samples, dims = rows.shape
    eps = jnp.finfo(rows.dtype).eps
    right = None
    if solver == "svd":
        left, values, right = jnp.linalg.svd(rows, full_matrices=False)
        left, values, right = left[:, ::-1], values[::-1], right[::-1].T
        squares, eigenvalue_error = values**2, 4 * eps * values * values[-1]
        smallest = known = (10 * eps * values[-1]) ** 2
    else:
        if dims > samples:
            squares, left = jnp.linalg.eigh(matmul(rows, rows.T))
            squares = jnp.maximum(squares, 0)
        else:
            right = jnp.linalg.eigh(matmul(rows.T, rows))[1]
            left = matmul(rows, right)
            squares = jnp.sum(left * left, axis=0)
            left = left * jnp.where(squares > 0, jax.lax.rsqrt(squares), 0)
        largest = jnp.max(squares)
        eigenvalue_error = jnp.full_like(squares, eps * largest)
        smallest, known = 10 * eps * largest, (10 * eps) ** 2 * largest
    noise = _noise(given, left, right)
    cut = jnp.maximum(smallest, noise)
    # below the cut, the lengths of X v are small where they are nothing but rounding, and tell of more where not
    is_uncertain = (squares > jnp.maximum(known, noise) / BELOW) & (squares < cut * ABOVE)
    hidden = jnp.any(squares < cut * ABOVE) if right is None else jnp.zeros((), bool)
    return Spectrum(squares, left, squares > cut, is_uncertain, eigenvalue_error, hidden)


def _noise(given: Rows, left: Float[Array, "samples width"], right) -> Float[Array, " width"]:
    """Square that errors alone can have in every direction: independent ones E have |E v|^2 near sum e_ij^2 v_j^2.

    By the columns that the direction mixes, or by the rows, whichever is less: one entry or one column far out is
    rounded by more than all others are large, but few directions see it. The largest of the directions that are
    nothing but errors is (1 + sqrt(dims / samples))^2 times what one of them is.
    """
    samples, dims = given.rows.shape
    ratio = (dims / samples) ** 0.5
    noise = dims * matmul(given.by_row, left * left) * (1 + 1 / ratio) ** 2
    if right is not None:
        noise = jnp.minimum(noise, samples * matmul(given.by_column, right * right) * (1 + ratio) ** 2)
    return ROUNDINGS**2 * noise


def scaled(features: Float[Array, "samples dims"]) -> Float[Array, "samples dims"]:
    """Features divided by the power of two above their largest entry."""
    return features * power_of_two(-exponent_of(features), features.dtype)


def varying(features: Float[Array, "samples dims"]) -> Float[Array, "samples dims"]:
    """Features with 0 for columns of one value, beside which what varies could be lost."""
    return jnp.where(jnp.any(features != features[0], axis=0), features, 0)


def as_they_are(features: Float[Array, "samples dims"], rounding: float) -> Rows:
    """`scaled`, neither centred nor of one variance."""
    rows = scaled(features)
    return _with_errors(rows, rounding * varying(rows))


def centred(features: Float[Array, "samples dims"], rounding: float) -> Rows:
    """`varying` and `scaled`, minus the mean; zero where all of it is rounding."""
    rows = scaled(varying(features))
    errors = rounding * rows
    rows = centre(rows, jnp.ones(len(features), features.dtype), None)
    varies = jnp.mean(rows * rows) > 4 * jnp.mean(errors * errors)
    return _with_errors(jnp.where(varies, rows, 0), errors)


def standardised(features: Float[Array, "samples dims"], rounding: float) -> Rows:
    """Columns of mean 0 and standard deviation 1; those that are constant but for rounding are 0.

    `StandardScaler` of scikit-learn.
    """
    largest = jnp.max(jnp.abs(features), axis=0)
    columns = features / or_one(largest)
    errors = rounding * columns
    columns = centre(columns, jnp.ones(len(features), features.dtype), None)
    deviation = jnp.sqrt(jnp.mean(columns * columns, axis=0))
    varies = deviation > 2 * jnp.sqrt(jnp.mean(errors * errors, axis=0))
    deviation = jnp.where(varies, deviation, 1)
    return _with_errors(jnp.where(varies, columns / deviation, 0), jnp.where(varies, errors / deviation, 0))


def _with_errors(rows: Float[Array, "samples dims"], errors: Float[Array, "samples dims"]) -> Rows:
    squares = errors * errors
    return Rows(rows, jnp.mean(squares, axis=1), jnp.mean(squares, axis=0))
