"""The checked door for arrays: what comes in is validated here, once, and made ready for the kernels.

Inside `jit` nothing can be checked: a row that is not finite would not fail, it would score something else.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nrjax.scoring.arrays import Array, as_array


def check_features(who: str, features: object, samples: int | None = None, *, at_least: int = 2) -> Array:
    """Finite real features `[samples, dims]`, still where they were (host or device).

    Floats of up to four bytes and integers of fewer become float32, all wider ones float64: nothing is rounded here.
    `working_dtype` says what they are computed in.

    Args:
      who: begins the error, such as `Model 'vit'`.
      features: NumPy, JAX, pandas, or anything with `__array__` or DLPack.
      samples: rows there must be; None takes any number.
      at_least: rows there must be then.
    """
    array = as_array(who, features)
    if array.ndim != 2 or array.shape[1] < 1:
        raise ValueError(
            f"{who}: expected features of shape ({samples or 'samples'}, dims), one row per label; "
            f"got {array.shape}. Flatten or pool other axes before ranking."
        )
    if samples is not None and len(array) != samples:
        raise ValueError(f"{who}: expected one row per label; got {len(array)} rows for {samples} labels.")
    if len(array) < at_least:
        raise ValueError(f"{who}: expected at least {at_least} samples; got {len(array)}.")
    if not is_real(array.dtype):
        raise ValueError(f"{who}: expected real numbers; got dtype {array.dtype}. Convert the features to float32.")
    array = _exactly(array)
    if not _all_finite(array):
        xp = np if isinstance(array, np.ndarray) else jnp
        rows = np.flatnonzero(~np.asarray(xp.isfinite(array).all(axis=1)))
        value = np.asarray(array[rows[0]])
        raise ValueError(
            f"{who}: features must be finite; row {rows[0]} has {value[~np.isfinite(value)][0]} "
            f"({len(rows)} of {len(array)} rows). Remove those samples for every model, or mend the model."
        )
    return array


def check_probabilities(who: str, probabilities: object, samples: int) -> Array:
    """Probabilities `[samples, source_classes]`: not negative, and rows that sum to 1, as well as their type can."""
    given = as_array(who, probabilities)
    narrow = jnp.issubdtype(given.dtype, jnp.floating) and given.dtype.itemsize < 4
    tolerance = max(1e-3, 4 * float(jnp.finfo(given.dtype).eps)) if narrow else 1e-3
    array = check_features(who, given, samples)
    sums = np.asarray(array.sum(axis=1))
    wrong = np.flatnonzero((np.asarray(array.min(axis=1)) < 0) | (np.abs(sums - 1) > tolerance))
    if len(wrong):
        raise ValueError(
            f"{who}: expected probabilities, rows that sum to 1 and have no negative entry; row {wrong[0]} sums to "
            f"{sums[wrong[0]]:.6g}. Apply a softmax to logits."
        )
    return array


def is_real(dtype: DTypeLike) -> bool:
    """Whether numbers of this type are real."""
    return bool(jnp.issubdtype(dtype, jnp.floating)) or np.dtype(dtype).kind in "iub"


def _exactly(array: Array) -> Array:
    """As float32 or float64, whichever holds every value (integers beyond 2**53 aside)."""
    wide = array.dtype.itemsize >= (8 if array.dtype.kind == "f" else 4) and array.dtype.kind in "iuf"
    wanted = np.float64 if wide else np.float32
    if array.dtype == wanted:
        return array
    if wide and not isinstance(array, np.ndarray) and not jax.config.jax_enable_x64:  # pyright: ignore
        array = np.asarray(array)
    with np.errstate(all="ignore"):
        return array.astype(wanted)


def _all_finite(array: Array) -> bool:
    """By one read where that is enough: anything that is not finite shows in the sum."""
    if not isinstance(array, np.ndarray):
        return bool(_finite(array))
    with np.errstate(all="ignore"):
        total = float(array.sum())
    return np.isfinite(total) or bool(np.isfinite(array).all())


@jax.jit  # one kernel instead of two, and nothing written between them
def _finite(array: jax.Array) -> jax.Array:
    return jnp.isfinite(array).all()
