"""What came out, as data: every model with its scores, what the scores mean, and what they were made with."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from nrjax._version import __version__

# Scores this close, the default tolerance of a silhouette, share a rank.
TIE = 1e-5
WHERE_KNOWN = ("zero_shot", "ms", "parameters", "bytes", "peak_memory")  # fields that rows have where a model has them


@dataclasses.dataclass(frozen=True)
class ScoreMeaning:
    """What a score says.

    Attributes:
      meaning: in a few words.
      low: its smallest value; None where it has no bound.
      high: its largest value; None where it has no bound.
      higher_is_better: its direction.
    """

    meaning: str
    low: float | None = None
    high: float | None = None
    higher_is_better: bool = True


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """One model of a ranking.

    Attributes:
      name: the model's.
      score: the one that the ranking is ordered by; None where the model failed.
      dims: width of its features.
      n_components: principal components used by the silhouette: those asked for, or fewer where there are fewer.
      solver: of the PCA, the one whose result was used: `krylov`, or if that could not be certified `gram`, or
        `gram, float64`.
      rank: 1 is best; tied models share one; None where the model failed.
      reason: why it failed.
      scores: every score asked for, by name.
      missing: scores that are not defined for this model: name to reason. Those that mean nothing for the target,
        whatever the model is, are in the ranking's `settings["undefined"]`.
      uncertain: scores whose error may be larger than promised: name to cause.
      interval: with the probability `settings["confidence"]` it contains the score that a much larger sample of the
        same kind would have (for other scores than the silhouette: a new sample of the same size).
      by_class: for each score that is a mean over samples, its mean over the samples of each class; for numbers and
        several labels, the score of each output or label; by name of the score.
      confused: for each score that is a classifier, the pairs of classes that it confuses most: index of the class,
        index of the predicted class, number of samples; by name of the score.
      p_first: probability that the model comes first by the score that orders. It is not about accuracy.
      group: models of one group cannot be separated by the samples; group 1 has the first model.
      p_near_best: probability that a head retrained on this model is within one point of accuracy of the best
        candidate's; with `confidence` and `probe`.
      layer: the layer of the score, if several were scored.
      layers: layer to score, if several were scored.
      parameters: number of trained parameters.
      bytes: size of its weights.
      ms: milliseconds per sample of the forward pass on this machine, with preprocessing, without the first batch; None
        if there was only one batch, or if the features were stored before.
      zero_shot: accuracy of the own predictions of a zero-shot classifier (`hf-zeroshot:`), without training; None for
        other models, or if the features were stored before.
      peak_memory: the most bytes that the worker process of a sweep held while the model ran, with the libraries that
        it uses, looked at ten times a second; None where the model did not run in a worker process.

    Examples:
      >>> model = nrjax.rank_batch(features, labels)["F10"]
      >>> model.rank, model.dims, round(model.score, 2)
      (2, 128, 0.49)
    """

    name: str
    score: float | None = None
    dims: int | None = None
    n_components: int | None = None
    solver: str | None = None
    rank: int | None = None
    reason: str | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    uncertain: Mapping[str, str] = dataclasses.field(default_factory=dict)
    interval: tuple[float, float] | None = None
    p_first: float | None = None
    group: int | None = None
    p_near_best: float | None = None
    layer: str | None = None
    layers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    by_class: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    confused: Mapping[str, tuple[tuple[int, int, int], ...]] = dataclasses.field(default_factory=dict)
    parameters: int | None = None
    bytes: int | None = None
    ms: float | None = None
    zero_shot: float | None = None
    peak_memory: int | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Models in order, best first; those that failed come last, with the reason and without a rank.

    Attributes:
      models: every model, as `ScoredModel`.
      settings: what it was made with.
      about: meaning, range and direction of every score, by name.
      classes: the labels' classes, of numbers the outputs' names, whose places `ScoredModel.by_class` and `confused`
        go by.
    """

    models: tuple[ScoredModel, ...]
    settings: Mapping[str, Any]
    about: Mapping[str, ScoreMeaning] = dataclasses.field(default_factory=dict)
    classes: tuple[Any, ...] = ()

    @classmethod
    def of(
        cls, scored: Sequence[ScoredModel], failed: Mapping[str, str], settings: Mapping[str, object],
        about: Mapping[str, ScoreMeaning], classes: Sequence[object],
    ) -> Self:  # fmt: skip
        """Numbers models that are in order (those tied share a rank) and puts the failed ones last."""
        ordered: list[ScoredModel] = []
        for place, model in enumerate(scored, start=1):
            tied = ordered and abs(_score(ordered[-1]) - _score(model)) <= TIE
            ordered.append(dataclasses.replace(model, rank=ordered[-1].rank if tied else place))
        lost = [ScoredModel(name, reason=reason) for name, reason in failed.items()]
        return cls((*ordered, *lost), {**settings, "nrjax": __version__}, about, tuple(classes))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The ranking that `to_dict` was of; labels that JSON has no type for are text afterwards.

        Raises:
          ValueError: it is of something else.
        """
        try:
            models = tuple(_scored_model(fields) for fields in data["models"])
            about = {name: ScoreMeaning(**fields) for name, fields in data["about"].items()}
            return cls(models, data["settings"], about, tuple(data["classes"]))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"from_dict takes what to_dict gave; got {type(error).__name__}: {error}.") from error

    @property
    def order(self) -> list[str]:
        """Names of the ranked models, best first."""
        return [model.name for model in self.models if model.rank is not None]

    @property
    def scores(self) -> dict[str, float]:
        """Score of every ranked model, best first."""
        return {model.name: _score(model) for model in self.models if model.rank is not None}

    def column(self, name: str) -> dict[str, float]:
        """Another score, `name`, of every ranked model for which it means something, in the ranking's order."""
        if name not in self.settings["scores"]:
            raise ValueError(f"the ranking has {', '.join(self.settings['scores'])}; got {name!r}.")
        return {m.name: m.scores[name] for m in self.models if m.rank is not None and name in m.scores}

    @property
    def by_layer(self) -> dict[str, dict[str, float]]:
        """Score of every layer that was scored, by model and layer; empty unless several were asked for."""
        return {m.name: dict(m.layers) for m in self.models if m.layers}

    @property
    def by_class(self) -> dict[str, dict[str, dict[Any, float]]]:
        """Score to model to class to the mean over the samples of that class, of scores that are such means.

        `ranking.by_class["probe"]["vit"]["cat"]` is the accuracy on the cats of a linear probe on `vit`.
        """
        ranked = [model for model in self.models if model.rank is not None]
        return {
            name: {m.name: dict(zip(self.classes, m.by_class[name], strict=True)) for m in ranked if name in m.by_class}
            for name in self.settings["scores"] if any(name in m.by_class for m in ranked)
        }  # fmt: skip

    @property
    def confused(self) -> dict[str, dict[str, list[tuple[Any, Any, int]]]]:
        """Score to model to `(class, taken for, samples)`, the most frequent pairs first, of scores that classify."""
        names = self.classes
        return {
            score: {
                m.name: [(names[own], names[other], samples) for own, other, samples in m.confused[score]]
                for m in self.models if score in m.confused
            } for score in self.settings["scores"] if any(score in m.confused for m in self.models)
        }  # fmt: skip

    @property
    def p_near_best(self) -> float | None:
        """Probability that a head retrained on the first choice is within a point of accuracy of the best candidate's.

        None without `confidence` and `probe`, or where the first choice has no probe.
        """
        return next((model.p_near_best for model in self.models if model.rank is not None), None)

    @property
    def statements(self) -> dict[str, str]:
        """What is meant by the fields that say how sure the order is; empty without `confidence`."""
        made = self.settings
        if not made["confidence"]:
            return {}
        meanings = {
            "interval": f"{made['by']} of more such samples lies in it with probability {made['confidence']:g}",
            "p_first": f"P(first by {made['by']})",
            "group": f"models of one group are not told apart by {made['by']}",
            "p_near_best": "P(within 1 point): its retrained head is within a point of accuracy of the best one's",
        }
        return {
            field: words for field, words in meanings.items() if any(getattr(m, field) is not None for m in self.models)
        }

    @property
    def failed(self) -> dict[str, str]:
        """Reason for every model that could not be scored."""
        return {model.name: model.reason or "" for model in self.models if model.rank is None}

    @property
    def best(self) -> str:
        """Name of the first model."""
        return self.order[0]

    def tied(self, model: ScoredModel) -> bool:
        """Whether another model has the same rank."""
        return model.rank is not None and self._sharing[model.rank] > 1

    @functools.cached_property
    def _sharing(self) -> Counter[int | None]:
        return Counter(model.rank for model in self.models)

    @functools.cached_property
    def leaders(self) -> dict[int | None, ScoredModel]:
        """The first model of each group of models that are not told apart."""
        return {model.group: model for model in reversed(self.models) if model.group is not None}

    def to_dict(self) -> dict[str, Any]:
        """`{"models": [{"name", ...}, ...], "classes", "statements", "about", "settings"}`, plain values."""
        return {
            "models": [_plain(dataclasses.asdict(model)) for model in self.models],
            "classes": [label if isinstance(label, (str, int, float, bool)) else str(label) for label in self.classes],
            "statements": self.statements,
            "about": {name: dataclasses.asdict(meaning) for name, meaning in self.about.items()},
            "settings": dict(self.settings),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per model: its fields, the other scores, and what was asked for beyond them."""
        made, rows = self.settings, []
        known = [field for field in WHERE_KNOWN if any(getattr(m, field) is not None for m in self.models)]
        for m in self.models:
            row = {"name": m.name, "score": m.score}
            row |= {name: m.scores.get(name) for name in made["scores"] if name != made["by"]}
            if made["confidence"]:
                low, high = m.interval or (None, None)
                row |= {"low": low, "high": high, "p_first": m.p_first, "group": m.group}
                row |= {"p_near_best": m.p_near_best} if "probe" in made["scores"] else {}
            row |= {"layer": m.layer} if self.by_layer else {}
            row |= {"dims": m.dims, "n_components": m.n_components, "solver": m.solver}
            row |= {field: getattr(m, field) for field in known}
            rows.append(row | {"rank": m.rank, "reason": m.reason})
        return rows


def _scored_model(fields: Mapping[str, Any]) -> ScoredModel:
    """A model as `to_dict` wrote it."""
    fields = dict(fields)
    if fields["interval"] is not None:
        fields["interval"] = tuple(fields["interval"])
    fields["by_class"] = {name: tuple(means) for name, means in fields["by_class"].items()}
    fields["confused"] = {name: tuple(map(tuple, pairs)) for name, pairs in fields["confused"].items()}
    return ScoredModel(**fields)


def _score(model: ScoredModel) -> float:
    assert model.score is not None
    return model.score


def _plain(value: object) -> Any:
    """The same as JSON has it: lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
