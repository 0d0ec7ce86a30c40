"""GBC: overlap of the classes as Gaussians."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import exponent_of, matmul, one_hot, power_of_two
from nrjax.kernels.spectrum import Factorisation, centred, spectrum, varying

N_COMPONENTS, FLOOR = 64, 1e-4
NEGLIGIBLE = 1e-5  # of D_B, that a direction adds


def estimate_gbc(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`gbc` and its error: components that are as good as tied turn freely.

    That changes variances above the floor, and the means where only some of those that are tied are among the 64.
    Directions that are rounding have variances at the floor and the same means.
    """
    squares, left, is_signal, is_uncertain, eigenvalue_error, _ = spectrum(centred(features, rounding), solver)
    points = jnp.where(is_signal, left * jnp.sqrt(squares), 0)[:, -N_COMPONENTS:]
    indicators = one_hot(labels, n_classes, features.dtype)
    counts = jnp.maximum(jnp.sum(indicators, axis=0), 1)[:, None]
    means = matmul(indicators.T, points) / counts
    around = points - matmul(indicators, means)
    variances = matmul(indicators.T, around * around) / counts
    # In units of `centred`, where nothing overflows; the floor is of the features' own.
    most = jnp.finfo(features.dtype).maxexp - 8
    exponent = jnp.clip(2 * exponent_of(varying(features)), -most, most)
    floor = FLOOR * power_of_two(-exponent, features.dtype)
    above = jnp.any(jnp.sum(variances, axis=1) > floor)
    variances = jnp.maximum(variances, floor)

    def overlaps(c: Int[Array, ""]) -> Float[Array, ""]:
        mean, variance = means[c], variances[c]
        between = (variance + variances) / 2
        distances = jnp.sum((mean - means) ** 2 / between, axis=1) / 8
        distances += jnp.sum(jnp.log(between) - (jnp.log(variance) + jnp.log(variances)) / 2, axis=1) / 2
        return jnp.sum(jnp.where(jnp.arange(n_classes) == c, 0, jnp.exp(-distances)))  # a class overlaps itself by 1

    value = -jnp.sum(lax.map(overlaps, jnp.arange(n_classes)))
    counted = above & (squares / len(features) > floor)
    turns = eigenvalue_error[1:] / jnp.maximum(squares[1:] - squares[:-1], eigenvalue_error[1:])
    turned = jnp.max(jnp.where(counted[1:], turns, 0)[-N_COMPONENTS:], initial=0)
    # A class has |mean|^2 <= square / count of a direction, and its share of D_B is at most that beside the floor.
    share = squares / (jnp.min(counts) * floor) / 2
    if len(squares) > N_COMPONENTS:
        turned = jnp.maximum(turned, jnp.minimum(turns[-N_COMPONENTS], 1) * jnp.minimum(share[-N_COMPONENTS], 1))
    turned = jnp.where(jnp.any((is_uncertain & (share > NEGLIGIBLE))[-N_COMPONENTS:]), 1, turned)
    smallest = jnp.finfo(value.dtype).tiny  # of which nothing can be said
    relative = jnp.where((turned > 0.01) | (value > -smallest) & (value.dtype != jnp.float64), 1, turned)
    return Estimate(value, jnp.maximum(jnp.abs(value), smallest) * relative)


def gbc(features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int) -> Float[Array, ""]:
    """Overlap of the classes as Gaussians with diagonal covariances, in [-classes (classes - 1), 0]; higher is better.

    -sum over pairs i != j of exp(-D_B), with Bhattacharyya's distance on 64 principal components
    D_B = sum (m_i - m_j)^2 / v / 8 + sum log(v / sqrt(v_i v_j)) / 2, v = (v_i + v_j) / 2, variances at least
    1e-4. Features are taken as they are: their scale beside that floor, and beside nothing else, matters.

    Source: Pandy et al. 2022, arXiv:2111.12780.
    """
    return estimate_gbc(features, labels, n_classes=n_classes, rounding=float(jnp.finfo(features.dtype).eps)).value
