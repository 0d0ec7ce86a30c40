"""How programs run: one model after another on a CPU, models of one shape together on accelerators."""

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from threadpoolctl import ThreadpoolController

from nrjax._utils.arrays import Array
from nrjax._utils.jax_config import neutral_config
from nrjax._utils.memory import Staging, in_slices, models_that_fit

T = TypeVar("T")
THREADS_FROM = 512  # rows of a matrix from which its decomposition gains by threads
NARROWEST_STEP = 8  # sizes of a bucket between two powers of two


@contextlib.contextmanager
def compute_context(dtype: DTypeLike = np.float32, *, threads: bool = False) -> Iterator[None]:
    """JAX with arrays of `dtype`, the package's own configuration and, on a CPU, BLAS on one thread.

    Small factorisations gain nothing by threads, and after each of them the threads of OpenBLAS spin for 25 ms on cores
    that the products of JAX need. `threads` leaves them to large ones.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(neutral_config())
        if dtype == np.float64:
            stack.enter_context(jax.enable_x64(True))
        if jax.default_backend() == "cpu" and not threads:
            stack.enter_context(_blas().limit(limits=1, user_api="blas"))
        yield


@contextlib.contextmanager
def compile_context(dtype: DTypeLike) -> Iterator[None]:
    """`compute_context` of a thread that compiles only, and leaves BLAS as it is."""
    with neutral_config(), jax.enable_x64(dtype == np.float64):
        yield


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def one_by_one() -> bool:
    """Whether models are computed one after another.

    On a CPU one model keeps the cores busy, and a stack would cost memory and a copy. On an accelerator one model does
    not fill the device.
    """
    return jax.default_backend() == "cpu"


class ShapeBatcher(Generic[T]):
    """Collects models that one program computes together; on a CPU every model is ready at once."""

    def __init__(self):
        self._groups: dict[Any, list[T]] = {}

    def add(self, group: Hashable, model: T, bytes_per_model: int) -> list[T]:
        """The models of the group once there are enough of them to fill the device, else none."""
        self._groups.setdefault(group, []).append(model)
        enough = one_by_one() or len(self._groups[group]) >= models_that_fit(bytes_per_model)
        return self._groups.pop(group) if enough else []

    def rest(self) -> Iterator[tuple[Any, list[T]]]:
        """The groups that are left, which are then empty."""
        while self._groups:
            yield self._groups.popitem()


def bucket_of(size: int) -> int:
    """The next larger size of which there are few: on accelerators a program takes ten times as long to compile."""
    step = max(1, (1 << (size - 1).bit_length()) // NARROWEST_STEP)
    return -(-size // step) * step


def stack_models(arrays: Sequence[Array], shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """`[models, samples, dims]` on the device, zeros up to `shape` and copies of the last model up to 2^n of them."""

    def ready(array: Array) -> jax.Array:
        if isinstance(array, np.ndarray):
            array = jnp.asarray(Staging()(array, dtype, centred=True))
        padding = [(0, wanted - there) for wanted, there in zip(shape, array.shape, strict=True)]
        return jnp.pad(array.astype(dtype), padding) if array.shape != shape else array.astype(dtype)

    models = padded_count(len(arrays))
    stack = jnp.zeros((models, *shape), dtype)
    for place, array in enumerate(arrays):
        stack = _put(stack, ready(array), place)
        if not isinstance(array, jax.Array):
            stack.block_until_ready()  # or all would lie on the device twice, for Python runs ahead
    for place in range(len(arrays), models):
        stack = _put(stack, stack[len(arrays) - 1], place)
    return stack


def padded_count(models: int) -> int:
    """The next power of two: few sizes, few compilations."""
    return 1 << (models - 1).bit_length()


@functools.partial(jax.jit, donate_argnums=0)
def _put(stack: jax.Array, array: jax.Array, place: int) -> jax.Array:
    return lax.dynamic_update_index_in_dim(stack, array, place, 0)


def map_models(
    arrays: Sequence[Array], dtype: DTypeLike, of_one: Callable[[jax.Array], T], of_many: Callable[[jax.Array], T]
) -> list[T]:
    """Results of models of one shape, as NumPy arrays.

    Args:
      arrays: `[samples, dims]` each.
      dtype: computed in.
      of_one: of `[samples, dims]`; used on a CPU.
      of_many: of `[models, samples, dims]`; used on accelerators, for as many models as fit.
    """
    if one_by_one():
        staging = Staging()
        return [  # np.array waits, so the staging is free for the next model
            jax.tree.map(np.array, of_one(jax.device_put(staging(np.asarray(array), dtype)))) for array in arrays
        ]

    def together(piece: np.ndarray) -> T:
        return jax.tree.map(np.asarray, of_many(stack_models([arrays[i] for i in piece], arrays[0].shape, dtype)))

    size = min(models_that_fit(arrays[0].size * np.dtype(dtype).itemsize), padded_count(len(arrays)))
    pieces = in_slices(together, np.arange(len(arrays)), size)
    return [
        jax.tree.map(lambda x, place=place: x[place], results)
        for piece, results in pieces for place in range(len(piece))
    ]  # fmt: skip
