"""A ranking as one HTML page: no network, no scripts."""

import dataclasses
import datetime
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nrjax._utils.paths import check_writable
from nrjax._version import __version__
from nrjax.reports import _sections as sections
from nrjax.reports._figures import Prediction, Projection
from nrjax.reports._templates import render
from nrjax.results import Ranking
from nrjax.results.cost_plot import knows_costs
from nrjax.scoring.metrics import pca
from nrjax.scoring.predictions import predictions_without
from nrjax.targets import Target

NAMED = 3  # models beside a setting that not all share
OF_SILHOUETTE = ("distance", "definition", "solver", "method", "block_size", "tolerance")  # settings of no other score
COLOURED_BY = {  # by the task, and whether there is one output
    ("regression", True): "the number", ("regression", False): "sum of the numbers",
    ("multilabel", True): "whether it has the label", ("multilabel", False): "how many labels it has",
}  # fmt: skip


def write_report(
    ranking: Ranking,
    path: str | Path,
    features: Mapping[str, object] | Callable[[str], Any] | None = None,
    labels: Iterable[object] | None = None,
    *,
    groups: Iterable[object] | None = None,
    command: str | None = None,
) -> None:
    """Writes an HTML page about a ranking: table, intervals, layers, samples of the best and worst model, settings.

    Args:
      ranking: as `rank_batch` and `rank` return it.
      path: of the page, a single file.
      features: a mapping or a function from model name to features `[samples, dims]`. It is used for the best and the
        worst model only. None leaves their pictures out.
      labels: of the samples, as in the ranking, or class ids. They colour the pictures: by class, by the sum of the
        numbers, or by the number of labels. For numbers there is also a picture of the residuals of a linear probe.
        None for a ranking without labels.
      groups: of the samples; the probe leaves out whole groups.
      command: that made the ranking; it is shown on the page.

    Examples:
      >>> ranking = nrjax.rank_batch(features, labels)
      >>> nrjax.write_report(ranking, "report.html", features, labels)
    """
    parts = [sections.ranking_section(ranking)]
    if knows_costs(ranking):
        parts.append(sections.cost_section(ranking))
    if ranking.by_layer:
        parts.append(sections.layers_section(ranking))
    parts += [sections.class_section(ranking, score) for score in _without_copies(ranking.by_class)]
    parts += [sections.confusion_section(score, table) for score, table in _without_copies(ranking.confused).items()]
    if features is not None:
        of_model = features.__getitem__ if isinstance(features, Mapping) else features
        arrays = {name: of_model(name) for name in dict.fromkeys((ranking.order[0], ranking.order[-1]))}
        is_labelled = labels is not None and "labels" not in ranking.settings  # which clusters say they have not
        target = _target_of(ranking, labels, groups) if is_labelled else None
        parts.append(_samples(arrays, target))
        is_trained = not ranking.settings["by"].startswith("similarity")
        if target is not None and target.task == "regression" and is_trained:
            parts.append(_residuals(arrays, target))
    page = render(
        "report.html", title=f"{ranking.best} comes first of {len(ranking.models)} models", policy=
        "default-src 'none'; img-src data:", sections=parts, made=_made_with(ranking, command),
    )  # fmt: skip
    check_writable(Path(path)).write_text(page, encoding="utf-8")


def _target_of(ranking: Ranking, labels: Any, groups: Iterable[object] | None) -> Target:
    """The target of the ranking, whose classes, outputs or labels are called as there."""
    task = ranking.settings.get("task", "classification")
    target = Target.of(labels, task=task, groups=groups)
    known = ranking.classes if len(ranking.classes) == target.n_classes else target.classes
    return dataclasses.replace(target, classes=known)


def _samples(arrays: Mapping[str, Any], target: Target | None) -> sections.Section:
    values, classes, about = (None, (), "") if target is None else (target.values, target.classes, "")
    if target is not None and target.values.ndim > 1:
        values, classes, about = target.values.sum(axis=1), (), COLOURED_BY[target.task, target.n_classes == 1]
    projections = [
        Projection(name, np.asarray(pca(array, 2).points), values, classes, about) for name, array in arrays.items()
    ]
    return sections.samples_section(projections)


def _residuals(arrays: Mapping[str, Any], target: Target) -> sections.Section:
    predictions = [
        Prediction(name, target.values, predictions_without(array, target).values, target.classes)
        for name, array in arrays.items()
    ]
    return sections.residuals_section(predictions)


def _without_copies(tables: Mapping[str, object]) -> dict[str, Any]:
    """Tables by score; of scores with equal ones, as `probe` and `balanced_probe` have, the first."""
    kept: dict[str, Any] = {}
    for score, table in tables.items():
        kept |= {} if table in kept.values() else {score: table}
    return kept


def _made_with(ranking: Ranking, command: str | None) -> dict[str, str]:
    aside = {"request", "remarks", "samples_to_tell", "left_out"}  # which stand elsewhere on the page, or on none
    aside |= set() if "silhouette" in ranking.settings["scores"] else {"n_components", *OF_SILHOUETTE}
    made = {
        **({"command": command} if command else {}),
        **{name: value for name, value in ranking.settings.items() if value is not None and name not in aside},
        "jax": jax.__version__, "device": f"{jax.devices()[0].device_kind}, {platform.machine()}",
        "written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"), "nrjax": __version__,
    }  # fmt: skip
    called = {"classes": "clusters"} if "labels" in ranking.settings else {}
    return {called.get(name, name): _as_words(value) for name, value in made.items()}


def _as_words(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):  # such as the preprocessing of every model: what they share is said once
        names_by_value: dict[Any, list[str]] = {}
        for name, own in value.items():
            names_by_value.setdefault(own if isinstance(own, str) else _as_words(own), []).append(str(name))
        value = [
            f"{own} ({', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''})"
            for own, names in names_by_value.items()
        ]
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
