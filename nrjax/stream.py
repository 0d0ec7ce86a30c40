"""The score of features that never fit in memory: a few passes over batches, the same score as from an array.

Up to `GRAM_DIMS` wide: one pass sums the Gram matrix, one projects. Wider: every pass multiplies the Gram
matrix, which is never formed, with one block of a Krylov space, until the residuals certify the result, and a
last pass projects. What is held is O(dims^2) or O(dims * n_components), and O(samples * n_components).

    A = sum of (x - c)'(x - c) - n d'd,    c near the mean (that of the first batch), d = mean - c
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax.batch import check_features, check_settings, components_of, encode_labels
from nrjax.kernels import points_error
from nrjax.memory import aligned_empty
from nrjax.scoring import conditions

SAMPLED = 1024  # rows of the first batch, where the Krylov space starts from
RANDOM = 4  # directions beside those
ROWS = 4096  # multiplied at once: one shape, whatever the batches are
GRAM_DIMS = 4096  # a Gram matrix of 128 MiB in float64
EXTRA = 14  # vectors beyond n_components
MOST_BLOCKS = 8


def score_stream(
    batches: Iterable[tuple[Any, Any]],
    *,
    n_components: int = 10,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    method: kernels.Method = "auto",
    block_size: int | None = None,
) -> float:
    """neuralRank score of one model from batches of its features, in [-1, 1]; higher is better.

    Args:
      batches: pairs (features `[batch, dims]`, labels `[batch]`) of any sizes. Iterated over two times (three to
        nine times above 4,096 dims), so it must start anew, with the same samples in the same order, whenever
        it is iterated: a list, a data loader, a `FeatureBatches`, but not a generator.
      n_components: principal components kept, or `min(samples - 1, dims)` where there are fewer.
      distance: as for `rank_batch`, and so are the rest. `euclidean` takes time O(samples^2).
      definition: `rousseeuw` or `centroid`.
      method: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.

    Raises:
      ValueError: batches that do not fit together, are not the same in every pass, or cannot be scored.
      TypeError: an iterator that can be used only once.

    Source: as for `rank_batch`; agrees with it to 1e-6.
    """
    settings = check_settings(n_components, distance, definition, "auto", method, block_size)
    if iter(batches) is batches:
        raise TypeError(
            f"batches must be iterable more than once; got the one-shot iterator {type(batches).__name__}. "
            "Pass a list, a data loader, or an object whose __iter__ starts anew."
        )
    reader = _Reader(batches)
    with conditions(reader.dtype):
        vectors, dtype = _leading(reader, settings.n_components)
    with conditions(dtype):
        images = reader.project(vectors, dtype)
    ids, classes = encode_labels(np.concatenate(reader.labels))
    components = components_of(settings, (len(ids), reader.dims))
    points = images[:, :components].astype(reader.dtype)
    value = kernels.silhouette_score(
        jnp.asarray(points), jnp.asarray(ids), n_classes=len(classes), distance=settings.distance,
        definition=settings.definition, method=settings.method, block_size=settings.block_size,
    )  # fmt: skip
    return float(value)


class _Reader:
    """Passes over the batches, in blocks of one shape; every pass must bring what the first one brought."""

    def __init__(self, batches: Iterable[tuple[Any, Any]]):
        self._batches = batches
        self.labels: list[np.ndarray] = []
        first = next(self._checked(), None)
        if first is None:
            raise ValueError("batches must hold at least one batch; got none.")
        features, _ = first
        self.dims, self.dtype = features.shape[1], features.dtype
        self._shift = features.mean(axis=0, dtype=np.float64).astype(features.dtype)
        largest = float(np.max(np.abs(features)))
        self._scale = features.dtype.type(
            2.0 ** -np.frexp(largest)[1] if largest else 1
        )  # squares neither over- nor underflow
        self.sample = (features[:SAMPLED] - self._shift) * self._scale
        self.samples = 0
        self._mean = np.zeros(self.dims)  # of the shifted features; known after the first pass

    def gram(self, dtype: Any) -> np.ndarray:
        """A, `[dims, dims]`, summed in float64 over blocks multiplied in `dtype`."""
        total = np.zeros((self.dims, self.dims))
        for block, count in self._blocks():
            total += np.asarray(_gram_of(block.astype(dtype, copy=False), *self._frame(dtype), count))
        return total - self.samples * np.outer(self._mean, self._mean)

    def multiply(self, vectors: np.ndarray) -> np.ndarray:
        """A times every row of `vectors`, `[found, dims]`."""
        total, rows = np.zeros(vectors.shape), vectors.astype(self.dtype)
        for block, count in self._blocks():
            total += np.asarray(_gram_times(block, *self._frame(), count, rows))
        return total - self.samples * np.outer(vectors @ self._mean, self._mean)

    def project(self, vectors: np.ndarray, dtype: Any) -> np.ndarray:
        """Centred features times every row of `vectors`, `[samples, found]`, rotated so that no two columns share."""
        images, gram = np.empty((self.samples, len(vectors)), dtype), np.zeros((len(vectors),) * 2)
        rows, middle, done = vectors.astype(dtype), (vectors @ self._mean), 0
        for block, count in self._blocks():
            part = np.asarray(_project(block.astype(dtype, copy=False), *self._frame(dtype), count, rows))[:count]
            centred = part - middle
            images[done : done + count], gram, done = centred, gram + centred.T @ centred, done + count
        return images @ _eigh(gram)[1].T.astype(dtype)

    def _frame(self, dtype: Any = None) -> tuple[np.ndarray, Any]:
        dtype = np.dtype(dtype or self.dtype)
        return self._shift.astype(dtype, copy=False), dtype.type(self._scale)

    def _blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        """Blocks `[ROWS, dims]` and how many of their rows count. The first pass learns labels and mean."""
        known, labels, total = self.labels, [], np.zeros(self.dims)
        block, filled = aligned_empty((ROWS, self.dims), self.dtype), 0
        for features, classes in self._checked():
            labels.append(classes)
            if not known:
                total += ((features - self._shift) * self._scale).sum(axis=0, dtype=np.float64)
            while len(features):
                taken = features[: ROWS - filled]
                block[filled : filled + len(taken)] = taken
                features, filled = features[len(taken) :], filled + len(taken)
                if filled == ROWS:
                    yield block, filled
                    filled = 0
        if filled:
            block[filled:] = 0
            yield block, filled
        if not known:
            self.labels, self.samples = labels, sum(map(len, labels))
            self._mean = total / self.samples
        elif not np.array_equal(np.concatenate(labels), np.concatenate(known)):
            raise ValueError("batches must bring the same samples in the same order in every pass; the labels differ.")

    def _checked(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        dims = None
        for i, (features, labels) in enumerate(self._batches):
            classes = np.asarray(labels)
            if classes.ndim != 1:
                raise ValueError(
                    f"Batch {i}: labels must have one axis, a class per sample; got shape {classes.shape}."
                )
            array = np.asarray(check_features(f"Batch {i}", features, len(classes), at_least=0))
            dims = array.shape[1] if dims is None else dims
            if array.shape[1] != dims:
                raise ValueError(f"Batch {i}: expected {dims} dims, as in the first batch; got {array.shape[1]}.")
            yield array, classes


def _leading(reader: _Reader, n_components: int) -> tuple[np.ndarray, Any]:
    """Orthonormal rows that hold the leading principal directions and some more, and the type to project in."""
    dtype = reader.dtype
    if reader.dims > GRAM_DIMS:
        return _krylov(reader.multiply, _start(reader.sample, n_components + EXTRA), n_components), dtype
    gram = reader.gram(reader.dtype)
    squares, vectors = _eigh(gram)
    found = min(n_components + EXTRA, reader.dims)
    if found > n_components and dtype == np.float32:
        # what rounding leaves as residuals; a float64 pass for components that are as good as tied
        noise = np.full((n_components + 1, 1), np.finfo(np.float32).eps)
        if (
            not float(points_error(jnp.asarray(squares / max(squares[0], 1e-300)), jnp.asarray(noise), n_components))
            <= kernels.MAX_ERROR
        ):
            dtype = np.float64
            with conditions(dtype):
                _, vectors = _eigh(reader.gram(dtype))
    return vectors[:found], dtype


def _start(rows: np.ndarray, width: int) -> np.ndarray:
    """Directions of most variance in a few rows, and a few random ones."""
    rows = rows - rows.mean(axis=0)
    seen = _eigh(rows @ rows.T)[1][: width - RANDOM] @ rows
    random = np.random.default_rng(0).normal(size=(width - len(seen), rows.shape[1]))
    return np.concatenate([seen, random])


def _krylov(multiply: Callable[[np.ndarray], np.ndarray], start: np.ndarray, n_components: int) -> np.ndarray:
    """A basis of the block Krylov space in which the leading pairs are certified, and one block more."""
    width, dims = start.shape
    basis = np.linalg.qr(start.T.astype(np.float64))[0].T
    images = multiply(basis)
    while True:
        squares, rotation = _eigh(basis @ images.T)
        vectors, multiplied = rotation[:width] @ basis, rotation[:width] @ images
        residuals = multiplied - squares[:width, None] * vectors
        largest = max(squares[0], 1e-300)
        error = float(points_error(jnp.asarray(squares / largest), jnp.asarray(residuals / largest), n_components))
        block = residuals - residuals @ basis.T @ basis
        block = np.linalg.qr((block - block @ basis.T @ basis).T)[0].T
        if error <= kernels.MAX_ERROR:
            return np.concatenate([vectors, block])
        if len(basis) >= MOST_BLOCKS * width:
            raise ValueError(
                f"The spectrum of these {dims} dims decays too slowly: after {MOST_BLOCKS} passes the components may "
                f"be off by {error:.1e} (at most {kernels.MAX_ERROR} is scored). Pool or project the features first."
            )
        basis, images = np.concatenate([basis, block]), np.concatenate([images, multiply(block)])


def _eigh(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, descending and not below 0, and eigenvectors as rows."""
    values, vectors = np.linalg.eigh((symmetric + symmetric.T) / 2)
    return np.maximum(values[::-1], 0), vectors.T[::-1]


def _shifted(block: jax.Array, shift: jax.Array, scale: jax.Array, count: jax.Array) -> jax.Array:
    return jnp.where(jnp.arange(len(block))[:, None] < count, (block - shift) * scale, 0)


@jax.jit
def _gram_of(block: jax.Array, shift: jax.Array, scale: jax.Array, count: jax.Array) -> jax.Array:
    rows = _shifted(block, shift, scale, count)
    return kernels.matmul(rows.T, rows)


@jax.jit
def _gram_times(
    block: jax.Array, shift: jax.Array, scale: jax.Array, count: jax.Array, vectors: jax.Array
) -> jax.Array:
    rows = _shifted(block, shift, scale, count)
    return kernels.matmul(kernels.matmul(rows, vectors.T).T, rows)


@jax.jit
def _project(block: jax.Array, shift: jax.Array, scale: jax.Array, count: jax.Array, vectors: jax.Array) -> jax.Array:
    return kernels.matmul(_shifted(block, shift, scale, count), vectors.T)
