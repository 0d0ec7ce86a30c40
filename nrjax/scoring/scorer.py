"""Every score that was asked for, model after model."""

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.typing import DTypeLike

from nrjax._utils.arrays import Array
from nrjax._utils.memory import Staging
from nrjax._utils.messages import first_line
from nrjax.scoring.ahead import CompileAhead
from nrjax.scoring.compute import ShapeBatcher
from nrjax.scoring.confidence import FEWEST, FEWEST_GROUPS, interval_of_mean_share, interval_of_share
from nrjax.scoring.doubts import doubt_of_constants, doubt_of_error, doubt_of_labels, doubt_of_variation
from nrjax.scoring.estimates import estimate_scores
from nrjax.scoring.influences import by_unit
from nrjax.scoring.model_scores import ModelScores, Request
from nrjax.scoring.pairs import without_halves
from nrjax.scoring.rounding import rounding_of
from nrjax.scoring.score_influences import score_influences
from nrjax.scoring.scores import ScoreKind, check_task, undefined
from nrjax.scoring.settings import components_of
from nrjax.scoring.silhouette_programs import Task
from nrjax.scoring.silhouettes import score_arrays
from nrjax.scoring.twins import doubt_of_twins
from nrjax.targets import Target

NO_PROBABILITIES = "it needs the probabilities of the model's own classes, and there are none"
NO_INTERVAL = "it has no interval, for too many classes have one sample only, whose silhouette is 0 by definition"
MOST_OF_ONE = 0.1  # of the classes
MOST_CONFUSED = 10  # pairs of classes that are kept of a classifier
PERFECT = 1e-6  # below 1: a mean of shares that are all 1


class _Model(NamedTuple):
    key: Hashable
    scores: ModelScores
    array: Any  # features, or probabilities


class ModelScorer:
    """Scores models one at a time on a CPU; on accelerators those of one shape together.

    Raises:
      ValueError: `confidence` of fewer samples or groups than it needs, a score to order by that means nothing for
        the target's task.
    """

    def __init__(self, target: Target, request: Request):
        check_task(request.by, target)
        if request.confidence and len(target) < FEWEST:
            raise ValueError(f"confidence needs at least {FEWEST} samples; got {len(target)}. Leave it out.")
        if request.confidence and target.independent < FEWEST_GROUPS:
            raise ValueError(
                f"confidence needs at least {FEWEST_GROUPS} groups; got {target.independent}. Leave it out."
            )
        self._target, self._request = target, request
        self._kinds, self._by = tuple(kind.of(target) for kind in request.scores), request.by.of(target)
        self._widening = 1.0
        if self._is_classified:
            # The bias of a silhouette of classes of one or two is not known, it may be as large as chance is.
            too_few = np.mean(target.counts == 1) > MOST_OF_ONE
            self._widening = np.nan if too_few else 1 + float(np.mean(target.counts[target.values] <= 2))
        self._silhouettes, self._others = ShapeBatcher[_Model](), ShapeBatcher[_Model]()
        self._added: dict[Hashable, ModelScores] = {}
        self._waiting: Counter[Hashable] = Counter()  # how many batches a model is still in
        self._staging = Staging()
        self._ahead = CompileAhead(target, request.settings, self._kinds)

    def expect(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> None:
        """Begins to compile what features of this shape and type need, in threads."""
        self._ahead.start(shape, dtype)

    def add(self, key: Hashable, features: Array, probabilities: Any = None) -> None:
        """Adds one model; on a CPU its arrays are not needed any more afterwards."""
        scores = self._added[key] = ModelScores(features.shape[1])
        self._ahead.wait(features.shape)
        kinds = []
        for kind in self._kinds:
            if kind.reads == "scores":  # of all models, in the end
                continue
            reason = undefined(kind, self._target, features.shape)
            if kind.reads == "pairs":
                reason = reason or without_halves(features)
            if kind.reads == "probabilities":
                reason = NO_PROBABILITIES if probabilities is None else reason
                reason = probabilities if isinstance(probabilities, str) else reason
            if reason:
                scores.missing[kind.name] = reason
            elif kind.reads == "probabilities":
                self._add_others((kind,), [_Model(key, scores, probabilities)])
            elif kind.name == "silhouette":
                scores.n_components = components_of(self._request.settings, features.shape)
                group = features.shape, str(features.dtype), rounding_of(features)
                self._waiting[key] += 1
                self._add_silhouettes(self._silhouettes.add(group, _Model(key, scores, features), features.nbytes))
            else:
                kinds.append(kind)
        twins = doubt_of_twins(features) if self._target.groups is None and any(k.leaves_out for k in kinds) else None
        scores.uncertain |= {kind.name: twins for kind in kinds if kind.leaves_out and twins}
        labels = doubt_of_labels(features, self._target)
        of_features = (
            kind.name for kind in self._kinds if kind.reads == "features" and kind.name not in scores.missing
        )
        scores.uncertain |= dict.fromkeys(of_features, labels) if labels else {}
        if kinds:
            group = tuple(kinds), features.shape, str(features.dtype), rounding_of(features)
            self._waiting[key] += 1
            batch = self._others.add(group, _Model(key, scores, features), 2 * features.nbytes)
            self._add_others(tuple(kinds), batch)
            self._waiting.subtract(model.key for model in batch)

    def ready(self) -> Iterator[tuple[Hashable, ModelScores]]:
        """Models of which every score is known, in the order they were added; each is given once."""
        for key in [key for key in self._added if not self._waiting[key]]:
            yield key, self._added.pop(key)

    def finish(self) -> Iterator[tuple[Hashable, ModelScores]]:
        """The rest: no batch is waited for any longer."""
        for _, batch in self._silhouettes.rest():
            self._add_silhouettes(batch)
        for (kinds, *_), batch in self._others.rest():
            self._add_others(kinds, batch)
            self._waiting.subtract(model.key for model in batch)
        self._ahead.stop()
        yield from self.ready()

    def _add_silhouettes(self, batch: list[_Model]) -> None:
        if not batch:
            return
        settings = self._request.settings
        settings = dataclasses.replace(settings, n_components=components_of(settings, batch[0].array.shape))
        influence = self._request.confidence and self._request.by.name == "silhouette"
        task = Task(self._target.values, self._target.n_classes, settings, influence)
        results = score_arrays([model.array for model in batch], task, self._staging)
        for (_, scores, array), score in zip(batch, results, strict=True):
            scores.add("silhouette", score.value, score.by_class)
            scores.solver = score.solver
            doubt = doubt_of_variation(score.variation, array) or score.doubt(settings.tolerance)
            scores.uncertain |= {"silhouette": doubt} if doubt else {}
            if score.influence is not None:
                influences = np.asarray(score.influence.influences) * self._widening
                scores.influences["silhouette"] = by_unit(influences, self._target.groups)
                scores.bias = float(score.influence.bias)
                if np.isnan(self._widening):
                    scores.uncertain.setdefault("silhouette", NO_INTERVAL)
        self._waiting.subtract(model.key for model in batch)

    def _add_others(self, kinds: tuple[ScoreKind, ...], batch: list[_Model]) -> None:
        if not batch:
            return
        arrays = [model.array for model in batch]
        sampled = [
            kind
            for kind in kinds
            if self._request.confidence and (kind == self._by or (kind.name == "probe" and self._is_classified))
        ]
        try:
            estimates = estimate_scores(arrays, self._target, kinds)
            for kind in sampled:
                for i, (_, scores, array) in enumerate(batch):
                    scores.influences[kind.name] = score_influences(kind, array, estimates[i, kind], self._target)
                    values = np.asarray(estimates[i, kind].value)
                    share = float(values.mean(dtype=np.float64))
                    if values.ndim and np.isin(values, (0, 1)).all():
                        scores.hits[kind.name] = interval_of_share(share, self._free)
                    elif kind.rarest_decides and estimates[i, kind].by_output is not None:
                        shares = np.asarray(estimates[i, kind].by_output, np.float64)
                        counts = self._target.counts * self._target.independent / len(self._target)
                        scores.hits[kind.name] = interval_of_mean_share(shares, counts)
                    elif not values.ndim and kind.bounds(self._target.n_classes) == (0, 1) and share > 1 - PERFECT:
                        scores.hits[kind.name] = interval_of_share(min(share, 1.0), self._fewest_hits)
        except Exception as error:  # a kernel may be anybody's; the other scores go on without it
            if len(kinds) > 1:
                for kind in kinds:
                    self._add_others((kind,), batch)
                return
            for _, scores, _ in batch:
                scores.missing |= {kind.name: f"{type(error).__name__}: {first_line(error)}" for kind in kinds}
                scores.raised |= {kind.name for kind in kinds}
            return
        constant = [doubt_of_constants(array) for array in arrays]
        for (i, kind), estimate in estimates.items():
            scores, values = batch[i].scores, np.asarray(estimate.value, np.float64)
            by_class = self._means_by_class(values) if values.ndim else None
            if estimate.by_output is not None and len(estimate.by_output) > 1:
                by_class = np.asarray(estimate.by_output, np.float64)
            scores.add(kind.name, _within(float(values.mean()), kind.bounds(self._target.n_classes)), by_class)
            if estimate.predicted is not None and kind.name in scores.values:
                scores.confused[kind.name] = self._confused(np.asarray(estimate.predicted))
            doubt = constant[i] if kind.reads == "features" and kind.estimate is not None else None
            doubt = doubt or (None if kind.certain(estimate) else doubt_of_error(float(estimate.error)))
            if doubt and kind.name in scores.values:
                scores.uncertain[kind.name] = doubt

    @property
    def _free(self) -> float:
        """Samples, or groups, less the part of them that says where the classes are."""
        return self._target.independent * max(1 - self._target.n_classes / len(self._target), 1 / 2)

    @property
    def _fewest_hits(self) -> int:
        """Samples that count in a mean over classes or labels, if all had as few as the rarest one."""
        return max(1, min(self._target.independent, self._target.n_classes * int(self._target.counts.min())))

    @property
    def _is_classified(self) -> bool:
        return self._target.task == "classification"

    def _means_by_class(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._target.values, values, self._target.n_classes) / self._target.counts

    def _confused(self, predicted: np.ndarray) -> list[tuple[int, int, int]]:
        ids, n_classes = self._target.values, self._target.n_classes
        wrong = ids != predicted
        pairs, counts = np.unique(ids[wrong] * np.int64(n_classes) + predicted[wrong], return_counts=True)
        most = np.argsort(-counts, kind="stable")[:MOST_CONFUSED]
        return [(*divmod(int(pairs[i]), n_classes), int(counts[i])) for i in most]


def _within(value: float, bounds: tuple[float, float]) -> float:
    """A value that rounding alone carried beyond what a score can be, at its bound; any other as it is."""
    nearest = min(max(value, bounds[0]), bounds[1])
    return nearest if abs(value - nearest) <= PERFECT else value
