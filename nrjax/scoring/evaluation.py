"""Every score that was asked for, of models as they come."""

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nrjax.files import first_line
from nrjax.kernels import ScoreSettings
from nrjax.memory import Staging
from nrjax.scoring.attempts import Settled, score_others, score_silhouettes
from nrjax.scoring.checks import components_of, rounding_of, width_of
from nrjax.scoring.confidence import FEW, FEWEST, of_accuracy, of_groups, of_samples
from nrjax.scoring.registry import ScoreKind
from nrjax.scoring.walk import Waiting

NO_PROBABILITIES = "it needs the probabilities of the model's own classes, and there are none"
SOME = 256  # rows that show whether features vary
MOST_CONFUSED = 10  # pairs of classes that are kept of a classifier
NEARLY_CONSTANT = 32  # times their rounding: what features vary by that are hardly more than noise


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
      uncertain: by name, of scores whose value may be off by more than they promise, what makes it so.
      by_class: by name, of scores that are a mean over the samples, the mean over those of every class.
      confused: by name, of classifiers, the pairs that they confuse most: class, taken for, samples.
      influences: by name, of samples or of groups of samples on the score to order by and on `probe`, if confidence
        was asked for.
      bias: of the score to order by, beside many more samples; 0 where it is not known.
      raised: names of the scores that are missing because something failed, and might not another time.
    """

    dims: int
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    uncertain: dict[str, str] = dataclasses.field(default_factory=dict)
    by_class: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    confused: dict[str, list[tuple[int, int, int]]] = dataclasses.field(default_factory=dict)
    n_components: int | None = None
    solver: str | None = None
    influences: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    bias: float = 0.0
    raised: set[str] = dataclasses.field(default_factory=set)

    def add(self, name: str, value: float, by_class: np.ndarray | None = None) -> None:
        """Takes a value, unless it is no number."""
        if np.isfinite(value):
            self.values[name] = value
            if by_class is not None:
                self.by_class[name] = by_class
        else:
            self.missing[name] = f"its value is {value}"


class _Candidate(NamedTuple):
    key: Hashable
    evaluated: Evaluated
    array: Any


class Evaluator:
    """Evaluates models one at a time on CPU; on accelerators it scores those of one shape together."""

    def __init__(self, ids: np.ndarray, n_classes: int, request: Request):
        if request.confidence and len(ids) < FEWEST:
            raise ValueError(f"confidence needs at least {FEWEST} samples; got {len(ids)}. Leave it out.")
        self._ids, self._n_classes, self._request = ids, n_classes, request
        self._counts = np.bincount(ids, minlength=n_classes)
        self._silhouettes, self._others = Waiting[_Candidate](), Waiting[_Candidate]()
        self._taken: dict[Hashable, Evaluated] = {}
        self._waits: Counter[Hashable] = Counter()  # for how many of its scores a model waits still
        self._staging = Staging()

    def add(self, key: Hashable, features: Any, probabilities: Any = None) -> None:
        """Takes one model; its arrays are not needed any more once the next one is added."""
        evaluated = self._taken[key] = Evaluated(features.shape[1])
        kinds = []
        for kind in self._request.scores:
            if kind.reads == "scores":  # of all models, in the end
                continue
            reason = kind.undefined(len(features), features.shape[1], self._counts)
            if kind.reads == "probabilities":
                reason = NO_PROBABILITIES if probabilities is None else reason
                reason = probabilities if isinstance(probabilities, str) else reason
            if reason:
                evaluated.missing[kind.name] = reason
            elif kind.reads == "probabilities":
                self._add_others((kind,), [_Candidate(key, evaluated, probabilities)])
            elif kind.name == "silhouette":
                evaluated.n_components = components_of(self._request.settings, features.shape)
                width = width_of(features.shape[1])
                group = len(features), width, str(features.dtype), rounding_of(features)
                self._waits[key] += 1
                one = _Candidate(key, evaluated, features)
                self._settle_silhouettes(width, self._silhouettes.add(group, one, len(features) * width * 4))
            else:
                kinds.append(kind)
        if kinds:
            group = tuple(kinds), features.shape, str(features.dtype), rounding_of(features)
            self._waits[key] += 1
            ready = self._others.add(group, _Candidate(key, evaluated, features), 2 * features.nbytes)
            self._settle_others(tuple(kinds), ready)

    def ready(self) -> Iterator[tuple[Hashable, Evaluated]]:
        """Models of which everything is known, in the order they were added; each is given once."""
        for key in [key for key in self._taken if not self._waits[key]]:
            yield key, self._taken.pop(key)

    def finish(self) -> Iterator[tuple[Hashable, Evaluated]]:
        """The rest: nobody waits for others any longer."""
        for (_, width, *_), models in self._silhouettes.rest():
            self._settle_silhouettes(width, models)
        for (kinds, *_), models in self._others.rest():
            self._settle_others(kinds, models)
        yield from self.ready()

    def _settle_silhouettes(self, width: int, models: list[_Candidate]) -> None:
        self._add_silhouettes(width, models)
        self._waits.subtract(model.key for model in models)

    def _settle_others(self, kinds: tuple[ScoreKind, ...], models: list[_Candidate]) -> None:
        self._add_others(kinds, models)
        self._waits.subtract(model.key for model in models)

    def _add_silhouettes(self, width: int, models: list[_Candidate]) -> None:
        if not models:
            return
        # Of the bucket's width, not the model's: components that a narrow model lacks are zero columns,
        # which change no cosine, and asking for fewer would compile again.
        settings = self._request.settings
        settings = dataclasses.replace(settings, n_components=components_of(settings, (len(self._ids), width)))
        sampling = self._request.confidence and self._request.by.name == "silhouette"
        found = score_silhouettes(
            [model.array for model in models], self._ids, self._n_classes, settings,
            width=width, sampling=sampling, staging=self._staging,
        )  # fmt: skip
        for (_, model, array), score in zip(models, found, strict=True):
            model.add("silhouette", score.value, score.by_class)
            model.solver = score.solver
            doubt = _doubt_of_silhouette(score, array, settings)
            model.uncertain |= {"silhouette": doubt} if doubt else {}
            if score.sampling is not None:
                model.influences["silhouette"] = np.asarray(score.sampling.influences)
                model.bias = float(score.sampling.bias)

    def _add_others(self, kinds: tuple[ScoreKind, ...], models: list[_Candidate]) -> None:
        if not models:
            return
        arrays = [model.array for model in models]
        sampled = [
            kind for kind in kinds if self._request.confidence and (kind == self._request.by or kind.name == "probe")
        ]
        try:
            settled = score_others(arrays, self._ids, self._n_classes, kinds)
            for kind in sampled:
                for i, (_, model, array) in enumerate(models):
                    model.influences[kind.name] = self._influences(kind, array, settled[i, kind])
        except Exception as error:  # a kernel may be anybody's; the other scores go on without it
            if len(kinds) > 1:
                for kind in kinds:
                    self._add_others((kind,), models)
                return
            for _, model, _ in models:
                model.missing |= {kind.name: f"{type(error).__name__}: {first_line(error)}" for kind in kinds}
                model.raised |= {kind.name for kind in kinds}
            return
        constant = [_nearly_constant(array) for array in arrays]
        for (i, kind), (found, _) in settled.items():
            model, values = models[i].evaluated, np.asarray(found.value, np.float64)
            model.add(kind.name, float(values.mean()), self._by_class(values) if values.ndim else None)
            if found.named is not None and kind.name in model.values:
                model.confused[kind.name] = self._confused(np.asarray(found.named))
            doubt = constant[i] if kind.reads == "features" and kind.estimate is not None else None
            doubt = doubt or (None if kind.certain(found) else _doubt(float(found.error)))
            if doubt and kind.name in model.values:
                model.uncertain[kind.name] = doubt

    def _by_class(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._ids, values, self._n_classes) / self._counts

    def _confused(self, named: np.ndarray) -> list[tuple[int, int, int]]:
        wrong = self._ids != named
        pairs, counts = np.unique(self._ids[wrong] * np.int64(self._n_classes) + named[wrong], return_counts=True)
        most = np.argsort(-counts, kind="stable")[:MOST_CONFUSED]
        return [(*divmod(int(pairs[i]), self._n_classes), int(counts[i])) for i in most]

    def _influences(self, kind: ScoreKind, array: Any, settled: Settled) -> np.ndarray:
        value = np.asarray(settled.result.value)
        if value.ndim and len(value) >= FEW:
            return of_samples(value)

        def of_some(chosen: np.ndarray) -> float:
            found = score_others([array[chosen]], self._ids[chosen], self._n_classes, (kind,))
            return float(np.mean(found[0, kind].result.value, dtype=np.float64))

        return of_accuracy(value, of_some, self._ids) if value.ndim else of_groups(of_some, self._ids)


def _nearly_constant(array: Any) -> str | None:
    """What there is to say of features that hardly vary, from a few of their rows."""
    rows = np.asarray(array[:: max(1, len(array) // SOME)], np.float64)
    rows = rows / max(np.abs(rows).max(), np.finfo(np.float64).tiny)
    size = np.sqrt(np.mean(rows**2))
    return _doubt_of_variation(float(np.std(rows - rows.mean(axis=0)) / size) if size else 0.0, array)


def _doubt_of_variation(variation: float, array: Any) -> str | None:
    if variation == 0:
        return "the features do not vary"
    times = variation / rounding_of(array)
    return f"the features vary by no more than {times:.1g} times their rounding" if times <= NEARLY_CONSTANT else None


def _doubt_of_silhouette(score: Any, array: Any, settings: ScoreSettings) -> str | None:
    constant = _doubt_of_variation(score.variation, array)
    if constant:
        return constant
    if score.error <= settings.max_error:
        return None
    if score.error >= 0.5:
        return "which components lead is not determined, the last of them and the next are as good as tied"
    off = settings.tolerance * score.error / settings.max_error
    return f"the components are not certain, and the score may be off by {off:.1g}"


def _doubt(error: float) -> str:
    if np.isfinite(error):
        return f"it may be off by {error:.1g}"
    return "the features fit the labels exactly, so nothing bounds it but rounding"
