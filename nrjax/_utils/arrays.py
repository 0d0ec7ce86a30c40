"""Types of arrays: those that nrjax computes with, and those that users have."""

from typing import Any, Protocol, TypeVar

import jax
import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray | jax.Array
OneKind = TypeVar("OneKind", bound=Array)  # what functions of `xp` take and return: NumPy's or JAX's


class SupportsDLPack(Protocol):
    """An array that lies where NumPy may not see it."""

    def __dlpack__(self, *, stream: Any = ...) -> Any: ...


AnyArray = ArrayLike | SupportsDLPack  # of NumPy, JAX, PyTorch, pandas, ..., or rows of numbers
