"""LogME: how likely the labels are under Bayesian linear regression on the features, its two precisions chosen.

With X = U diag(s) V', t a class's 0/1 targets, z = (U't)^2, r0 = |t - U U't|^2 and r = alpha / beta, the evidence is
largest over beta at beta = samples / Q, where

    Q(r) = sum z r/(s^2 + r) + r0
    log evidence(r) = -samples/2 (log(2 pi Q / samples) + 1) - sum log(1 + s^2/r) / 2

One number r is left to choose. Iterating the precisions' fixed point, as the code in circulation does, stops at
whichever of several maxima is near; here r is scanned, each maximum's height is that of a parabola through three
values, and the highest is refined. A direction with s = 0 counts nothing: that
code has dims in place of directions. Nothing in it cancels: only positive terms are summed.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import map_blocks, matmul, one_hot
from nrjax.kernels.spectrum import Factorisation, as_they_are, spectrum

SCANNED = 640  # values of r, a factor of 1.3 apart where squares differ by as much as float64 can tell,
FITTED = 72  # from where the labels are fitted to 1e-16 of their size: r is that squared beside the smallest square
REFINED = 16  # between two of them,
TIMES = 4  # again and again
AT_ONCE = 1 << 22  # numbers


def estimate_logme(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`logme` and its error: from what the squares are off by, and from directions that may be rounding.

    Labels that the features fit exactly have no largest evidence; what they were rounded by bounds it then, and the
    error is infinite.
    """
    squares, left, is_signal, is_uncertain, eigenvalue_error, hidden = spectrum(as_they_are(features, rounding), solver)
    targets = one_hot(labels, n_classes, features.dtype)
    counts = jnp.sum(targets, axis=0)
    given = _Given(squares, left, targets, matmul(left.T, targets), eigenvalue_error, rounding)
    used = counts > 0
    # With the directions that are signal, then with and without those of which that is not sure.
    masks = jnp.stack([is_signal, is_signal | is_uncertain, is_signal & ~is_uncertain])

    zeros = jnp.zeros(n_classes, targets.dtype)
    nothing = (zeros, zeros, zeros > 0)
    values, errors, exact = lax.map(  # one program for one mask or three
        lambda mask: lax.cond(mask[1], lambda: _evidences(given, mask[0]), lambda: nothing),
        (masks, jnp.array([True, False, False]) | jnp.any(is_uncertain)),
    )
    moved = jnp.abs(values[1] - values[2])  # 0 where nothing is uncertain
    mean = lambda each: jnp.sum(jnp.where(used, each, 0)) / jnp.sum(used)  # noqa: E731
    error = mean(errors[0] + moved + hidden)
    return Estimate(mean(values[0]), jnp.where(jnp.any(exact[0] & used), jnp.inf, error))


class _Given(NamedTuple):
    squares: Float[Array, " width"]
    left: Float[Array, "samples width"]
    targets: Float[Array, "samples classes"]
    turned: Float[Array, "width classes"]  # U' targets
    eigenvalue_error: Float[Array, " width"]
    rounding: float


def _evidences(
    given: _Given, is_signal: Bool[Array, " width"]
) -> tuple[Float[Array, " classes"], Float[Array, " classes"], Bool[Array, " classes"]]:
    """Of every class, on the directions that are there: log evidence per sample, its error, and if the fit is exact."""
    squares, left, targets, _, eigenvalue_error, rounding = given
    samples = len(targets)
    turned = jnp.where(is_signal[:, None], given.turned, 0)
    counts = jnp.sum(targets, axis=0)
    rest = targets - matmul(left, turned)
    complete = jnp.sum(is_signal) == samples  # U spans everything
    outside = jnp.where(complete, 0, jnp.sum(rest * rest, axis=0))
    tiny = jnp.finfo(squares.dtype).tiny
    # What is left of a fit by direction j is as large as U_j is off by.
    turns = jnp.where(is_signal, eigenvalue_error / jnp.where(is_signal, squares, 1), 0)
    exact = ~complete & (outside <= (30 * rounding) ** 2 * counts + matmul(turns**2, turned**2))
    outside = jnp.where(exact, rounding**2 * jnp.maximum(counts, 1), outside)
    kept = jnp.where(is_signal, squares, 0)
    largest = jnp.where(jnp.max(kept) > 0, jnp.max(kept), 1)
    smallest = jnp.min(jnp.where(is_signal, squares, largest))
    low, high = jnp.log(smallest) - FITTED, jnp.log(largest) + 14  # beyond, the evidence is that of its limits
    spacing = (high - low) / (SCANNED - 1)
    coarse = low + spacing * jnp.arange(SCANNED)

    def height(logs, z, r0):
        """Log evidence per sample at every `logs`, the constant left out."""
        r = jnp.exp(logs)[:, None]
        fit = matmul(r / (kept + r), z) + r0
        volume = jnp.sum(jnp.log1p(kept / r), axis=1) / (2 * samples)
        return -jnp.log(jnp.maximum(fit, tiny)) / 2 - volume.reshape(-1, *[1] * (fit.ndim - 1))

    heights = height(coarse, turned * turned, outside)
    below, middle, above = heights[:-2], heights[1:-1], heights[2:]
    drop = jnp.maximum(2 * middle - below - above, tiny)
    peaks = jnp.where((middle >= below) & (middle >= above), middle + (above - below) ** 2 / (8 * drop), middle)
    highest = coarse[jnp.argmax(jnp.concatenate([heights[:1], peaks, heights[-1:]]), axis=0)]

    def of_class(of):
        column, r0, count, best = of
        z = column * column
        around = jnp.linspace(-1, 1, REFINED + 1, dtype=z.dtype)

        def refine(power, best):
            near = best + around * spacing * (2 / REFINED) ** jnp.asarray(power, z.dtype)
            return near[jnp.argmax(height(near, z, r0))]

        best = lax.fori_loop(0, TIMES, refine, best)
        found = height(best[None], z, r0)[0]
        # No noise at all, where the directions are complete, and no signal at all.
        inverse = jnp.where(is_signal, z / jnp.where(is_signal, squares, 1), 0)
        logs = jnp.sum(jnp.where(is_signal, jnp.log(jnp.where(is_signal, squares, 1)), 0))
        noiseless = -jnp.log(jnp.maximum(jnp.sum(inverse), tiny)) / 2 - logs / (2 * samples)
        nothing = -jnp.log(jnp.maximum(count, tiny)) / 2
        found = jnp.maximum(jnp.where(complete, jnp.maximum(found, noiseless), found), nothing)
        # d evidence / d square, times what the square may be off by
        r = jnp.exp(best)
        fit = jnp.maximum(jnp.sum(z * (r / (kept + r))) + r0, tiny)
        slope = (1 / (kept + r) + samples / fit * z * r / (kept + r) ** 2) / 2
        return found, jnp.sum(jnp.where(is_signal, eigenvalue_error * slope, 0)) / samples

    at_once = min(len(counts), max(1, AT_ONCE // (len(squares) * REFINED)))
    values, errors = map_blocks(of_class, (turned.T, outside, counts, highest), at_once)
    return values + jnp.log(samples / (2 * jnp.pi)) / 2 - 0.5, errors, exact


def logme(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Log evidence per sample, mean over the classes; unbounded, higher is better, no absolute meaning.

    Features are taken as they are, neither centred nor with an intercept (as published): an offset
    changes it, a scale does not.

    Source: You et al. 2021, arXiv:2102.11005, with the number of directions where its code has dims.
    """
    return estimate_logme(features, labels, n_classes=n_classes, rounding=float(jnp.finfo(features.dtype).eps)).value
