"""Where the features of one model are kept: in memory, or in a temporary file that goes with the arrays."""

import tempfile
from collections.abc import Sequence

import numpy as np

from nrjax._utils.memory import aligned_empty, machine_memory

IN_MEMORY = machine_memory() // 4  # bytes of features of one model; larger ones are kept in a temporary file


def allocate_features(samples: int, layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """An empty array `[samples, dims]` for the first batch of every layer: float64 where that is, else float32."""
    dtypes = [np.dtype(np.float64 if batch.dtype == np.float64 else np.float32) for batch in layers]
    shapes = [(samples, batch.shape[1]) for batch in layers]
    total = samples * sum(dtype.itemsize * dims for dtype, (_, dims) in zip(dtypes, shapes, strict=True))
    allocate = aligned_empty if total <= IN_MEMORY else _in_file
    return [allocate(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]


def _in_file(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    with tempfile.TemporaryFile(prefix="nrjax-") as file:
        return np.memmap(file, dtype, "w+", shape=shape)
