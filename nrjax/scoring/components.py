"""Leading principal components: block Krylov iteration with its loop on the host, or a decomposition in float64.

`krylov_components` reads the features a few times. After every step the silhouettes are scored, which costs little, so
the loop knows how far the score moves when the subspace does. It ends when the score cannot be off by more than the
tolerance. What it cannot certify goes to `exact_components`: the Gram matrix in float64 and its leading eigenvectors.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nrjax.kernels import krylov
from nrjax.kernels.error_bounds import subspace_error
from nrjax.scoring.operators import Features

KRYLOV_FROM = 10  # times the width of a block: smaller sides go to `exact_components`, which is faster there
FIRST_STEPS, STEPS_PER, MOST_STEPS = 10, 12, 80  # steps of a loop cost less than a decomposition by far
SAMPLE_STEPS, RANDOM = 2, 2  # iterations on the sampled rows; random vectors in the first block
# How far a score moves relative to the error of the subspace: the largest that the last steps showed, and at least this.
LEAST_SENSITIVITY, SAFETY, REMEMBERED = 0.01, 2, 3
CONVERGING = 0.5  # error of the subspace from which on a step says how far scores move
SENSITIVITY = 0.1  # of a score of which no steps are known
SMALLEST, LARGEST = 1e-14, 1e14  # size of features whose squares float32 holds
OFFSET_ERROR = 0.05 * np.finfo(np.float32).eps  # of a score whose features vary as much as they are large
SHALLOWEST = 1e-5  # singular value relative to the first: squares in float64 do not resolve smaller ones
CONSTANT = 2  # times their rounding: features that vary by no more are constant
SMALL_SIDE = 256  # of a Gram matrix, of which all eigenvectors cost no more than the leading ones
OTHERS = 22  # components beyond those asked for, about which confidence asks


class Components(NamedTuple):
    """Images of the samples on the leading components and some more.

    Attributes:
      images: `[..., samples, kept]`, the leading ones first, divided by a power of two.
      singular_values: `[..., kept]`, divided by the same.
      exponent: of the power of two.
      error: of the subspace of the leading ones, in [0, 1]; see `subspace_error`.
      score_error: of the score, that the subspace may make.
      variation: size of the centred features relative to the size of the features.
      scored: what `evaluate` returned for the images.
      by_svd: whether a singular value decomposition gave them.
    """

    images: Any
    singular_values: np.ndarray
    exponent: np.ndarray
    error: np.ndarray
    score_error: np.ndarray
    variation: np.ndarray
    scored: Any
    by_svd: bool = False


def fits_float32(features: Features) -> bool:
    """Whether the squares of features neither overflow nor underflow in float32."""
    size = features.size()
    return bool(np.all((size > SMALLEST) & (size < LARGEST)))


def suits_krylov(samples: int, dims: int, n_components: int) -> bool:
    """Whether blocks are small beside the features, so that iterating is faster than a decomposition."""
    return min(samples, dims) >= KRYLOV_FROM * krylov.block_width(n_components)


def krylov_components(
    features: Features, n_components: int, evaluate: Callable[[Any], Any] | None, tolerance: float
) -> Components:
    """Components from block Krylov iteration.

    Args:
      features: of one or several models.
      n_components: of them lead.
      evaluate: from images to a named tuple whose `value` is the score of every model; None where nothing is scored.
      tolerance: of the score, or of the subspace where nothing is scored. The loop ends when every `score_error` is within it, or after as many steps as a
        decomposition costs.
    """
    width, (samples, dims) = krylov.block_width(n_components), features.shape[-2:]
    expand, residuals, own = _small_problems()
    block = _first_block(features, width)
    pairs = krylov.no_pairs(np, features.models, width, dims)
    images = np.zeros((*features.models, samples, 2 * width), np.float32)
    error = np.ones(features.models)
    ratios, scored, sensitivity, score_error = [], None, 1.0, error
    most = min(FIRST_STEPS + min(samples, dims) // STEPS_PER, MOST_STEPS)
    for step in range(most):
        block = block.astype(np.float32)
        new, products = features.multiply(block)
        products = own(products)
        if isinstance(products, np.ndarray) and not np.isfinite(products).all():  # an entry too large for its square
            score_error = np.full(features.models, np.inf)
            break
        pairs, turn = expand(pairs, own(block), products)
        images = features.rotate(images, new, turn.astype(np.float32))
        block, now = residuals(pairs, n_components, width)
        if evaluate is not None:
            before, scored = scored, evaluate(images)
            moved = np.abs(scored.value - (scored if before is None else before).value)
            ratios.append(np.where(error < CONVERGING, moved / np.maximum(error, 1e-30), 0))
            sensitivity = np.maximum(LEAST_SENSITIVITY, SAFETY * np.max(ratios[-REMEMBERED:], axis=0))
        error = np.asarray(now, np.float64)
        score_error = sensitivity * error
        if step > 0 and np.all(score_error <= tolerance):
            break
    singular_values = np.sqrt(np.asarray(pairs.squares, np.float64))
    leading = np.linalg.norm(singular_values[..., :n_components], axis=-1) / samples**0.5
    variation = leading / features.size()
    score_error = score_error + OFFSET_ERROR / np.maximum(variation, 1e-30)  # products of a large mean lose digits
    return Components(images, singular_values, np.zeros(features.models, int), error, score_error, variation, scored)


def exact_components(
    features: Features, n_components: int, evaluate: Callable[[Any], Any] | None, *, svd: bool
) -> Components:
    """Components from the smaller Gram matrix in float64; from the features where `svd`, or where squares are too few.

    Arguments as for `krylov_components`, with one model where `svd`.
    """
    gram, kept = features.gram(), min(n_components + OTHERS, *features.shape[-2:])
    squares, vectors = _leading(gram.matrix, kept)
    values = np.sqrt(np.maximum(squares, 0))
    depth = values[..., n_components - 1] / np.where(values[..., 0] > 0, values[..., 0], 1)
    centred = features.centred() if svd or np.any((depth > 0) & (depth < SHALLOWEST)) else None
    eps = np.finfo(gram.matrix.dtype).eps
    if centred is not None:
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        images, values = (left * values)[:, :kept], values[:kept]
        rounding = 4 * eps * values[0] * values[:, None]
    else:
        images = features.project(vectors, values, gram.exponent)
        rounding = 4 * eps * squares[..., :1, None]
    constant = gram.variation <= CONSTANT * features.rounding
    if np.any(constant):
        with jax.enable_x64(images.dtype == np.float64):
            images = images * ~constant[..., None, None]
    error = np.zeros(features.models)
    if kept > n_components:
        nothing = np.zeros((*features.models, n_components, n_components))
        inside = np.broadcast_to(rounding, (*features.models, n_components if centred is None else kept, kept))
        error = subspace_error(np, values**2, nothing, inside[..., :n_components, :], n_components)
    scored = None if evaluate is None else evaluate(images)
    return Components(
        images, values, gram.exponent, error, SENSITIVITY * error, gram.variation, scored, centred is not None
    )


def _leading(matrices: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of symmetric matrices, descending, and their eigenvectors as columns."""
    side = matrices.shape[-1]
    if side <= SMALL_SIDE:
        values, vectors = np.linalg.eigh(matrices)
    else:
        from scipy.linalg import eigh  # takes 0.2 s to import, and most rankings do without it

        pairs = [
            eigh(matrix, subset_by_index=(side - kept, side - 1), check_finite=False)
            for matrix in matrices.reshape(-1, side, side)
        ]
        values, vectors = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
        values, vectors = values.reshape(*matrices.shape[:-2], kept), vectors.reshape(*matrices.shape[:-1], kept)
    return values[..., ::-1][..., :kept], vectors[..., ::-1][..., :kept]


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
    """`expand` and `residuals`, and what makes an array theirs: NumPy in float64, or on GPUs one batch on the device."""
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
