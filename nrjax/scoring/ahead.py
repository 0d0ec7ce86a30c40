"""Compiles programs in threads while other work goes on: shapes are known before features are."""

import dataclasses
import functools
import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.stages import Wrapped
from jax.typing import DTypeLike

from nrjax.kernels import ScoreSettings
from nrjax.kernels.krylov import block_width
from nrjax.kernels.ridge import Groups
from nrjax.scoring.components import OTHERS, suits_krylov
from nrjax.scoring.compute import compile_context, one_by_one
from nrjax.scoring.displacement import displaced_rows
from nrjax.scoring.estimates import compile_estimates, methods_of
from nrjax.scoring.operators import programs, wide_dtype
from nrjax.scoring.rounding import working_dtype
from nrjax.scoring.scores import ScoreKind, undefined
from nrjax.scoring.settings import components_of
from nrjax.scoring.silhouette_programs import (
    Task,
    is_wide,
    largest_move,
    on_host,
    program_of,
    reduced,
    silhouettes_of_model,
)
from nrjax.targets import Target

MOST_THREADS = 4
_FUTURES: dict[Hashable, Future[None]] = {}  # of this process, by what is compiled


class CompileAhead:
    """Compiles each program once; only on a CPU, for on accelerators shapes depend on how many models are batched."""

    def __init__(self, target: Target, settings: ScoreSettings, kinds: Sequence[ScoreKind]):
        self._target, self._settings = target, settings
        self._kinds = tuple(kind for kind in kinds if kind.reads in ("features", "pairs") and kind.name != "silhouette")
        self._silhouette = target.task == "classification" and any(kind.name == "silhouette" for kind in kinds)
        self._needed: dict[tuple[int, ...], list[Future[None]]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def start(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Begins to compile for features of this shape and type."""
        if not one_by_one() or len(shape) != 2 or min(shape) < 1 or shape in self._needed:
            return
        compilations = self._compilations((shape[0], shape[1]), np.dtype(dtype))
        self._needed[shape] = []
        for key, run in compilations.items():
            if key not in _FUTURES or _FUTURES[key].cancelled():
                if self._threads is None:
                    self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS), "nrjax-compile")
                _FUTURES[key] = self._threads.submit(run)
            self._needed[shape].append(_FUTURES[key])

    def wait(self, shape: tuple[int, ...]) -> None:
        """Until everything for this shape is compiled. What cannot be compiled fails again where it is called."""
        for future in self._needed.get(shape, ()):
            if not future.cancelled():
                future.exception()

    def stop(self) -> None:
        """Begins nothing more."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _compilations(self, shape: tuple[int, int], dtype: np.dtype) -> dict[Hashable, Callable[[], None]]:
        needed = {}
        if self._silhouette and working_dtype(dtype) == np.float32:
            settings = dataclasses.replace(self._settings, n_components=components_of(self._settings, shape))
            needed |= _compilations(shape, Task(self._target.values, self._target.n_classes, settings))
        kinds = [kind for kind in self._kinds if not undefined(kind, self._target, shape)]
        first = {kind: methods_of(kind, dtype, self._target.groups is not None)[0] for kind in kinds}
        values, members = self._target.values, self._target.members
        for method in dict.fromkeys(first.values()):
            together = tuple(kind for kind in kinds if first[kind] == method)
            labels = jax.ShapeDtypeStruct(values.shape, values.dtype if values.ndim == 1 else method.dtype)
            ids, *places = (jax.ShapeDtypeStruct(x, np.int32) for x in (shape[:1], *(m.shape for m in members)))
            groups = Groups(ids, tuple(places), ids) if members else None  # pyright: ignore
            arguments = shape, labels, groups, self._target.n_classes, together, method
            key = (*arguments[:1], values.shape, tuple(m.shape for m in members), *arguments[3:])
            needed[key] = functools.partial(compile_estimates, *arguments)
        return needed


def _compilations(shape: tuple[int, int], task: Task) -> dict[Hashable, Callable[[], None]]:
    """What compiles the programs that features `[samples, dims]` in float32 are scored with first, by a key."""
    (samples, dims), settings = shape, task.settings
    width, wide = block_width(settings.n_components), wide_dtype()
    kept = min(settings.n_components + OTHERS, samples, dims)
    narrow_array = functools.partial(jax.ShapeDtypeStruct, dtype=np.float32)
    wide_array = functools.partial(jax.ShapeDtypeStruct, dtype=wide)
    ids = jax.ShapeDtypeStruct((samples,), np.int32)
    of_one, of = programs(False, None), (task.n_classes, reduced(settings))

    def compiles(dtype: DTypeLike, program: Wrapped, *arguments: object, **options: Any) -> Callable[[], None]:
        def run() -> None:
            with compile_context(dtype):
                program.lower(*arguments, **options).compile()

        return run

    def evaluation(images: jax.ShapeDtypeStruct) -> dict[Hashable, Callable[[], None]]:
        if on_host(task, settings, images):
            return {}
        wide_values, some = is_wide(images.dtype, settings), np.zeros(samples)[displaced_rows(settings, samples)].shape
        program, moved = (
            program_of(function, False, None, task.n_classes, reduced(settings), wide_values)
            for function in (silhouettes_of_model, largest_move)
        )
        dtype = np.float64 if wide_values else np.float32
        displaced = jax.ShapeDtypeStruct((*some, images.shape[1]), images.dtype)
        tangents = jax.ShapeDtypeStruct((settings.n_components, images.shape[1] - settings.n_components), dtype)
        some_ids = jax.ShapeDtypeStruct(some, np.int32)
        return {
            ("silhouettes", images.shape, images.dtype, *of): compiles(dtype, program, images, ids, None),
            ("moved", images.shape, images.dtype, *of): compiles(
                dtype, moved, displaced, some_ids, None, tangents, jax.ShapeDtypeStruct((), dtype)
            ),
        }

    features, images = narrow_array((samples, dims)), narrow_array((samples, 2 * width))
    if settings.solver in ("auto", "krylov") and suits_krylov(samples, dims, settings.n_components):
        if dims <= samples:
            multiply = compiles(np.float32, of_one.multiply, features, narrow_array((width, dims)), None)
        else:
            multiply = compiles(np.float32, of_one.multiply_samples, features, narrow_array((width, samples)))
        return {("multiply", shape, width): multiply, **evaluation(images)}
    return evaluation(wide_array((samples, kept)))  # the decomposition is NumPy's
