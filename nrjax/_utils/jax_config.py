"""The configuration of JAX and NumPy that nrjax computes in, whatever the user has switched on for debugging."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np


@contextlib.contextmanager
def neutral_config() -> Iterator[None]:
    """JAX and NumPy without the user's switches for debugging.

    Kernels mask expected NaN, mix ranks and Python numbers, and move their own arrays. Their results are checked.
    """
    with (
        jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"), jax.debug_nans(False),
        jax.debug_infs(False), jax.transfer_guard("allow"), np.errstate(all="ignore"),
    ):  # fmt: skip
        yield
