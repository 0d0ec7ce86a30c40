"""LogME: how likely the labels are under Bayesian linear regression on the features, its two precisions chosen.

With X = U diag(s) V', t a column of the targets (0 and 1 of a class or a label, or numbers), z = (U't)^2,
r0 = |t - U U't|^2 and r = alpha / beta, the evidence is largest over beta at beta = samples / Q, where

    Q(r) = sum z r/(s^2 + r) + r0
    log evidence(r) = -samples/2 (log(2 pi Q / samples) + 1) - sum log(1 + s^2/r) / 2

One number r is left to choose. Iterating the precisions' fixed point, as the code in circulation does, stops at
whichever of several maxima is near; here r is scanned, each maximum's height is that of a parabola through three
values, and the highest is refined. A direction with s = 0 counts nothing: that
code has dims in place of directions. Nothing in it cancels: only positive terms are summed.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import map_blocks, matmul, one_hot
from nrjax.kernels.spectrum import Factorisation, as_they_are, spectrum

SCANNED = 640  # values of r, a factor of 1.3 apart where squares differ by as much as float64 can tell,
FITTED = 72  # from where the labels are fitted to 1e-16 of their size: r is that squared beside the smallest square
REFINED = 16  # between two of them,
TIMES = 4  # again and again
AROUND = np.linspace(-1, 1, REFINED + 1)
AT_ONCE = 1 << 22  # numbers


def estimate_logme(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """`logme` of classes and its error."""
    targets = one_hot(labels, n_classes, features.dtype)
    return _estimate(features, targets, jnp.any(targets > 0, axis=0), solver, rounding)[0]


def estimate_logme_of_columns(
    features: Float[Array, "samples dims"],
    columns: Float[Array, "samples outputs"],
    *,
    n_classes: int | None = None,
    solver: Factorisation = "gram",
    rounding: float,
) -> Estimate:
    """Log evidence per sample of numbers or of 0/1 labels as they are, mean over those that vary, and its error."""
    used = jnp.any(columns != columns[0], axis=0)
    estimate, values = _estimate(features, columns, used, solver, rounding)
    return estimate._replace(by_output=jnp.where(used, values, jnp.nan))


def _estimate(features, targets, used, solver, rounding) -> tuple[Estimate, Float[Array, " outputs"]]:
    """Error: from what the squares are off by, and from directions that may be rounding.

    Targets that the features fit exactly have no largest evidence; what they were rounded by bounds it then, and the
    error is infinite.
    """
    squares, left, is_signal, is_uncertain, eigenvalue_error, hidden = spectrum(as_they_are(features, rounding), solver)
    given = _Given(squares, left, targets, matmul(left.T, targets), eigenvalue_error, rounding)
    # With the directions that are signal, then with and without those of which that is not sure.
    masks = jnp.stack([is_signal, is_signal | is_uncertain, is_signal & ~is_uncertain])

    zeros = jnp.zeros(len(used), targets.dtype)
    nothing = (zeros, zeros, zeros > 0)
    values, errors, exact = lax.map(  # one program for one mask or three
        lambda mask: lax.cond(mask[1], lambda: _evidences(given, mask[0]), lambda: nothing),
        (masks, np.array([True, False, False]) | jnp.any(is_uncertain)),
    )
    moved = jnp.abs(values[1] - values[2])  # 0 where nothing is uncertain
    weights = used / jnp.sum(used)
    error = matmul(errors[0] + moved + hidden, weights)
    return Estimate(matmul(values[0], weights), jnp.where(jnp.any(exact[0] & used), jnp.inf, error)), values[0]


class _Given(NamedTuple):
    squares: Float[Array, " width"]
    left: Float[Array, "samples width"]
    targets: Float[Array, "samples outputs"]
    turned: Float[Array, "width outputs"]  # U' targets
    eigenvalue_error: Float[Array, " width"]
    rounding: float


def _evidences(
    given: _Given, is_signal: Bool[Array, " width"]
) -> tuple[Float[Array, " outputs"], Float[Array, " outputs"], Bool[Array, " outputs"]]:
    """Of every output, on the directions that are there: log evidence per sample, its error, if the fit is exact."""
    left, targets, rounding = given.left, given.targets, given.rounding
    samples, tiny = len(targets), jnp.finfo(left.dtype).tiny
    kept = given.squares * is_signal
    divisors = kept + ~is_signal  # 1 where there is no direction
    eigenvalue_error = given.eigenvalue_error * is_signal
    turned = given.turned * is_signal[:, None]
    sizes = jnp.sum(targets * targets, axis=0)
    rest = targets - matmul(left, turned)
    complete = jnp.sum(is_signal) == samples  # U spans everything
    outside = jnp.sum(rest * rest, axis=0) * ~complete
    # What is left of a fit by direction j is as large as U_j is off by.
    turns = eigenvalue_error / divisors
    exact = ~complete & (outside <= (30 * rounding) ** 2 * sizes + matmul(turns**2, turned**2))
    outside = jnp.where(exact, rounding**2 * jnp.maximum(sizes, tiny / rounding**2), outside)
    largest = jnp.max(kept)
    largest = largest + (largest == 0)
    smallest = -jnp.max(jnp.where(is_signal, -kept, -largest))
    # Beyond, the evidence is that of its limits; a square divided by r is finite.
    top = jnp.log(largest)
    low, high = jnp.maximum(jnp.log(smallest) - FITTED, top + (math.log(tiny) + 1)), top + 14
    spacing = (high - low) / (SCANNED - 1)
    coarse = low + spacing * jnp.arange(SCANNED)

    def height(logs, z, r0):
        """Twice the log evidence per sample at every `logs`, the constant left out."""
        r = jnp.exp(logs)[:, None]
        fit = matmul(r / (kept + r), z) + r0
        volume = jnp.sum(jnp.log1p(kept / r), axis=1) / samples
        return -jnp.log(jnp.maximum(fit, tiny)) - volume.reshape(-1, *[1] * (fit.ndim - 1))

    squared = turned * turned
    heights = height(coarse, squared, outside)
    below, middle, above = heights[:-2], heights[1:-1], heights[2:]
    drop = jnp.maximum(2 * middle - below - above, tiny)
    peaks = middle + ((middle >= below) & (middle >= above)) * (above - below) ** 2 / (8 * drop)
    highest = _place_of_highest(coarse[:, None], jnp.concatenate([heights[:1], peaks, heights[-1:]]))

    def of_output(of):
        z, r0, size, best = of

        def refine(power, before):
            near = before[0] + jnp.asarray(AROUND, z.dtype) * spacing * (2 / REFINED) ** jnp.asarray(power, z.dtype)
            largest = height(near, z, r0)
            return _place_of_highest(near, largest), jnp.max(largest)

        best, largest = lax.fori_loop(0, TIMES, refine, (best, best))
        # No noise at all, where the directions are complete, and no signal at all.
        noiseless = -jnp.log(jnp.maximum(matmul(z, 1 / divisors), tiny)) - jnp.sum(jnp.log(divisors)) / samples
        largest = jnp.maximum(largest, jnp.where(complete, noiseless, largest))
        largest = jnp.maximum(largest, -jnp.log(jnp.maximum(size, tiny)))
        # d evidence / d square, times what the square may be off by
        inverse = 1 / (kept + jnp.exp(best))
        left_over = z * jnp.exp(best) * inverse
        fit = jnp.maximum(jnp.sum(left_over) + r0, tiny)
        return largest, matmul(eigenvalue_error, inverse * (1 + left_over * samples / fit)) / samples

    at_once = min(len(sizes), max(1, AT_ONCE // (len(kept) * REFINED)))
    values, errors = map_blocks(of_output, (squared.T, outside, sizes, highest), at_once)
    return (values + (math.log(samples / (2 * math.pi)) - 1)) / 2, errors / 2, exact


def _place_of_highest(logs, heights):
    """The least of those that are the highest."""
    return -jnp.max(jnp.where(heights == jnp.max(heights, axis=0), -logs, -jnp.inf), axis=0)


def logme(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Log evidence per sample, mean over the classes; unbounded, higher is better, no absolute meaning.

    Features are taken as they are, neither centred nor with an intercept (as published): an offset
    changes it, a scale does not.

    Source: You et al. 2021, arXiv:2102.11005, with the number of directions where its code has dims.
    """
    return estimate_logme(features, labels, n_classes=n_classes, rounding=float(jnp.finfo(features.dtype).eps)).value
