"""What follows where a score cannot be certified: one attempt after another, the last in float64."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax.kernels import Attempt, ScoreSettings
from nrjax.memory import Staging
from nrjax.scoring.checks import rounding_of, working_dtype
from nrjax.scoring.registry import ScoreKind
from nrjax.scoring.walk import conditions, walk

TIED = 0.01  # error from which on components are as good as tied: no decomposition can tell them apart

K = TypeVar("K")
R = TypeVar("R")


class Settled(NamedTuple):
    """A result, and the attempt that it came from."""

    result: Any
    attempt: Attempt


def climb(
    ladders: Mapping[K, Sequence[Attempt]],
    run: Callable[[Attempt, list[K]], dict[K, R]],
    certain: Callable[[K, R, Attempt], bool],
) -> dict[K, Settled]:
    """Settles every key by the first attempt of its ladder that is certain of it, else by the last.

    Args:
      ladders: what to try for each key; keys that share an attempt share a call.
      run: an attempt at some of the keys.
      certain: whether a key's result will do, or no further attempt can be better.
    """
    settled: dict[K, Settled] = {}
    for attempt in dict.fromkeys(attempt for ladder in ladders.values() for attempt in ladder):
        keys = [key for key, ladder in ladders.items() if key not in settled and attempt in ladder]
        for key, result in run(attempt, keys).items() if keys else ():
            if certain(key, result, attempt) or attempt == ladders[key][-1]:
                settled[key] = Settled(result, attempt)
    return settled


class Silhouette(NamedTuple):
    """What came out for one model: see `kernels.Score`; the attempt that gave it is named."""

    value: float
    error: float
    variation: float
    by_class: np.ndarray
    sampling: Any
    solver: str


def score_silhouettes(
    arrays: Sequence[Any],
    ids: np.ndarray,
    n_classes: int,
    settings: ScoreSettings,
    *,
    width: int | None = None,
    sampling: bool = False,
    staging: Staging | None = None,
) -> list[Silhouette]:
    """neuralRank scores of features `[samples, dims]` of one shape and type, dims filled up to `width`."""
    dtype, (samples, dims) = working_dtype(arrays[0].dtype), arrays[0].shape
    ladder = kernels.attempts(settings.solver, (samples, width or dims), settings.n_components, dtype)
    rounding = max(map(rounding_of, arrays))

    def run(attempt: Attempt, models: list[int]) -> dict[int, Any]:
        with conditions(attempt.dtype):
            options = {
                "labels": jnp.asarray(ids), "n_classes": n_classes, "sampling": sampling, "rounding": rounding,
                "settings": dataclasses.replace(settings, solver=attempt.solver),
            }  # fmt: skip
            one, many = (functools.partial(f, **options) for f in (kernels.score, kernels.score_models))
            found = walk(
                [arrays[i] for i in models], attempt.dtype, one, many, width=width, centred=True, staging=staging
            )  # fmt: skip
        return {model: _of(found, place) for place, model in enumerate(models)}

    def certain(_: int, score: kernels.Score, attempt: Attempt) -> bool:
        # A Gram matrix in float64 tells all apart that lies within 1e-5 of the largest: what is tied there is tied.
        final = attempt.solver == "gram" and attempt.dtype == np.float64 and score.depth > 1e-5 and score.error > TIED
        return bool(score.error <= settings.max_error or final)

    settled = climb(dict.fromkeys(range(len(arrays)), ladder), run, certain)
    return [
        Silhouette(
            float(score.value), float(score.error), float(score.variation), np.asarray(score.by_class, np.float64),
            score.sampling, attempt.name,
        ) for score, attempt in (settled[i] for i in range(len(arrays)))
    ]  # fmt: skip


def _of(found: R, model: int) -> R:
    """The result of one of several models."""
    return jax.tree.map(lambda x: x[model], found)


def ladder_of(kind: ScoreKind, dtype: Any) -> list[Attempt]:
    """What to try for one of the other scores, on features of this type; float32 where there is nothing else."""
    working = working_dtype(dtype)
    if kind.estimate is None or jax.default_backend() == "tpu":
        return [Attempt("gram", "gram", working)]
    ladder = [Attempt(f"{solver}, float64", solver, np.float64) for solver in kind.solvers]
    in_float32 = kind.begins_in_float32 and working == dtype == np.float32
    return [Attempt("gram", "gram", np.float32), *ladder] if in_float32 else ladder


def score_others(
    arrays: Sequence[Any], ids: np.ndarray, n_classes: int, kinds: Sequence[ScoreKind]
) -> dict[tuple[int, ScoreKind], Settled]:
    """The other scores of features of one shape and type, `kernels.Estimate` by model and score."""
    rounding = max(map(rounding_of, arrays))
    ladders = {(i, kind): ladder_of(kind, arrays[i].dtype) for i in range(len(arrays)) for kind in kinds}

    def run(attempt: Attempt, keys: list[tuple[int, ScoreKind]]) -> dict[tuple[int, ScoreKind], kernels.Estimate]:
        models = list(dict.fromkeys(model for model, _ in keys))
        asked = tuple(kind for kind in kinds if any(kind == other for _, other in keys))
        with conditions(attempt.dtype):
            options = {
                "labels": jnp.asarray(ids), "n_classes": n_classes, "kinds": asked, "solver": attempt.solver,
                "rounding": rounding,
            }  # fmt: skip
            one, many = (functools.partial(f, **options) for f in (estimates, estimates_of_models))
            found = walk([arrays[i] for i in models], attempt.dtype, one, many)
        by_kind = dict(zip(asked, found, strict=True))
        places = {model: place for place, model in enumerate(models)}
        return {(model, kind): _of(by_kind[kind], places[model]) for model, kind in keys}

    return climb(ladders, run, lambda key, found, _: key[1].certain(found))


@functools.partial(jax.jit, static_argnames=("n_classes", "kinds", "solver", "rounding"))
def estimates(
    array: jax.Array,
    labels: jax.Array,
    *,
    n_classes: int,
    kinds: tuple[ScoreKind, ...],
    solver: kernels.Factorisation = "gram",
    rounding: float = float(np.finfo(np.float32).eps),
) -> tuple[kernels.Estimate, ...]:
    """Scores of one model in one program: what several of them compute, such as a spectrum, XLA computes once."""

    def of(kind: ScoreKind) -> kernels.Estimate:
        if kind.estimate is None:
            value = jnp.asarray(kind.kernel(array, labels, n_classes=n_classes))
            if value.shape not in ((), (len(array),)):
                raise ValueError(f"a score is a number, or one number per sample; got shape {value.shape}")
            return kernels.Estimate(value, jnp.zeros((), array.dtype))
        return kind.estimate(array, labels, n_classes=n_classes, solver=solver, rounding=rounding)

    return tuple(map(of, kinds))


@functools.partial(jax.jit, static_argnames=("n_classes", "kinds", "solver", "rounding"))
def estimates_of_models(arrays: jax.Array, labels: jax.Array, **options: Any) -> tuple[kernels.Estimate, ...]:
    """The same of several models."""
    return jax.vmap(functools.partial(estimates, labels=labels, **options))(arrays)
