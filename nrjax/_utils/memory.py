"""Where arrays lie and how many at once: buffers JAX can use as they are, slices that fit a device."""

import math
import os
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.typing import DTypeLike

ALIGNMENT = 64  # bytes; XLA on CPU takes NumPy's memory as it is from here on, and copies any other
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
    """Puts arrays where JAX takes them without a copy on CPU: memory of its own, used again and again.

    Fresh memory costs several times as much as the copy. What it returned last is overwritten by the
    next call, so an array that is still being read needs a staging of its own.
    """

    def __init__(self):
        self._memory = np.empty(0, np.uint8)

    def __call__(
        self, array: np.ndarray, dtype: DTypeLike, width: int | None = None, *, centred: bool = False
    ) -> np.ndarray:
        """`[samples, dims]` as `dtype`, with zero columns up to `width`; `array` itself if nothing is to be done.

        `centred`: what `dtype` would round is made smaller first, by taking the mean off.
        """
        samples, dims = array.shape
        wanted, dtype = (samples, width or dims), np.dtype(dtype)
        ready = array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0
        if array.shape == wanted and array.dtype == dtype and ready:
            return array
        if self._memory.size < _size(wanted, dtype) + ALIGNMENT:
            self._memory = np.empty(_size(wanted, dtype) + ALIGNMENT, np.uint8)
        staged = _aligned(self._memory, wanted, dtype)
        with np.errstate(all="ignore"):  # what does not fit is found by who computes with it
            if centred and array.dtype.itemsize > dtype.itemsize:
                np.subtract(array, array.mean(axis=0), out=staged[:, :dims], casting="unsafe")
            else:
                staged[:, :dims] = array
        staged[:, dims:] = 0
        return staged


def share_devices() -> None:
    """Lets JAX take a device's memory as it needs it, beside PyTorch; a user's own setting stays.

    By itself JAX takes three quarters when it first computes. Later this does nothing.
    """
    if not any(name in os.environ for name in OWN_SETTINGS):
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


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
    said = str(error)
    return isinstance(error, MemoryError) or any(
        words in said for words in ("RESOURCE_EXHAUSTED", "out of memory", "Failed to allocate memory", "bad_alloc")
    )
