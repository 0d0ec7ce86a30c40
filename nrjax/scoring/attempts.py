"""What follows where a model's score cannot be certified: one attempt after another."""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from nrjax import kernels
from nrjax.kernels import ScoreSettings
from nrjax.scoring.walk import conditions, walk


class Scored(NamedTuple):
    """Models scored: their values, the solver that gave each in the end, and `kernels.Sampling` if asked for."""

    values: np.ndarray  # [models]
    solvers: list[str]
    sampling: Any


def score_stack(
    stack: Any, ids: np.ndarray, n_classes: int, settings: ScoreSettings, *, sampling: bool = False
) -> Scored:
    """Scores of `[models, samples, dims]`."""
    drawn: Any = None
    if sampling:
        drawn = kernels.Sampling(np.empty((len(stack), len(ids)), np.float32), np.empty(len(stack)))  # pyright: ignore
    scored = Scored(np.empty(len(stack)), [""] * len(stack), drawn)
    left = np.arange(len(stack))
    for attempt in kernels.attempts(settings.solver, stack.shape[1:], settings.n_components, stack.dtype):
        options = {
            "labels": ids, "n_classes": n_classes, "sampling": sampling,
            "settings": dataclasses.replace(settings, solver=attempt.solver),
        }  # fmt: skip
        one = functools.partial(kernels.score, **options)
        with conditions(attempt.dtype):
            result = walk(stack, left, attempt.dtype, one, functools.partial(kernels.score_models, **options))
        scored.values[left] = result.value
        for i in left:
            scored.solvers[i] = attempt.name
        if drawn is not None and result.sampling is not None:
            drawn.influences[left], drawn.bias[left] = result.sampling
        left = left[~(result.error <= kernels.MAX_ERROR)]
        if not len(left):
            break
    return scored
