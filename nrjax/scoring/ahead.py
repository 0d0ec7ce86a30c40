"""Compiles programs in threads while other work goes on: shapes are known before features are."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from nrjax.scoring.checks import components_of, working_dtype
from nrjax.scoring.compute import one_by_one
from nrjax.scoring.estimates import compile_estimates, methods_of
from nrjax.scoring.scores import ScoreKind
from nrjax.scoring.silhouettes import Task, compilations

MOST_THREADS = 4


class CompileAhead:
    """Compiles each program once; only on a CPU, for on accelerators shapes depend on how many models are batched."""

    def __init__(self, task: Task, kinds: Sequence[ScoreKind]):
        self._task = task
        self._kinds = tuple(kind for kind in kinds if kind.reads == "features" and kind.name != "silhouette")
        self._silhouette = any(kind.name == "silhouette" for kind in kinds)
        self._counts = np.bincount(task.ids, minlength=task.n_classes)
        self._futures: dict[Any, Future[None]] = {}
        self._needed: dict[tuple[int, ...], list[Future[None]]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def start(self, shape: tuple[int, ...], dtype: Any) -> None:
        """Begins to compile for features of this shape and type."""
        if not one_by_one() or len(shape) != 2 or min(shape) < 1 or shape in self._needed:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS), "nrjax-compile")
        compilations = self._compilations((shape[0], shape[1]), np.dtype(dtype))
        for key, run in compilations.items():
            if key not in self._futures:
                self._futures[key] = self._threads.submit(run)
        self._needed[shape] = [self._futures[key] for key in compilations]

    def wait(self, shape: tuple[int, ...]) -> None:
        """Until everything for this shape is compiled. What cannot be compiled fails again where it is called."""
        for future in self._needed.get(shape, ()):
            future.exception()

    def stop(self) -> None:
        """Begins nothing more."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _compilations(self, shape: tuple[int, int], dtype: np.dtype) -> dict[Any, Callable[[], None]]:
        needed = {}
        if self._silhouette and working_dtype(dtype) == np.float32:
            settings = self._task.settings
            settings = dataclasses.replace(settings, n_components=components_of(settings, shape))
            needed |= compilations(shape, dataclasses.replace(self._task, settings=settings))
        kinds = [kind for kind in self._kinds if not kind.undefined(*shape, self._counts)]
        for method in dict.fromkeys(methods_of(kind, dtype)[0] for kind in kinds):
            together = tuple(kind for kind in kinds if methods_of(kind, dtype)[0] == method)
            needed[shape, method] = functools.partial(
                compile_estimates, shape, self._task.n_classes, together, method
            )
        return needed
