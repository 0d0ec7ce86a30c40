"""Scores of checked features: how models are walked, and what follows where a result cannot be certified."""

import contextlib
import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from threadpoolctl import ThreadpoolController

from nrjax import kernels
from nrjax.batch import components_of, padded
from nrjax.kernels import Attempt, ScoreSettings
from nrjax.memory import Staging, in_slices, models_that_fit
from nrjax.result import ScoredModel


def score_stack(stack: Any, ids: np.ndarray, n_classes: int, settings: ScoreSettings) -> tuple[np.ndarray, list[str]]:
    """Scores of `[models, samples, dims]`, and the solver that gave each in the end."""
    scores, solvers = np.empty(len(stack)), [""] * len(stack)
    left = np.arange(len(stack))
    for attempt in kernels.attempts(settings.solver, stack.shape[1:], settings.n_components, stack.dtype):
        with conditions(attempt.dtype):
            result = _walk(stack, left, ids, n_classes, dataclasses.replace(settings, solver=attempt.solver), attempt)
        for i, value in zip(left, result.value, strict=True):
            scores[i], solvers[i] = value, attempt.name
        left = left[~(result.error <= kernels.MAX_ERROR)]
        if not len(left):
            break
    return scores, solvers


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


def _one_by_one() -> bool:
    """How models are walked: one after another on CPU, as one batch on accelerators.

    On CPU one model keeps the cores busy; `vmap` would only cost memory (the Gram matrices and eigenvectors
    of all models at once), and `lax.map` a copy of every model out of the stack. On an accelerator one
    model does not fill the device.
    """
    return jax.default_backend() == "cpu"


def _walk(
    stack: Any, which: np.ndarray, ids: np.ndarray, n_classes: int, settings: ScoreSettings, attempt: Attempt
) -> kernels.Score:
    """Values and errors of the models `which`."""
    labels = jnp.asarray(ids)
    if _one_by_one():
        each, staging = [], Staging()
        for i in which:
            features = jax.device_put(staging(stack[i], attempt.dtype))
            result = kernels.score(features, labels, n_classes=n_classes, settings=settings)
            each.append(jax.tree.map(float, result))  # waits: the staging is free for the next model
        return jax.tree.map(lambda *values: np.array(values), *each)

    def together(piece: np.ndarray) -> kernels.Score:
        spare = (1 << (len(piece) - 1).bit_length()) - len(piece)  # few sizes, few compilations
        models = jnp.asarray(stack[np.append(piece, piece[-1:].repeat(spare))], attempt.dtype)
        result = kernels.score_models(models, labels, n_classes=n_classes, settings=settings)
        return jax.tree.map(lambda x: np.asarray(x)[: len(piece)], result)

    fit = models_that_fit(stack[0].nbytes)
    pieces = in_slices(together, which, min(fit, len(which)))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *(result for _, result in pieces))


class Scorer:
    """Scores models as they come; on accelerators it collects those of one shape into batches."""

    def __init__(self, ids: np.ndarray, n_classes: int, settings: ScoreSettings):
        self._ids, self._n_classes, self._settings = ids, n_classes, settings
        self._waiting: dict[tuple, list[tuple[str, Any, tuple[int, int]]]] = defaultdict(list)
        self._scored: dict[str, ScoredModel] = {}
        self._staging = Staging()

    def add(self, name: str, features: Any) -> None:
        """Takes one model; `features` are not needed any more once the next one is added."""
        wide = padded(features, self._staging if _one_by_one() else Staging())
        # Of the bucket's width, not the model's: components that a narrow model lacks are zero columns,
        # which change no cosine, and asking for fewer would compile again.
        settings = dataclasses.replace(self._settings, n_components=components_of(self._settings, wide.shape))
        key = (wide.shape, str(wide.dtype), settings)
        self._waiting[key].append((name, wide, features.shape))
        if _one_by_one() or len(self._waiting[key]) >= models_that_fit(wide.nbytes):
            self._flush(key)

    def finish(self) -> dict[str, ScoredModel]:
        """Every model that was added, by name."""
        for key in list(self._waiting):
            self._flush(key)
        return self._scored

    def _flush(self, key: tuple) -> None:
        waiting, settings = self._waiting.pop(key), key[-1]
        models = [features for _, features, _ in waiting]
        stack = models[0][None] if len(models) == 1 else jnp.stack([jnp.asarray(features) for features in models])
        for (name, _, shape), score, solver in zip(
            waiting, *score_stack(stack, self._ids, self._n_classes, settings), strict=True
        ):
            components = components_of(self._settings, shape)
            self._scored[name] = ScoredModel(name, float(score), shape[1], components, solver)
