"""A ranking that was asked for: candidates, samples, layers and scores, checked once before anything runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from nrjax.datasets import ColumnChoice
from nrjax.models import (
    LAYER_POOLINGS,
    AnyModels,
    Candidates,
    Description,
    LayerChoice,
    Precision,
    check_batch_size,
    check_pooling,
    load_candidates,
)
from nrjax.ranking._best_layer import best_layers
from nrjax.ranking._by_samples import scores_by_samples
from nrjax.ranking._head_of import head_of
from nrjax.ranking._jobs import CandidateResult, ExtractionSpec
from nrjax.ranking._samples import LabelledSamples, has_labels
from nrjax.results import Ranking
from nrjax.scoring.api import check_request
from nrjax.scoring.build_ranking import build_ranking
from nrjax.scoring.defaults import UNLABELLED, default_scores, why_default
from nrjax.scoring.model_features import named_models
from nrjax.scoring.model_scores import Request
from nrjax.scoring.scores import check_labelled, check_scores, check_task
from nrjax.target_tasks import TaskName


@dataclasses.dataclass(frozen=True)
class Plan:
    """A ranking that was asked for.

    Attributes:
      candidates: models by name; those of files are read when it is their turn.
      target: the samples and their labels.
      extraction: what is taken of every model.
      request: the scores.
      several_layers: whether the ranking says which layer of a model was best.
      settings: what the ranking will say that it was made with, beside the scores' settings.
    """

    candidates: Mapping[str, Any]
    target: LabelledSamples
    extraction: ExtractionSpec
    request: Request
    several_layers: bool
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, models: AnyModels, data: object, labels: object, *, task: TaskName | None, groups: object,
        columns: ColumnChoice, layer: LayerChoice, layers: Sequence[LayerChoice] | None, where: str | None,
        batch_size: int | None, precision: Precision, pooling: str | None, image_size: int | tuple[int, int] | None,
        device: str | None, builder: Any, download: bool, scores: str | Sequence[str] | None, n_clusters: int | None,
        **options: Any,
    ) -> "Plan":  # fmt: skip
        """Checks the arguments of `rank`; `options` are those of `check_request`.

        Raises:
          ValueError, TypeError: as `rank` says.
        """
        check_request(scores="silhouette" if scores is None else scores, **{**options, "by": None})  # before the data
        _check_layers(precision, layer, layers)
        check_batch_size(batch_size)
        if pooling is not None and pooling not in LAYER_POOLINGS:
            check_pooling(pooling, "rank")
        candidates = load_candidates(
            models, where=where, image_size=image_size, device=device, builder=builder, download=download
        )
        target = _labelled_samples(data, labels, task, groups, columns, scores, n_clusters)
        if isinstance(candidates, Candidates):
            candidates = candidates.taking(target.kind)
        if scores is None:
            scores, reason = default_scores(target.target, beside=True), why_default(target.target, beside=True)
            target = target.with_remark(reason) if reason else target
        request = check_request(scores=scores, **options)
        check_task(request.by, target.target)
        if not candidates:
            raise ValueError("models must hold at least one model; got none.")
        named_models(candidates)
        all_layers = layers == "all" or (layer == "best" and layers is None)
        names = None if all_layers else tuple(layers if layers is not None else [layer])
        probabilities = any(kind.reads == "probabilities" for kind in request.scores)
        batches = 2 if isinstance(candidates, Candidates) and candidates.when_run else 1  # the second one is timed
        extraction = ExtractionSpec(names, batch_size, precision, probabilities, pooling, batches)
        described = "best" if all_layers else layer if layers is None else f"best of {', '.join(map(str, layers))}"
        settings = {**target.target.made_with, "layer": described, "precision": precision}
        settings |= {} if pooling is None else {"pooling": pooling}
        return cls(candidates, target, extraction, request, layers is not None or layer == "best", settings)

    def ranking(self, results: Mapping[str, CandidateResult], settings: Mapping[str, object] | None = None) -> Ranking:
        """The ranking of models by the best of their layers; `settings` are further ones.

        Raises:
          ValueError: none of the models could be scored.
        """
        left_out = {name: result.reason for name, result in results.items() if result.left_out}
        results = {name: result for name, result in results.items() if not result.left_out}
        if left_out and not results:
            name, reason = next(iter(left_out.items()))
            raise ValueError(f"where leaves out all models; {name}: {reason}")
        best = best_layers(results, self.request)
        preprocessing = {
            name: result.about.preprocessing for name, result in results.items() if result.about is not None
        }  # fmt: skip
        made_with = {**self.settings, **(settings or {}), "preprocessing": preprocessing}
        made_with |= {"left_out": left_out} if left_out else {}
        fields = {name: _fields_of(result) for name, result in results.items()}
        if self.several_layers:
            fields = {name: known | best.layers.get(name, {}) for name, known in fields.items()}
        ranking = build_ranking(
            list(results), best.scores, best.failed, self.request, made_with, self.target.target, fields
        )
        return ranking.with_models(self)

    head = head_of
    by_samples = scores_by_samples


def _fields_of(result: CandidateResult) -> dict[str, Any]:
    """As fields of `ScoredModel`."""
    described = result.about.description if result.about else Description()
    parameters, size = (None if number is None else int(number) for number in (described.parameters, described.bytes))
    return {
        "parameters": parameters, "bytes": size, "ms": result.ms, "zero_shot": result.zero_shot,
        "peak_memory": result.peak_memory,
    }  # fmt: skip


def _labelled_samples(
    data: object, labels: object, task: TaskName | None, groups: object, columns: ColumnChoice,
    scores: str | Sequence[str] | None, n_clusters: object,
) -> LabelledSamples:  # fmt: skip
    if task == "positions" or has_labels(data, labels):
        if n_clusters is not None:
            raise ValueError("n_clusters is of samples without labels; leave it out, or the labels.")
        return LabelledSamples.of(data, labels, task=task, groups=groups, columns=columns)
    if task is not None or groups is not None:
        raise ValueError("task and groups need labels; leave them out, or pass labels.")
    kinds, _ = check_scores(UNLABELLED if scores is None else scores, None)
    return LabelledSamples.unlabelled(data, check_labelled(kinds, None, n_clusters) or 0)


def _check_layers(precision: object, layer: object, layers: Any) -> None:
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be of {', '.join(get_args(Precision))}; got {precision!r}.")
    if isinstance(layer, bool) or not isinstance(layer, (str, int)):
        raise TypeError(f"layer must be the name or the index of one; got {layer!r}. For several use layers=.")
    if layers is not None and layer != "penultimate":
        raise ValueError(
            f"layer and layers exclude each other; got layer={layer!r} and layers={layers!r}. Leave one out."
        )
    if layers is not None and layers != "all" and (isinstance(layers, (str, int)) or not len(layers)):
        raise ValueError(f"layers must be a list of at least one layer; got {layers!r}. For one layer use layer=.")
