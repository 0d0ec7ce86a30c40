"""What features are rounded by, and what is taken from them before they are computed with."""

import jax
import numpy as np

from nrjax.scoring.arrays import Array

FEW_ROWS = 16  # that show what numbers there are
LARGEST_WITH_FRACTION = 2.0**22  # above it float32 holds halves or whole numbers only


def working_dtype(dtype: np.dtype) -> type[np.floating]:
    """What the silhouette of features begins in: float32, or float64 for eight bytes with `jax_enable_x64`."""
    wide = jax.config.jax_enable_x64 and dtype.kind in "iuf" and dtype.itemsize == 8  # pyright: ignore
    return np.float64 if wide else np.float32


def rounding_of(array: Array) -> float:
    """What the features are rounded by, relative to their size.

    Float64 that came from float32 is no better than that. Whole numbers are exact.
    """
    if array.dtype == np.float64:
        few = np.asarray(array[:: max(1, len(array) // FEW_ROWS)])
        with np.errstate(all="ignore"):
            exact = not np.array_equal(few, few.astype(np.float32)) or (_are_whole(few) and _are_whole(array))
        return float(np.finfo(np.float64 if exact else np.float32).eps)
    return float(np.finfo(np.float32).eps)


def _are_whole(array: Array) -> bool:
    """Whether all are whole numbers, and some of them so small that float32 would hold a fraction too."""
    numbers = np.asarray(array)
    small = (numbers != 0) & (np.abs(numbers) < LARGEST_WITH_FRACTION)
    return bool(small.any()) and bool(np.array_equal(numbers, np.rint(numbers)))


def without_constants(array: Array) -> Array:
    """Features with 0 in place of what is the same for all samples, which no centred score sees.

    A column of large constants would make rounding look as large as what varies.
    """
    constant = np.asarray((array[:FEW_ROWS] == array[0]).all(axis=0) & (array[0] != 0))
    if constant.any():
        columns = np.flatnonzero(constant)
        columns = columns[np.asarray((array[:, columns] == array[0, columns]).all(axis=0))]
        if len(columns):
            array = np.array(array)
            array[:, columns] = 0
    return array


def without_subnormals(array: Array) -> Array:
    """Features times a power of two, where some rows hold numbers so small that XLA may take them for 0."""
    if isinstance(array, np.ndarray):
        sizes, limits = np.abs(array[:: max(1, len(array) // FEW_ROWS)]), np.finfo(np.float32)
        if np.any((sizes > 0) & (sizes < limits.tiny)):
            return np.ldexp(array, limits.maxexp - 2 - int(np.frexp(np.abs(array).max())[1]))
    return array
