"""Arrays of any library, as NumPy or JAX has them; what would lose something on the way is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = np.ndarray | jax.Array


def as_array(who: str, value: Any) -> Array:
    """What is given as NumPy has it, or as JAX has it where it lies on another device; `who` begins the error."""
    if np.ma.isMaskedArray(value):
        raise ValueError(
            f"{who}: expected a plain array; got a masked one, whose mask would be lost. Remove the masked samples for "
            "every model, or fill them: array.filled(value)."
        )
    if hasattr(value, "tocsr") or type(value).__name__ in ("BCOO", "BCSR"):
        dense = "todense" if hasattr(value, "todense") and not hasattr(value, "toarray") else "toarray"
        raise ValueError(f"{who}: expected a dense array; got a sparse {type(value).__name__}. Use array.{dense}().")
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, (list, tuple)):
        if any(np.ma.isMaskedArray(row) for row in value):
            raise ValueError(
                f"{who}: expected plain rows; got masked ones, whose masks would be lost. Fill them first."
            )
    elif hasattr(value, "to_numpy") and hasattr(value, "dtypes"):  # pandas: nullable and boolean columns
        _check_columns(who, value)
        try:
            return value.to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{who}: expected columns of numbers: {error}") from error
    if isinstance(value, jax.Array):  # on CPU the same memory, seen by NumPy: no compiled program per shape
        on_cpu = all(device.platform == "cpu" for device in value.devices())
        return np.asarray(value) if on_cpu else value
    try:
        return np.asarray(value)
    except Exception as error:
        try:
            return as_array(who, jnp.from_dlpack(value))  # memory NumPy cannot see: another device, bfloat16
        except Exception:
            raise TypeError(
                f"{who}: expected an array; got {type(value).__name__}, which NumPy refuses: {error}"
            ) from error


def _check_columns(who: str, frame: Any) -> None:
    """Raises unless every column of a frame holds numbers: dates would become nanoseconds."""
    dtypes = frame.dtypes.items() if hasattr(frame.dtypes, "items") else [(None, frame.dtypes)]
    for place, (name, dtype) in enumerate(dtypes):
        numeric = getattr(dtype, "kind", "O") in "biuf"
        if not numeric and getattr(dtype, "kind", "O") == "O" and name is not None:
            column = np.asarray(frame.iloc[:, place], object)
            numeric = all(isinstance(entry, (int, float, np.number, np.bool_)) or entry is None or entry != entry
                          or type(entry).__name__ == "NAType" for entry in column)  # fmt: skip
        if not numeric:
            raise ValueError(f"{who}: expected columns of real numbers; column {str(name)[:60]!r} has dtype {dtype}.")
