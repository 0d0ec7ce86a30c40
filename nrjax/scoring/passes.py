"""Passes over batches of features that never fit in memory: products with their Gram matrix, and projections.

A = sum of (x - c)'(x - c) - n d'd,    c near the mean (that of the first batch), d = mean - c
"""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax.memory import aligned_empty
from nrjax.scoring.checks import check_features, rounding_of, working_dtype

ROWS = 4096  # multiplied at once: one shape, whatever the batches are
SAMPLED = 1024  # rows of the first batch that are kept, for a Krylov space to start from


class Passes:
    """Passes over the batches, in blocks of one shape; every pass must bring what the first one brought."""

    def __init__(self, batches: Iterable[tuple[Any, Any]], dtype: Any = None):
        self._batches = batches
        self.labels: list[np.ndarray] = []
        first = next(self._checked(), None)
        if first is None:
            raise ValueError("batches must hold at least one batch; got none.")
        features, _ = first
        self.rounding = rounding_of(features)
        exact = self.rounding < np.finfo(np.float32).eps  # float64 that float32 would round
        self.dims = features.shape[1]
        self.dtype = np.dtype(dtype or (np.float64 if exact else working_dtype(features.dtype)))
        features = features.astype(self.dtype, copy=False)
        self._shift = features.mean(axis=0, dtype=np.float64).astype(self.dtype)
        largest = float(np.max(np.abs(features)))
        self._scale = self.dtype.type(
            2.0 ** -np.frexp(largest)[1] if largest else 1
        )  # squares neither over- nor underflow
        self.size = float(np.linalg.norm(features * self._scale)) / len(features) ** 0.5  # of a sample, as it came
        self.sample = (features[:SAMPLED] - self._shift) * self._scale
        self.samples = 0
        self._mean = np.zeros(self.dims)  # of the shifted features; known after the first pass

    def gram(self) -> np.ndarray:
        """A, `[dims, dims]`, summed in float64 over the products of blocks."""
        total = np.zeros((self.dims, self.dims))
        for block, count in self._blocks():
            total += np.asarray(_gram_of(block, self._shift, self._scale, count))
        return total - self.samples * np.outer(self._mean, self._mean)

    def multiply(self, vectors: np.ndarray) -> np.ndarray:
        """A times every row of `vectors`, `[found, dims]`."""
        total, rows = np.zeros(vectors.shape), vectors.astype(self.dtype)
        for block, count in self._blocks():
            total += np.asarray(_gram_times(block, self._shift, self._scale, count, rows))
        return total - self.samples * np.outer(vectors @ self._mean, self._mean)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Centred features times every row of `vectors`, `[samples, found]`, rotated so that no two columns share."""
        images, gram = np.empty((self.samples, len(vectors)), self.dtype), np.zeros((len(vectors),) * 2)
        rows, middle, done = vectors.astype(self.dtype), (vectors @ self._mean), 0
        for block, count in self._blocks():
            part = np.asarray(_project(block, self._shift, self._scale, count, rows))[:count]
            centred = part - middle
            images[done : done + count], gram, done = centred, gram + centred.T @ centred, done + count
        return images @ eigh_descending(gram)[1].T.astype(self.dtype)

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


def eigh_descending(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
