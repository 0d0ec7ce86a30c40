"""The configuration of JAX and NumPy that nrjax computes in, whatever the user has switched on for debugging."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from nrjax._utils.messages import first_line


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


def is_accelerator(device: Any) -> bool:
    """Whether a device of JAX, None being the default one, is anything but a CPU."""
    return (jax.default_backend() if device is None else device.platform) != "cpu"


def jax_device(name: str) -> Any:
    """A device of JAX by its name: `cpu`, `cuda`, `cuda:1`, `tpu:0`. Raises ValueError where there is none."""
    kind, _, number = name.partition(":")
    try:
        return jax.devices(kind)[int(number or 0)]
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"JAX has no device {name!r} here: {first_line(error)}") from error
