"""The score of features that do not fit in memory: a few passes over batches, the same score as from an array.

Up to `GRAM_DIMS` dims, one pass sums the Gram matrix and one projects. Wider features are iterated: every pass
multiplies the Gram matrix, which is never formed, with one block. What is held is O(dims^2) or O(dims * n_components),
and O(samples * n_components).

    A = sum of (x - c)'(x - c) - n d'd,    c near the mean (that of the first batch), d = mean - c
"""

import dataclasses
import warnings
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from nrjax._utils.arrays import AnyArray, Array
from nrjax._utils.memory import aligned_empty
from nrjax.kernels.distances import Distance
from nrjax.kernels.linalg import matmul
from nrjax.kernels.silhouette import Definition, Method
from nrjax.labels import check_same_order
from nrjax.scoring.array_features import SAMPLED_ROWS
from nrjax.scoring.checks import check_features
from nrjax.scoring.compute import compute_context
from nrjax.scoring.operators import ROUNDED, Gram, wide_dtype
from nrjax.scoring.rounding import rounding_of
from nrjax.scoring.settings import NO_SILHOUETTE, check_settings, components_of, encode_labels
from nrjax.scoring.silhouette_programs import Task
from nrjax.scoring.silhouettes import exact_scores, krylov_scores
from nrjax.target_tasks import are_collections

GRAM_DIMS = 4096  # a Gram matrix of 128 MiB in float64
SAME_ROW = 1e-2  # of the rows' size: a forward pass that is not deterministic moves it by less
ROWS = 4096  # multiplied at once: one shape, whatever the batches are


def score_stream(
    batches: Iterable[tuple[AnyArray, ArrayLike]],
    *,
    n_components: int = 10,
    distance: Distance = "cosine",
    definition: Definition = "rousseeuw",
    method: Method = "auto",
    block_size: int | None = None,
) -> float:
    """neuralRank score of one model from batches of its features, in [-1, 1]; higher is better.

    Args:
      batches: pairs (features `[batch, dims]`, labels `[batch]`) of any sizes. After a look at the first batch
        iterated over two times, four where one sample or direction is far larger than the others (up to 15 times above
        4,096 dims, seven as a rule), so it must start anew, with the same samples in the same order, whenever it is
        iterated: a list, a data loader, a `FeatureBatches`, but not a generator.
      n_components: principal components kept, or `min(samples - 1, dims)` where there are fewer.
      distance: as for `rank_batch`, and so are the rest. `euclidean` takes time O(samples^2).
      definition: `rousseeuw` or `centroid`.
      method: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.

    Warns:
      RuntimeWarning: the score may be off by more than the tolerance, for the last component and the next are tied.

    Raises:
      ValueError: batches that do not fit together, are not the same in every pass, or cannot be scored.
      TypeError: an iterator that can be used only once.

    Examples:
      >>> dense = features["F10"]
      >>> batches = [(dense[:500], labels[:500]), (dense[500:], labels[500:])]
      >>> round(nrjax.score_stream(batches), 2)
      0.49

    Source: as for `rank_batch`; agrees with it to the tolerance, 1e-5.
    """
    settings = check_settings(n_components, distance, definition, "auto", method, block_size)
    if iter(batches) is batches:
        raise TypeError(
            f"batches must be iterable more than once; got the one-shot iterator {type(batches).__name__}. "
            "Pass a list, a data loader, or an object whose __iter__ starts anew."
        )
    with compute_context():
        features = BatchedFeatures(batches)
        ids, classes = encode_labels(features.labels)
        settings = dataclasses.replace(settings, n_components=components_of(settings, features.shape))
        task = Task(ids, len(classes), settings)
        (score,) = (exact_scores if features.shape[1] <= GRAM_DIMS else krylov_scores)(features, task)
    if score is None:
        raise ValueError(
            f"The spectrum of these {features.shape[1]} dims decays too slowly to be certain of the components after "
            "as many passes as are allowed. Pool or project the features first."
        )
    doubt = score.doubt(settings.tolerance)
    if doubt:
        warnings.warn(f"score_stream: {doubt}.", RuntimeWarning, stacklevel=2)
    return score.value


class BatchedFeatures:
    """`operators.Features` of one model over batches; every pass must bring what the first one brought."""

    models: tuple[int, ...] = ()
    by_dims, one_shape = True, False
    most_steps = 14  # each is a pass

    def __init__(self, batches: Iterable[tuple[AnyArray, ArrayLike]]):
        """A look at the first batch, and a pass that learns labels and mean, and the Gram matrix if it is small."""
        self._batches = batches
        first = next((batch for batch in self._checked() if len(batch[0])), None)
        if first is None:
            raise ValueError("batches must hold at least one batch; got none.")
        rows = first[0]
        self.rounding, self.dtype, dims = rounding_of(rows), rows.dtype, rows.shape[1]
        self._shift = rows.mean(axis=0, dtype=np.float64)  # near the mean; later the mean itself
        self._origin = self._shift
        self._exponent = int(np.frexp(float(np.max(np.abs(rows))))[1])
        self._sample = np.array(rows[: 4 * SAMPLED_ROWS])
        self.labels: np.ndarray | None = None
        self._gram = np.zeros((dims, dims)) if dims <= GRAM_DIMS else None
        sums, samples = np.zeros(dims), 0
        for block, _, count in self._blocks(wide_dtype(), dims):
            sums, samples = sums + block.sum(axis=0, dtype=np.float64), samples + count
            if self._gram is not None:
                with jax.enable_x64(block.dtype == np.float64):
                    self._gram += np.asarray(_gram(block))
        mean = sums / samples
        self.shape = samples, dims
        if self._gram is not None:
            self._gram -= samples * np.outer(mean, mean)
        self._shift = self._shift + np.ldexp(mean, self._exponent)

    def sampled(self) -> np.ndarray:
        """Some rows of the first batch."""
        rows = np.ldexp(np.asarray(self._sample - self._shift, np.float64), -self._exponent)
        return (rows - rows.mean(axis=0)).astype(np.float32)

    @property
    def size(self) -> np.ndarray:
        """Of the rows of the first batch."""
        rows = np.ldexp(np.asarray(self._sample, np.float64), -self._exponent)
        return np.sqrt(np.mean(np.sum(rows * rows, axis=1)))

    def multiply(self, block: Array) -> tuple[np.ndarray, np.ndarray]:
        """One pass."""
        images, products = np.empty((self.shape[0], len(block)), np.float32), np.zeros(block.shape)
        for rows, start, count in self._blocks(np.float32, self.shape[1]):
            new, product = _multiply(rows, block)
            images[start : start + count] = np.asarray(new)[:count]
            products += np.asarray(product)
        return images, products

    def rotate(self, images: list[Array], rotation: np.ndarray) -> np.ndarray:
        """Of images that are in memory."""
        return np.concatenate(images, axis=-1) @ rotation

    def gram(self) -> Gram:
        """Of the first pass."""
        assert self._gram is not None  # of wider features nobody asks
        spread = np.maximum(np.diagonal(self._gram), 0)
        means = self.shape[0] * np.ldexp(self._shift, -self._exponent) ** 2
        is_constant = spread <= (4 * np.finfo(np.float64).eps) ** 2 * means
        spread, everything = np.sum(spread), np.sum(spread + np.where(is_constant, 0, means))
        return Gram(self._gram, np.asarray(self._exponent), np.sqrt(spread / everything if everything else 0.0))

    def project(self, vectors: np.ndarray, values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        """One pass."""
        images, dtype = np.empty((self.shape[0], vectors.shape[1])), wide_dtype()
        offset = np.linalg.norm(np.ldexp(self._shift, -self._exponent))
        for rows, start, count in self._blocks(dtype, self.shape[1]):
            with jax.enable_x64(dtype == np.float64):
                part, lengths = map(np.asarray, _project(rows, vectors.astype(dtype)))
            rounding = ROUNDED * np.finfo(dtype).eps * (lengths + 2 * offset)
            part = np.where((np.linalg.norm(part, axis=1) > rounding)[:, None], part, 0)
            images[start : start + count] = part[:count]
        return images

    def decompose(self, kept: int) -> tuple[np.ndarray, np.ndarray]:
        """Two passes: a triangular factor, whose singular values and right vectors are those of the features; images.

        Source: Demmel et al. 2012, doi:10.1137/080731992 (TSQR).
        """
        dims = self.shape[1]
        factor = np.empty((0, dims))
        for rows, _, count in self._blocks(np.float64, dims):
            factor = np.linalg.qr(np.concatenate([factor, rows[:count]]), mode="r")
        _, values, right = np.linalg.svd(factor, full_matrices=False)
        return self.project(right[:kept].T, values[:kept], np.asarray(self._exponent)), values[:kept]

    def _blocks(self, dtype: DTypeLike, dims: int) -> Iterator[tuple[np.ndarray, int, int]]:
        """Blocks `[ROWS, dims]` of shifted and scaled features, the row where they start, how many rows count."""
        block, filled, start, seen = aligned_empty((ROWS, dims), np.dtype(dtype)), 0, 0, []
        direction, marks = np.random.default_rng(0).normal(size=dims), []
        for features, classes in self._checked():
            seen.append(classes)
            marks += [[row @ direction, np.linalg.norm(row)] for row in features[:1] - self._origin]
            rows = np.ldexp(features - self._shift, -self._exponent)
            while len(rows):
                taken = rows[: ROWS - filled]
                block[filled : filled + len(taken)] = taken
                rows, filled = rows[len(taken) :], filled + len(taken)
                if filled == ROWS:
                    yield block, start, filled
                    start, filled = start + filled, 0
        if filled:
            block[filled:] = 0
            yield block, start, filled
        labels = np.concatenate(seen)
        if self.labels is not None and not np.array_equal(labels, self.labels):
            raise ValueError("batches must bring the same samples in the same order in every pass; the labels differ.")
        along, size = np.array(marks).T  # of the first row of every batch
        if self.labels is not None and (np.abs(along - self._marks) > SAME_ROW * size.max()).any():
            raise ValueError(
                "batches must bring the same samples in the same order in every pass; the features differ. Turn off "
                "random augmentation and dropout."
            )
        self.labels, self._marks = labels, along

    def _checked(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        dims = None
        for i, (features, labels) in enumerate(self._batches):
            if are_collections(labels) or np.ndim(labels) != 1:
                got = "lists of labels" if are_collections(labels) else f"shape {np.shape(labels)}"
                raise ValueError(
                    f"Batch {i}: labels must have one axis, a class per sample; got {got}. {NO_SILHOUETTE}"
                )
            check_same_order(features, labels)
            classes = np.asarray(labels)
            array = np.asarray(check_features(f"Batch {i}", features, len(classes), at_least=0))
            dims = array.shape[1] if dims is None else dims
            if array.shape[1] != dims:
                raise ValueError(f"Batch {i}: expected {dims} dims, as in the first batch; got {array.shape[1]}.")
            yield array, classes


@jax.jit
def _multiply(rows: jax.Array, block: jax.Array) -> tuple[jax.Array, jax.Array]:
    images = matmul(rows, block.T)
    return images, matmul(images.T, rows)


@jax.jit
def _gram(rows: jax.Array) -> jax.Array:
    return matmul(rows.T, rows)


@jax.jit
def _project(rows: jax.Array, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    return matmul(rows, vectors), jnp.linalg.norm(rows, axis=1)
