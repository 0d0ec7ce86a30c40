"""TransRate: coding rate of the features less that of the classes."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import matmul, or_one
from nrjax.kernels.spectrum import Factorisation, centred

EPSILON = 1e-4  # of TransRate, beside features of total variance 1
CLASS_ROWS = 256  # of one class, at once

Gram = Float[Array, "width width"]


def estimate_transrate(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`transrate` and its error: rounding of the largest eigenvalue, in every direction beside a 1."""
    samples, dims = features.shape
    rows = centred(features, rounding).rows
    everything = jnp.sum(rows * rows)
    rows = rows * jnp.sqrt(samples / or_one(everything))
    counts = jnp.bincount(labels, length=n_classes)
    if dims > samples:  # Z Z' has the eigenvalues of Z'Z, and its blocks those of the classes
        whole = matmul(rows, rows.T)

        def rate(c: Int[Array, ""]) -> Float[Array, ""]:
            own = labels == c
            return _rate_of(jnp.where(own[:, None] & own, whole, 0), counts[c])

        rates = lax.map(rate, jnp.arange(n_classes))
    else:
        whole, rates = matmul(rows.T, rows), _rates_by_class(rows, labels, counts)
    value = _rate_of(whole, samples) - jnp.sum(counts / samples * rates)
    return Estimate(value, jnp.finfo(rows.dtype).eps / EPSILON * len(whole) ** 0.5)


def _rate_of(gram: Gram, count: int | Int[Array, ""]) -> Float[Array, ""]:
    """R of so many rows from their Gram matrix."""
    matrix = jnp.eye(len(gram), dtype=gram.dtype) + gram / (jnp.maximum(count, 1) * EPSILON)
    return jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(matrix))))


def _rates_by_class(
    rows: Float[Array, "samples dims"], labels: Int[Array, " samples"], counts: Int[Array, " classes"]
) -> Float[Array, " classes"]:
    """R of every class, block after block of its rows: their number has a bound, so that derivatives can be taken."""
    (samples, dims), n_classes = rows.shape, len(counts)
    rows = jnp.concatenate([rows[jnp.argsort(labels)], jnp.zeros((CLASS_ROWS, dims), rows.dtype)])
    starts = jnp.cumsum(counts) - counts
    blocks = -(-counts // CLASS_ROWS)
    firsts = jnp.cumsum(blocks) - blocks

    def add(gram: Gram, place: Int[Array, ""]) -> tuple[Gram, Float[Array, ""]]:
        c = jnp.sum(firsts + blocks <= place)  # the last blocks may be of no class
        row = (place - firsts[c]) * CLASS_ROWS
        block = lax.dynamic_slice_in_dim(rows, starts[c] + row, CLASS_ROWS)
        block = jnp.where((jnp.arange(CLASS_ROWS) < counts[c] - row)[:, None], block, 0)
        gram = jnp.where(row > 0, gram, 0) + matmul(block.T, block)
        is_last = (c < n_classes) & (row + CLASS_ROWS >= counts[c])
        return gram, lax.cond(is_last, lambda: _rate_of(gram, counts[c]), lambda: jnp.zeros((), rows.dtype))

    _, rates = lax.scan(add, jnp.zeros((dims, dims), rows.dtype), jnp.arange(n_classes + samples // CLASS_ROWS))
    return jnp.where(counts > 0, rates[jnp.maximum(firsts + blocks - 1, 0)], 0)


def transrate(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Rate of the features less the mean rate of the classes, R(Z) - sum_c n_c/samples R(Z_c); higher is better.

    R(Z) = logdet(I + Z'Z / (n eps)) / 2 of n rows. Z is centred and scaled to a total variance of 1, and eps
    is 1e-4: the published scores follow the scale of the features and differ widely with eps.

    Source: Huang et al. 2022, arXiv:2106.09362.
    """
    rounding = float(jnp.finfo(features.dtype).eps)
    return estimate_transrate(features, labels, n_classes=n_classes, rounding=rounding).value
