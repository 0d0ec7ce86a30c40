"""LinMSE: the regularised mean squared error of a linear regression of numbers on the features, negative.

With centred features U diag(s) V', centred numbers y and z = (U'y)^2, the least over the weights is

    min mean |y - X W - b|^2 + penalty |W|^2 = (|y|^2 - sum z + sum z c / (s^2 + c)) / samples,   c = samples penalty
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import exponent_of, matmul
from nrjax.kernels.spectrum import Factorisation, centred, spectrum, varying

PENALTY = 1.0


def estimate_linear_mse(
    features: Float[Array, "samples dims"],
    numbers: Float[Array, "samples outputs"],
    *,
    solver: Factorisation = "gram",
    rounding: float,
    penalty: float = PENALTY,
    **_,
) -> Estimate:
    """`linear_mse` and its error: from what the squares are off by, and from directions that may be rounding."""
    squares, left, is_signal, is_uncertain, eigenvalue_error, hidden = spectrum(centred(features, rounding), solver)
    samples = len(numbers)
    y = numbers - jnp.mean(numbers, axis=0)
    # Features were divided by 2^e, so the penalty is, too: by 2^2e.
    c = samples * penalty * jnp.ldexp(jnp.ones((), y.dtype), -2 * exponent_of(varying(features)))
    turned = jnp.where(is_signal[:, None], matmul(left.T, y), 0)
    z = jnp.sum(turned * turned, axis=1)
    rest = y - matmul(left, turned)
    left_over = jnp.where(is_signal, c / (squares + c), 0)
    value = (jnp.sum(rest * rest) + jnp.sum(z * left_over)) / samples
    slope = jnp.where(is_signal, z * c / (squares + c) ** 2, 0)
    open_squares = jnp.sum(matmul(left.T, y) ** 2, axis=1)
    moved = jnp.sum(jnp.where(is_uncertain, open_squares * squares / (squares + c), 0))
    error = (jnp.sum(slope * eigenvalue_error) + moved + jnp.where(hidden, jnp.sum(rest * rest), 0)) / samples
    return Estimate(-value, error)


def linear_mse(
    features: Float[Array, "samples dims"], numbers: Float[Array, "samples outputs"], *, penalty: float = PENALTY
) -> Float[Array, ""]:
    """Negative regularised mean squared error of a linear regression with intercept; at most 0, higher is better.

    Features and numbers are taken as they are (as published): a scale of either changes it. Of several outputs the
    squares are added.

    Source: Nguyen et al. 2023, arXiv:2312.00656 (LinMSE); the objective of `sklearn.linear_model.Ridge(samples *
    penalty)`, divided by samples.
    """
    rounding = float(jnp.finfo(features.dtype).eps)
    return estimate_linear_mse(features, numbers, rounding=rounding, penalty=penalty).value
