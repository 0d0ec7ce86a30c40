"""Leading principal components: block Krylov iteration with its loop on the host, or a decomposition in float64.

`krylov_components` reads the features a few times. It ends when the error that is left in the subspace cannot move the
score by more than the tolerance. What it cannot certify goes to `exact_components`: the Gram matrix in float64 and its
leading eigenvectors.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nrjax.kernels import krylov
from nrjax.kernels.error_bounds import subspace_error
from nrjax.scoring.array_features import leading_eigenvectors
from nrjax.scoring.operators import Features

KRYLOV_FROM = 10  # times the width of a block: smaller sides go to `exact_components`, which is faster there
PATIENCE = 3  # part of the steps after which a loop that will take longer than all of them starts anew, or ends
SAMPLE_STEPS, RANDOM = 2, 2  # iterations on the sampled rows; random vectors in the first block
LEAST_SENSITIVITY = 0.01  # of a score to the error of the subspace; what it is in fact is asked at the end
SMALLEST, LARGEST = 1e-14, 1e14  # size of features whose squares float32 holds
IMAGE_NOISE = 0.25  # of the rounding of a row, which its images carry
SHALLOWEST = 1e-5  # singular value relative to the first: squares in float64 do not resolve smaller ones
CONSTANT = 2  # times their rounding: features that vary by no more are constant
OTHERS = 22  # components beyond those asked for, about which confidence asks


# From images `[..., samples, kept]`, tangents `[..., components, kept - components]` (see `subspace_error`) and the
# rounding of an image: how far the score of every model may move.
Sensitivity = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]


class Components(NamedTuple):
    """Images of the samples on the leading components and some more.

    Attributes:
      images: `[..., samples, kept]`, the leading ones first, divided by a power of two.
      singular_values: `[..., kept]`, divided by the same.
      exponent: of the power of two.
      error: of the subspace of the leading ones, in [0, 1]; see `subspace_error`.
      score_error: of the score, that the error of the subspace may make.
      variation: size of the centred features relative to the size of the features.
      by_svd: whether a singular value decomposition gave them.
    """

    images: Any
    singular_values: np.ndarray
    exponent: np.ndarray
    error: np.ndarray
    score_error: np.ndarray
    variation: np.ndarray
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
) -> Components:
    """Components from block Krylov iteration.

    Args:
      features: of one or several models.
      n_components: of them lead.
      sensitivity: of the score; None where nothing is scored.
      tolerance: of the score, or of the subspace where nothing is scored. The loop ends when every model is within it,
        or after `features.most_steps`.
    """
    width, (samples, dims) = krylov.block_width(n_components), features.shape[-2:]
    expand, residuals, own = _small_problems()
    block = _first_block(features, width)
    pairs = krylov.no_pairs(np, features.models, width, dims)
    images = np.zeros((*features.models, samples, 2 * width), np.float32)
    error, score_error = np.ones(features.models), np.full(features.models, np.inf)
    decomposed = False
    goal = np.full(features.models, tolerance if sensitivity is None else tolerance / LEAST_SENSITIVITY)
    noise = IMAGE_NOISE * np.finfo(np.float32).eps * features.size
    most = features.most_steps
    for step in range(most):
        block = block.astype(np.float32)
        new, products = features.multiply(block)
        products = own(products)
        if isinstance(products, np.ndarray) and not np.isfinite(products).all():  # an entry too large for its square
            break
        pairs, turn = expand(pairs, own(block), products)
        images = features.rotate(images, new, turn.astype(np.float32))
        block, now, tangents = residuals(pairs, n_components, width)
        before, error = error, np.asarray(now, np.float64)
        if step > 0 and np.all(error <= goal):
            score_error = error if sensitivity is None else sensitivity(images, np.asarray(tangents, np.float64), noise)
            if np.all(score_error <= tolerance):
                break
            # A score moves in proportion to the error, more or less.
            goal = np.where(score_error > tolerance, error * tolerance / (2 * score_error), goal)
        rate = np.minimum(error / before, 1 - 1e-3)
        missing = np.log(np.maximum(error / goal, 1)) / -np.log(np.maximum(rate, 1e-3))
        if not features.models and step >= most // PATIENCE and step + missing > most:
            known = None if decomposed else features.decomposed(width)
            if known is None:
                break
            block, decomposed = known, True
    singular_values = np.sqrt(np.asarray(pairs.squares, np.float64))
    variation = np.linalg.norm(singular_values[..., :n_components], axis=-1) / samples**0.5 / features.size
    return Components(images, singular_values, np.zeros(features.models, int), error, score_error, variation)


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
    centred = features.centred() if svd or np.any((depth > 0) & (depth < SHALLOWEST)) else None
    eps = np.finfo(gram.matrix.dtype).eps
    if centred is not None:
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        images, values = (left * values)[:, :kept], values[:kept]
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
    return Components(images, values, gram.exponent, error, score_error, gram.variation, centred is not None)


def _first_block(features: Features, width: int) -> np.ndarray:
    """Directions of most variance in a few rows, and random ones, which have a part in every direction."""
    random = np.random.default_rng(0).normal(size=(*features.models, width, features.shape[-1])).astype(np.float32)
    rows = features.sampled()
    if rows is None:
        return krylov.orthonormal(np, random.astype(np.float64))
    rows = rows - rows.mean(axis=-2, keepdims=True)
    block = random
    for _ in range(SAMPLE_STEPS):
        images = np.linalg.qr(rows @ block.swapaxes(-1, -2))[0]
        block = images.swapaxes(-1, -2) @ rows
    block = np.concatenate([_unit(block[..., : width - RANDOM, :]), _unit(random[..., :RANDOM, :])], axis=-2)
    return krylov.orthonormal(np, block.astype(np.float64))


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


@functools.cache
def _small_problems() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """`expand` and `residuals`, and what makes an array theirs: NumPy in float64, or a batch on a GPU."""
    if jax.default_backend() in ("cpu", "tpu"):
        return (
            functools.partial(krylov.expand, np), functools.partial(krylov.residuals, np),
            functools.partial(np.asarray, dtype=np.float64),
        )  # fmt: skip

    expand = jax.jit(functools.partial(krylov.expand, jnp))
    residuals = jax.jit(functools.partial(krylov.residuals, jnp), static_argnums=(1, 2))
    return in_float64(expand), in_float64(residuals), in_float64(lambda array: jnp.asarray(array, jnp.float64))


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under `enable_x64`, whose products of float32 would ask for full precision too."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            return function(*arguments)

    return call
