"""Memory: buffers that JAX uses without a copy, the free memory of devices, slices that fit it."""

import math
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.typing import DTypeLike

from nrjax._utils.process_wide import environment_default, process_wide

ALIGNMENT = 64  # bytes; from here on XLA on CPU uses the memory of NumPy arrays, and copies any other
COPIES = 2  # of the features while they are scored, images and temporaries included
OWN_SETTINGS = ("XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION",
                "XLA_PYTHON_CLIENT_ALLOCATOR")  # fmt: skip
UNKNOWN_MEMORY = 4 << 30  # bytes, where a device does not tell

T = TypeVar("T")


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """`np.empty` whose memory JAX uses on CPU without a copy (`jax.device_put`)."""
    return _aligned(np.empty(_size(shape, dtype) + ALIGNMENT, np.uint8), shape, dtype)


def _aligned(memory: np.ndarray, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + _size(shape, dtype)].view(dtype).reshape(shape)


def _size(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


class Staging:
    """Copies arrays into a buffer that JAX uses without another copy on CPU. Every call uses the same buffer.

    New memory costs several times as much as the copy. A call overwrites the array that the last call returned, so an
    array that is still being read needs another `Staging`.
    """

    def __init__(self):
        self._memory = np.empty(0, np.uint8)

    def __call__(self, array: np.ndarray, dtype: DTypeLike, *, centred: bool = False) -> np.ndarray:
        """`[samples, dims]` as `dtype`; `array` itself if nothing has to change.

        `centred` subtracts the mean first, where `dtype` is narrower, so that less is rounded away.
        """
        dtype = np.dtype(dtype)
        size = _size(array.shape, dtype) + ALIGNMENT
        ready = array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0
        if array.dtype == dtype and ready:
            return array
        if self._memory.size < size:
            self._memory = np.empty(size, np.uint8)
        staged = _aligned(self._memory, array.shape, dtype)
        with np.errstate(all="ignore"):  # the caller finds numbers that do not fit
            if centred and array.dtype.itemsize > dtype.itemsize:
                np.subtract(array, array.mean(axis=0), out=staged, casting="unsafe")
            else:
                staged[:] = array
        return staged


@process_wide
def shared_devices() -> Iterator[None]:
    """Lets JAX take a device's memory as it needs it, beside PyTorch; a user's own setting stays.

    By itself JAX takes three quarters when it first computes. Later this does nothing.
    """
    if any(name in os.environ for name in OWN_SETTINGS):
        yield
        return
    with environment_default("XLA_PYTHON_CLIENT_PREALLOCATE", "false"):
        yield


def free_memory() -> int:
    """Bytes that are free on the default device; `UNKNOWN_MEMORY` where it does not tell."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit", UNKNOWN_MEMORY) - stats.get("bytes_in_use", 0)


def models_that_fit(bytes_per_model: int) -> int:
    """Models to score at once on the default device, by the size of their features: a power of two, at least 1."""
    return 1 << max(0, int(free_memory() / (COPIES * bytes_per_model)).bit_length() - 1)


def in_slices(run: Callable[[np.ndarray], T], indices: np.ndarray, size: int) -> list[tuple[np.ndarray, T]]:
    """`run` on slices of `indices`; a slice that is out of memory is halved, and those after it stay that small.

    Returns:
      Every slice and its result.

    Raises:
      jax.errors.JaxRuntimeError: not even one at a time fits, or anything else went wrong.
    """
    done: list[tuple[np.ndarray, Any]] = []
    start, warned = 0, False
    while start < len(indices):
        piece = indices[start : start + size]
        try:
            done.append((piece, run(piece)))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or size == 1:
                raise
            if not warned:
                warnings.warn(
                    f"{len(piece)} models at once do not fit the memory of {jax.local_devices()[0]}; going on with "
                    "fewer.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            size, warned = max(1, min(size, len(piece)) // 2), True
        else:
            start += len(piece)
    return done


def machine_memory() -> int:
    """Bytes of the machine's memory; `UNKNOWN_MEMORY` where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a framework failed because a batch is too large for its device."""
    message = str(error)
    return isinstance(error, MemoryError) or any(
        words in message for words in ("RESOURCE_EXHAUSTED", "out of memory", "Failed to allocate memory", "bad_alloc")
    )
