"""How models are walked: one after another on CPU, together on accelerators; and under which conditions."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from threadpoolctl import ThreadpoolController

from nrjax.memory import Staging, in_slices, models_that_fit

T = TypeVar("T")


@contextlib.contextmanager
def conditions(dtype: DTypeLike) -> Iterator[None]:
    """JAX with arrays of `dtype` and, on CPU, LAPACK on one thread.

    The factorisations are small, and after each the threads of OpenBLAS spin for 25 ms on cores that the
    products need: the components of 10,000 x 1,024 take twice the time with them on two cores.
    """
    with contextlib.ExitStack() as stack:
        if dtype == np.float64:
            stack.enter_context(jax.enable_x64(True))
        if jax.default_backend() == "cpu":
            stack.enter_context(_libraries().limit(limits=1, user_api="blas"))
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg as _  # noqa: F401  (whose LAPACK JAX calls; loaded, it can be limited)

    return ThreadpoolController()


def one_by_one() -> bool:
    """How models are walked: one after another on CPU, as one batch on accelerators.

    On CPU one model keeps the cores busy; `vmap` would only cost memory (the Gram matrices and eigenvectors
    of all models at once), and `lax.map` a copy of every model out of the stack. On an accelerator one
    model does not fill the device.
    """
    return jax.default_backend() == "cpu"


def walk(
    stack: Any, which: np.ndarray, dtype: DTypeLike, one: Callable[[jax.Array], T], many: Callable[[jax.Array], T]
) -> T:
    """Results of the models `which` of a stack, as NumPy arrays with a leading axis `models`.

    Args:
      stack: `[models, samples, dims]`; on CPU also a list.
      which: indices.
      dtype: computed in.
      one: of `[samples, dims]`.
      many: the same of several at once.
    """
    if one_by_one():
        each, staging = [], Staging()
        for i in which:
            result = one(jax.device_put(staging(stack[i], dtype)))
            each.append(jax.tree.map(np.array, result))  # waits: the staging is free for the next model
        return jax.tree.map(lambda *values: np.stack(values), *each)

    def together(piece: np.ndarray) -> T:
        spare = (1 << (len(piece) - 1).bit_length()) - len(piece)  # few sizes, few compilations
        models = jnp.asarray(stack[np.append(piece, piece[-1:].repeat(spare))], dtype)
        return jax.tree.map(lambda x: np.asarray(x)[: len(piece)], many(models))

    fit = models_that_fit(stack[0].nbytes)
    pieces = in_slices(together, which, min(fit, len(which)))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *(result for _, result in pieces))
