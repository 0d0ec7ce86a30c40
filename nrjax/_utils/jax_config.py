"""The user's own switches for debugging, which concern the user's own code and not ours."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np


@contextlib.contextmanager
def neutral_config() -> Iterator[None]:
    """JAX and NumPy as this package is written for them, whatever the user has switched on.

    Kernels mask what is not a number where it is to be expected, mix ranks and Python numbers freely, and move their
    own arrays; what comes out is checked.
    """
    with (
        jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"), jax.debug_nans(False),
        jax.debug_infs(False), jax.transfer_guard("allow"), np.errstate(all="ignore"),
    ):  # fmt: skip
        yield
