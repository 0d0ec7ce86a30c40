"""How models are walked: one after another on CPU, together on accelerators; and under which conditions."""

import contextlib
import functools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from threadpoolctl import ThreadpoolController

from nrjax.memory import Staging, bytes_of, free_memory, in_slices, models_that_fit
from nrjax.switches import our_own

T = TypeVar("T")


@contextlib.contextmanager
def conditions(dtype: DTypeLike) -> Iterator[None]:
    """JAX with arrays of `dtype`, without the user's switches and, on CPU, with LAPACK on one thread.

    The factorisations are small, and after each the threads of OpenBLAS spin for 25 ms on cores that the
    products need: the components of 10,000 x 1,024 take twice the time with them on two cores.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(our_own())
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


class Waiting(Generic[T]):
    """Models that wait for others that are computed by the same program; on CPU nobody waits."""

    def __init__(self):
        self._groups: dict[Any, list[T]] = {}

    def add(self, group: Hashable, model: T, bytes_per_model: int) -> list[T]:
        """The models of the group once there are enough of them to be computed together, else none."""
        self._groups.setdefault(group, []).append(model)
        enough = one_by_one() or len(self._groups[group]) >= models_that_fit(bytes_per_model)
        return self._groups.pop(group) if enough else []

    def rest(self) -> Iterator[tuple[Any, list[T]]]:
        """Groups whose models wait still; they do no longer."""
        while self._groups:
            yield self._groups.popitem()


def walk(
    arrays: Sequence[Any],
    dtype: DTypeLike,
    one: Callable[[jax.Array], T],
    many: functools.partial[T],
    *,
    width: int | None = None,
    centred: bool = False,
    staging: Staging | None = None,
) -> T:
    """Results of models of one shape, as NumPy arrays with a leading axis `models`.

    Args:
      arrays: `[samples, dims]` each.
      dtype: computed in.
      one: of `[samples, dims]`.
      many: of `[models, samples, dims]`, the same of several at once: `functools.partial` of a jitted function.
      width: dims they are given, by columns of zeros; None leaves them.
      centred: their mean may be taken off before they are rounded to `dtype`.
      staging: used for what has to be copied, and used again.
    """
    if one_by_one():
        each, staging = [], staging or Staging()
        for array in arrays:
            result = one(jax.device_put(staging(np.asarray(array), dtype, width, centred=centred)))
            each.append(jax.tree.map(np.array, result))  # waits: the staging is free for the next model
        return jax.tree.map(lambda *values: np.stack(values), *each)

    def ready(array: Any) -> jax.Array:
        if array.dtype == dtype and array.shape == shape:
            return jnp.asarray(array)
        if isinstance(array, np.ndarray):
            return jnp.asarray(Staging()(array, dtype, width, centred=centred))
        return jnp.pad(array.astype(dtype), ((0, 0), (0, shape[1] - array.shape[1])))

    def together(piece: np.ndarray) -> T:
        models = _padded(len(piece))  # few sizes, few compilations
        stack = jnp.zeros((models, *shape), dtype)
        for place, model in enumerate(piece):
            stack = _put(stack, ready(arrays[model]), place)
            if not isinstance(arrays[model], jax.Array):
                stack.block_until_ready()  # or all would lie on the device twice: Python runs ahead
        for place in range(len(piece), models):
            stack = _put(stack, stack[len(piece) - 1], place)  # the last model again
        return jax.tree.map(lambda x: np.asarray(x)[: len(piece)], many(stack))

    shape = arrays[0].shape[0], width or arrays[0].shape[1]
    one_model = math.prod(shape) * np.dtype(dtype).itemsize
    size = min(models_that_fit(one_model), _padded(len(arrays)))
    free = free_memory() - one_model  # which arrives while the others are there
    while size > 1 and bytes_of(many, jax.ShapeDtypeStruct((size, *shape), dtype)) > free:
        size //= 2
    pieces = in_slices(together, np.arange(len(arrays)), size)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *(result for _, result in pieces))


def _padded(models: int) -> int:
    return 1 << (models - 1).bit_length()


@functools.partial(jax.jit, donate_argnums=0)
def _put(stack: jax.Array, array: jax.Array, place: int) -> jax.Array:
    return lax.dynamic_update_index_in_dim(stack, array, place, 0)
