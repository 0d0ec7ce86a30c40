"""LogME: how likely the labels are under Bayesian linear regression on the features, its two precisions chosen.

With X = U diag(s) V', t a class's 0/1 targets, z = (U't)^2 and r = alpha / beta, the precisions' fixed point is

    gamma = sum s^2/(s^2 + r)          alpha = gamma / sum s^2 z/(s^2 + r)^2
    beta = (samples - gamma) / (sum z/(1 + s^2/r)^2 + r0),      r0 = |t|^2 - sum z

and log alpha/2 - log(alpha + beta s^2)/2, summed over the directions there are, is -log(1 + s^2/r)/2: a
direction with s = 0 counts nothing. The code in circulation has dims in place of directions in the first.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import matmul
from nrjax.kernels._spectrum import members, scaled, spectrum

MOVES = 1e-3  # relative, of r; below it the evidence has converged
STEPS = 1000


def logme(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Log evidence per sample, mean over the classes; unbounded, higher is better, no absolute meaning.

    Features are taken as they are, neither centred nor with an intercept (as published): an offset
    changes it, a scale does not.

    Source: You et al. 2021, arXiv:2102.11005, with the number of directions where its code has dims.
    """
    samples = len(features)
    squares, left = spectrum(scaled(features))
    targets = members(labels, n_classes, features.dtype)
    energies = matmul(left.T, targets) ** 2
    tiny = jnp.finfo(features.dtype).tiny

    def evidence(z: Float[Array, " width"], norm: Float[Array, ""]) -> Float[Array, ""]:
        complete = len(squares) == samples  # U spans everything: a difference would be rounding alone
        outside = jnp.zeros_like(norm) if complete else jnp.maximum(norm - jnp.sum(z), 0)

        def precisions(r):
            gamma = jnp.sum(squares / (squares + r))
            weights = jnp.sum(squares * z / (squares + r) ** 2)  # |m|^2 of the posterior mean
            error = jnp.sum(z * (r / (squares + r)) ** 2) + outside
            return gamma / jnp.maximum(weights, tiny), (samples - gamma) / jnp.maximum(error, tiny), weights, error

        def step(state):
            r, _, count = state
            alpha, beta, *_ = precisions(r)
            return jnp.clip(alpha / beta, 1e-12, 1e12), r, count + 1

        def moves(state):
            r, before, count = state
            return (jnp.abs(r - before) > MOVES * before) & (count < STEPS)

        r, _, _ = lax.while_loop(moves, step, (jnp.ones((), z.dtype), jnp.zeros((), z.dtype), 0))
        alpha, beta, weights, error = precisions(r)
        log_evidence = (
            -jnp.sum(jnp.log1p(squares * beta / alpha)) + samples * jnp.log(beta / (2 * jnp.pi))
            - beta * error - alpha * weights
        ) / 2  # fmt: skip
        return log_evidence / samples

    counts = jnp.sum(targets, axis=0)
    evidences = jax.vmap(evidence, in_axes=(1, 0))(energies, counts)
    return jnp.sum(jnp.where(counts > 0, evidences, 0)) / jnp.sum(counts > 0)
