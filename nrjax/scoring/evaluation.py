"""Every score that was asked for, of models as they come."""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nrjax.kernels import ScoreSettings
from nrjax.memory import Staging, models_that_fit
from nrjax.scoring import attempts, walk
from nrjax.scoring.checks import components_of, padded
from nrjax.scoring.confidence import FEW, FEWEST, of_groups, of_halves, of_samples
from nrjax.scoring.registry import ScoreKind

NO_PROBABILITIES = "it needs the probabilities of the model's own classes, and there are none"


@dataclasses.dataclass(frozen=True)
class Request:
    """What to compute: the scores, the one to order by, and whether to say how sure that order is."""

    settings: ScoreSettings
    scores: tuple[ScoreKind, ...]
    by: ScoreKind
    confidence: bool = False


@dataclasses.dataclass
class Evaluated:
    """What came out for one model.

    Attributes:
      dims: width of its features.
      values: score by name, those that mean something.
      missing: reason by name, for the others.
      n_components: used by the silhouette.
      solver: that gave it in the end.
      influences: on the score to order by, of samples or of groups of samples, if confidence was asked for.
      bias: of that score, beside many more samples; 0 where it is not known.
    """

    dims: int
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    n_components: int | None = None
    solver: str | None = None
    influences: np.ndarray | None = None
    bias: float = 0.0

    def add(self, name: str, value: float) -> None:
        """Takes a value, unless it is no number."""
        if np.isfinite(value):
            self.values[name] = value
        else:
            self.missing[name] = f"its value is {value}"


class Evaluator:
    """Evaluates models one at a time on CPU; on accelerators it scores those of one shape together."""

    def __init__(self, ids: np.ndarray, n_classes: int, request: Request):
        if request.confidence and len(ids) < FEWEST:
            raise ValueError(f"confidence needs at least {FEWEST} samples; got {len(ids)}. Leave it out.")
        self._ids, self._n_classes, self._request = ids, n_classes, request
        self._counts = np.bincount(ids, minlength=n_classes)
        self._waiting: dict[_Group, list[_Waiting]] = defaultdict(list)
        self._done: dict[Hashable, Evaluated] = {}
        self._staging = Staging()

    def add(self, key: Hashable, features: Any, probabilities: Any = None) -> None:
        """Takes one model; its arrays are not needed any more once the next one is added."""
        evaluated = self._done[key] = Evaluated(features.shape[1])
        kinds = []
        for kind in self._request.scores:
            reason = kind.undefined(len(features), features.shape[1], self._counts)
            if kind.reads == "probabilities":
                reason = NO_PROBABILITIES if probabilities is None else reason
                reason = probabilities if isinstance(probabilities, str) else reason
            if reason:
                evaluated.missing[kind.name] = reason
            elif kind.reads == "probabilities":
                self._add_others([evaluated], [probabilities], (kind,))
            else:
                kinds.append(kind)
        others = tuple(kind for kind in kinds if kind.name != "silhouette")
        settings, wide = None, features
        if len(others) < len(kinds):
            wide = padded(features, self._staging if walk.one_by_one() else Staging())
            # Of the bucket's width, not the model's: components that a narrow model lacks are zero columns,
            # which change no cosine, and asking for fewer would compile again.
            settings = self._request.settings
            evaluated.n_components = components_of(settings, features.shape)
            settings = dataclasses.replace(settings, n_components=components_of(settings, wide.shape))
        group = _Group(wide.shape, features.shape if others else None, str(wide.dtype), settings, others)
        self._waiting[group].append(_Waiting(evaluated, features if others else None, wide))
        if walk.one_by_one() or len(self._waiting[group]) >= models_that_fit(wide.nbytes):
            self._flush(group)

    def finish(self) -> dict[Hashable, Evaluated]:
        """Every model that was added."""
        for group in list(self._waiting):
            self._flush(group)
        return self._done

    def _flush(self, group: "_Group") -> None:
        waiting = self._waiting.pop(group)
        models = [one.evaluated for one in waiting]
        if group.settings is not None:
            self._add_silhouettes(models, [one.wide for one in waiting], group.settings)
        if group.others:
            self._add_others(models, [one.features for one in waiting], group.others)

    def _add_silhouettes(self, models: list[Evaluated], features: list[Any], settings: ScoreSettings) -> None:
        sampling = self._request.confidence and self._request.by.name == "silhouette"
        scored = attempts.score_stack(_stacked(features), self._ids, self._n_classes, settings, sampling=sampling)
        for i, model in enumerate(models):
            model.add("silhouette", float(scored.values[i]))
            model.solver = scored.solvers[i]
            if scored.sampling is not None:
                model.influences = np.asarray(scored.sampling.influences[i])
                model.bias = float(scored.sampling.bias[i])

    def _add_others(self, models: list[Evaluated], arrays: list[Any], kinds: tuple[ScoreKind, ...]) -> None:
        by = self._request.by
        try:
            results = dict(zip(kinds, self._values(arrays, self._ids, kinds), strict=True))
            if self._request.confidence and by in results:
                for model, array, value in zip(models, arrays, results[by], strict=True):
                    model.influences = self._influences(by, array, value)
        except Exception as error:  # a kernel may be anybody's; the other scores go on without it
            if len(kinds) > 1:
                for kind in kinds:
                    self._add_others(models, arrays, (kind,))
                return
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            for model in models:
                model.missing |= {kind.name: reason for kind in kinds}
            return
        for kind, result in results.items():
            for model, value in zip(models, result, strict=True):
                model.add(kind.name, float(value.mean(dtype=np.float64)))

    def _influences(self, kind: ScoreKind, array: Any, value: np.ndarray) -> np.ndarray:
        if value.ndim and len(value) >= FEW:
            return of_samples(value)

        def of_some(chosen: np.ndarray) -> float:
            (of_models,) = self._values([array[chosen]], self._ids[chosen], (kind,))
            return float(of_models[0].mean(dtype=np.float64))

        return (of_halves if value.ndim else of_groups)(of_some, self._ids)

    def _values(self, arrays: list[Any], ids: np.ndarray, kinds: tuple[ScoreKind, ...]) -> Sequence[np.ndarray]:
        """Of every kind, `[models]` or `[models, samples]`."""
        options = {"labels": ids, "n_classes": self._n_classes, "kinds": kinds}
        one, many = functools.partial(_values, **options), functools.partial(_values_of_models, **options)
        with walk.conditions(arrays[0].dtype):
            return walk.walk(_stacked(arrays), np.arange(len(arrays)), arrays[0].dtype, one, many)


class _Group(NamedTuple):
    """Models that are scored by the same programs."""

    wide_shape: tuple[int, ...]
    shape: tuple[int, ...] | None
    dtype: str
    settings: ScoreSettings | None
    others: tuple[ScoreKind, ...]


class _Waiting(NamedTuple):
    evaluated: Evaluated
    features: Any
    wide: Any  # with zero columns up to the width of their bucket, for the silhouette


def _stacked(arrays: list[Any]) -> Any:
    return arrays[0][None] if len(arrays) == 1 else jnp.stack([jnp.asarray(array) for array in arrays])


@functools.partial(jax.jit, static_argnames=("n_classes", "kinds"))
def _values(
    array: jax.Array, labels: jax.Array, *, n_classes: int, kinds: tuple[ScoreKind, ...]
) -> tuple[jax.Array, ...]:
    """All scores in one program: what several of them compute, such as a spectrum, XLA computes once."""
    return tuple(kind.kernel(array, labels, n_classes=n_classes) for kind in kinds)


@functools.partial(jax.jit, static_argnames=("n_classes", "kinds"))
def _values_of_models(
    arrays: jax.Array, labels: jax.Array, *, n_classes: int, kinds: tuple[ScoreKind, ...]
) -> tuple[jax.Array, ...]:
    return jax.vmap(functools.partial(_values, labels=labels, n_classes=n_classes, kinds=kinds))(arrays)
