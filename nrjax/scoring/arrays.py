"""Arrays of any library, as NumPy or JAX has them; what would lose something on the way is refused."""

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.arrays import Array
from nrjax._utils.frames import is_frame, numbers_of_frame


def as_array(who: str, value: object) -> Array:
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
    elif is_frame(value):
        return numbers_of_frame(who, value)
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
