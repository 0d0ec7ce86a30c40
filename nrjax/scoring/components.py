"""Leading principal components: block Krylov iteration with its loop on the host, or a decomposition in float64.

`krylov_components` reads the features a few times. It ends when the error that is left in the subspace cannot move the
score by more than the tolerance. What it cannot certify goes to `exact_components`: the Gram matrix in float64 and its
leading eigenvectors.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from nrjax._utils.arrays import Array
from nrjax.kernels import krylov
from nrjax.kernels.error_bounds import subspace_error
from nrjax.scoring.array_features import leading_eigenvectors
from nrjax.scoring.iteration import KrylovIteration
from nrjax.scoring.operators import Features

KRYLOV_FROM = 10  # times the width of a block: smaller sides go to `exact_components`, which is faster there
FIRST_LOOK = 3  # steps after which the error is looked at
RATES = 0.1, 0.25  # of the error, a step: as fast and as slow as is expected
SPEEDUP = 2  # at which the logarithm of the error may still fall: iterations become faster as they go
EARLY = 0.3  # of a step: looking once more costs less than a step
LEAST_SENSITIVITY = 0.05  # of a score to the error of the subspace, as a rule; what it is in fact is asked at the end
SMALLEST, LARGEST = 1e-14, 1e14  # size of features whose squares float32 holds
IMAGE_NOISE = 0.25  # of the rounding of a row, which its images carry
SHALLOWEST = 1e-5  # singular value relative to the first: squares in float64 do not resolve smaller ones
CONSTANT = 2  # times their rounding: features that vary by no more are constant
OTHERS = 22  # components beyond those asked for, about which confidence asks


# From images `[..., samples, kept]`, tangents `[..., components, kept - components]` (see `subspace_error`) and the
# rounding of an image: how far the score of every model may move.
Sensitivity = Callable[[Array, np.ndarray, np.ndarray], np.ndarray]


class Components(NamedTuple):
    """Images of the samples on the leading components and some more.

    Attributes:
      images: `[..., samples, kept]`, the leading ones first, divided by a power of two.
      singular_values: `[..., kept]`, divided by the same.
      exponent: of the power of two.
      error: of the subspace of the leading ones, in [0, 1]; see `subspace_error`.
      score_error: of the score, that the error of the subspace may make.
      variation: size of the centred features relative to the size of the features.
      rounding: of an image.
      by_svd: whether a singular value decomposition gave them.
    """

    images: Array
    singular_values: np.ndarray
    exponent: np.ndarray
    error: np.ndarray
    score_error: np.ndarray
    variation: np.ndarray
    rounding: np.ndarray
    by_svd: bool = False


def fits_float32(features: Features) -> bool:
    """Whether the squares of features neither overflow nor underflow in float32."""
    size = features.size
    return bool(np.all((size > SMALLEST) & (size < LARGEST)))


def suits_krylov(samples: int, dims: int, n_components: int) -> bool:
    """Whether blocks are small beside the features, so that iterating is faster than a decomposition."""
    return min(samples, dims) >= KRYLOV_FROM * krylov.block_width(n_components)


def krylov_components(
    features: Features, n_components: int, sensitivity: Sensitivity | None, tolerance: float
) -> Components | None:
    """Components from block Krylov iteration; None where no model's are within the tolerance.

    Args:
      features: of one or several models.
      n_components: of them lead.
      sensitivity: of the score; None where nothing is scored.
      tolerance: of the score, or of the subspace where nothing is scored. The loop ends when every model is within it,
        or after `features.most_steps`.
    """
    iteration, most = KrylovIteration(features, n_components), features.most_steps
    error, score_error = np.ones(features.models), np.full(features.models, np.inf)
    goal = np.full(features.models, tolerance if sensitivity is None else tolerance / LEAST_SENSITIVITY)
    looked, next_look = 0, FIRST_LOOK
    while iteration.steps < most and iteration.step():
        last = iteration.steps == most
        if not (last or iteration.is_full or iteration.steps >= next_look):
            continue
        before, (error, tangents) = error, iteration.look()
        if last or np.all(error <= goal):
            score_error = error
            if sensitivity is not None:
                score_error = sensitivity(iteration.images, tangents, IMAGE_NOISE * iteration.rounding)
            if np.all(score_error <= tolerance):
                break
            # A score moves in proportion to the error, more or less.
            goal = np.where(score_error > tolerance, error * tolerance / (2 * score_error), goal)
        if looked:
            rate = (error / before) ** (1 / (iteration.steps - looked))
            if not features.models and iteration.steps + _steps_left(error, goal, rate**SPEEDUP) > most:
                break
            steps_left = np.max(_steps_left(error, goal, np.clip(rate, *RATES)))
        else:
            steps_left = np.max(_steps_left(error, goal, RATES[0]))
        looked, next_look = iteration.steps, iteration.steps + steps_left
    if not np.any(score_error <= tolerance):
        return None
    values = np.sqrt(iteration.squares)
    variation = np.linalg.norm(values[..., :n_components], axis=-1) / features.shape[-2] ** 0.5 / features.size
    return Components(
        iteration.images, values, np.zeros(features.models, int), error, score_error, variation, iteration.rounding
    )  # fmt: skip


def _steps_left(error: np.ndarray, goal: np.ndarray, rate: np.ndarray | float) -> np.ndarray:
    """Until the error is within the goal, at least 1."""
    steps = np.log(np.maximum(error / goal, 1)) / -np.log(np.clip(rate, 1e-3, 1 - 1e-3))
    return np.maximum(np.ceil(steps - EARLY), 1)


def exact_components(
    features: Features, n_components: int, sensitivity: Sensitivity | None, *, svd: bool
) -> Components:
    """Components from the smaller Gram matrix in float64; from the features where `svd`, or where squares are too few.

    Arguments as for `krylov_components`, with one model where `svd`.
    """
    gram, kept = features.gram(), min(n_components + OTHERS, *features.shape[-2:])
    squares, vectors = leading_eigenvectors(gram.matrix, kept)
    values = np.sqrt(np.maximum(squares, 0))
    depth = values[..., n_components - 1] / np.where(values[..., 0] > 0, values[..., 0], 1)
    decomposed = features.decompose(kept) if svd or np.any((depth > 0) & (depth < SHALLOWEST)) else None
    eps = np.finfo(gram.matrix.dtype).eps
    if decomposed is not None:
        images, values = decomposed
        rounding = 4 * eps * values[0] * values[:n_components, None]
    else:
        images = features.project(vectors, values, gram.exponent)
        rounding = 4 * eps * squares[..., :1, None]
    constant = gram.variation <= CONSTANT * features.rounding
    if np.any(constant):
        with jax.enable_x64(images.dtype == np.float64):
            images = images * ~constant[..., None, None]
    error = score_error = np.zeros(features.models)
    if kept > n_components:
        nothing = np.zeros((*features.models, n_components, n_components))
        inside = np.broadcast_to(rounding, (*features.models, n_components, kept))
        error, tangents = subspace_error(np, values**2, nothing, inside, n_components)
        score_error = error if sensitivity is None else sensitivity(images, tangents, np.zeros(features.models))
    return Components(
        images, values, gram.exponent, error, score_error, gram.variation, np.zeros(features.models),
        decomposed is not None,
    )  # fmt: skip
