"""Features in memory, as the solvers of `components` use them: of one model, of stacked ones, or over a mesh."""

import functools
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from nrjax._utils.arrays import Array
from nrjax._utils.memory import Staging
from nrjax.scoring.operators import ROUNDED, Gram, programs, wide_dtype

SAMPLED_ROWS = 256  # of which the first block is made
FIRST_STEPS, DIMS_PER_STEP = 8, 48  # so many steps of one model on a CPU cost as much as a decomposition
STACKED_STEPS = 60
SMALL_SIDE = 256  # of a Gram matrix, of which all eigenvectors cost no more than the leading ones
MAX_EXPONENT = 1000  # of a power of two whose inverse is a normal float64


def leading_eigenvectors(matrices: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
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


class ArrayFeatures:
    """Features in memory.

    Args:
      array: `[samples, dims]` or `[models, samples, dims]`, finite, float32 or float64.
      weights: `[models, samples]`, 0 for samples that do not count; None counts all.
      mesh: devices that `array` is split over.
      rounding: relative, of the features as they came.
      staging: memory for a copy in float32, where one is needed.
    """

    def __init__(
        self, array: Array, weights: jax.Array | None = None, mesh: Mesh | None = None, *, rounding: float,
        staging: Staging | None = None,
    ):  # fmt: skip
        *models, samples, dims = self.shape = array.shape
        self.models, self.rounding, self.dtype = tuple(models), rounding, array.dtype
        self._array, self._weights, self._mesh, self._staging = array, weights, mesh, staging or Staging()
        split = mesh is not None and "samples" in mesh.axis_names
        self.by_dims = bool(models) or split or dims <= samples
        self.one_shape = bool(models) or mesh is not None or jax.default_backend() != "cpu"
        # Of models on an accelerator a step costs little, and their decompositions run one after another on the host.
        self.most_steps = STACKED_STEPS if models else FIRST_STEPS + min(samples, dims) // DIMS_PER_STEP
        self._programs = programs(bool(models), mesh)

    @functools.cached_property
    def _narrow(self) -> jax.Array:
        """In float32. What that would round is made smaller first, by taking the mean off."""
        if isinstance(self._array, np.ndarray):
            return jax.device_put(self._staging(self._array, np.float32, centred=True))
        return self._array.astype(np.float32)

    def sampled(self) -> np.ndarray | None:
        if self._mesh is not None:
            return None
        if self.by_dims:
            rows = self._rows
            return rows - rows.mean(axis=-2, keepdims=True)
        columns = np.asarray(self._narrow)[:, :: max(1, self.shape[-1] // SAMPLED_ROWS)].T
        return columns - columns.mean(axis=-1, keepdims=True)

    @property
    def _rows(self) -> np.ndarray:
        """Some rows."""
        step = max(1, self.shape[-2] // SAMPLED_ROWS)
        rows = np.asarray(self._narrow) if jax.default_backend() == "cpu" else self._narrow  # no program for a slice
        return np.asarray(rows[..., : step * SAMPLED_ROWS : step, :])

    @property
    def size(self) -> np.ndarray:
        return self._size

    @functools.cached_property
    def _size(self) -> np.ndarray:
        if self._mesh is not None:
            return np.asarray(self._programs.size(self._narrow, self._weights), np.float64)
        return np.sqrt(np.mean(np.sum(np.square(self._rows, dtype=np.float64), axis=-1), axis=-1))

    def multiply(self, block: Array) -> tuple[Array | None, Array]:
        if self.by_dims:
            return self._programs.multiply(self._narrow, block, self._weights)
        return None, np.asarray(self._programs.multiply_samples(self._narrow, block)).T

    def rotate(self, images: list[Array], rotation: np.ndarray) -> Array:
        if self.one_shape:
            return self._programs.rotate(images, rotation)
        return np.concatenate(images, axis=-1) @ rotation

    def gram(self) -> Gram:
        if self._mesh is not None:
            with jax.enable_x64(wide_dtype() == np.float64):
                return Gram(*map(np.asarray, self._programs.gram(self._array, self._weights)))
        lengths, centred = self._host.lengths, self._host.centred
        size = np.linalg.norm(lengths)
        variation = np.linalg.norm(centred) / size if size else 0.0
        matrix = centred.T @ centred if self.by_dims else centred @ centred.T
        return Gram(matrix, np.asarray(self._host.exponent), np.asarray(variation))

    def project(self, vectors: np.ndarray, values: np.ndarray, exponent: np.ndarray) -> Array:
        if self._mesh is not None:
            with jax.enable_x64(vectors.dtype == np.float64):
                return self._programs.project(self._array, vectors, exponent, self._weights)
        images = self._host.centred @ vectors if self.by_dims else vectors * values
        rounding = ROUNDED * np.finfo(images.dtype).eps * (self._host.lengths + self._host.offset)
        return np.where((np.linalg.norm(images, axis=1) > rounding)[:, None], images, 0)

    def decompose(self, kept: int) -> tuple[np.ndarray, np.ndarray] | None:
        if self._mesh is not None:
            return None
        left, values, _ = np.linalg.svd(self._host.centred, full_matrices=False)
        return (left * values)[:, :kept], values[:kept]

    @functools.cached_property
    def _host(self) -> "_Host":
        """One model in float64 NumPy, which needs no program and forms half of a Gram matrix only."""
        rows, exponent = np.ascontiguousarray(self._array, np.float64), 0
        if self.dtype == np.float64:  # squares of float32 are far from the largest and the smallest float64
            exponent = int(np.frexp(max(rows.max(), -rows.min()))[1])
            rows = rows * 2.0**-exponent if abs(exponent) < MAX_EXPONENT else np.ldexp(rows, -exponent)
        mean = rows.mean(axis=0)
        centred = rows - mean
        centred -= centred.mean(axis=0)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        return _Host(centred, lengths, float(np.linalg.norm(mean)), exponent)


class _Host(NamedTuple):
    centred: np.ndarray  # divided by 2^exponent, and so are the next two
    lengths: np.ndarray  # of the rows as they came
    offset: float  # length of the mean
    exponent: int
