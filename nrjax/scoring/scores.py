"""The registry of scores: which there are, what each means for every task, and where it means nothing."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np

from nrjax import kernels
from nrjax._utils.plugins import describe, load_plugin, plugins
from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.gbc import estimate_gbc
from nrjax.kernels.h_score import estimate_h_score, estimate_regularized_h_score
from nrjax.kernels.knn import (
    estimate_balanced_knn,
    estimate_knn,
    estimate_knn_of_labels,
    estimate_knn_of_numbers,
)
from nrjax.kernels.leep import estimate_leep, estimate_nce
from nrjax.kernels.linear_mse import estimate_linear_mse
from nrjax.kernels.logme import estimate_logme, estimate_logme_of_columns
from nrjax.kernels.neighbours import NEIGHBOURS
from nrjax.kernels.probe import (
    estimate_average_precision,
    estimate_balanced_probe,
    estimate_probe,
    estimate_probe_of_labels,
    estimate_probe_of_numbers,
)
from nrjax.kernels.similarity import estimate_similarity, estimate_similarity_pearson
from nrjax.kernels.transrate import estimate_transrate
from nrjax.scoring.defaults import UNLABELLED as UNLABELLED
from nrjax.scoring.pairs import not_in_four
from nrjax.scoring.score_kind import Kernel, ScoreKind, always, unbounded
from nrjax.target_tasks import TaskName
from nrjax.targets import Target

GROUP = "nrjax.scores"


def register_score(
    name: str,
    kernel: Kernel,
    meaning: str = "",
    *,
    bounds: Callable[[int], tuple[float, float]] = unbounded,
    higher_is_better: bool = True,
    source: str = "",
    undefined: Callable[[int, int, np.ndarray], str | None] = always,
    reads: Literal["features", "probabilities"] = "features",
    labelled: bool = True,
) -> ScoreKind:
    """Makes `rank_batch(scores=(name, ...))` and `nrjax rank --scores` know a score of your own.

    Args:
      name: a new one.
      kernel: see `ScoreKind`; it is compiled together with the other scores that are asked for.
      meaning: in a few words.
      bounds: of its values, from the number of classes.
      higher_is_better: its direction.
      source: DOI, arXiv or library call.
      undefined: from samples, dims and the classes' sizes to the reason why it means nothing there, or None.
      reads: what `kernel` takes: features, or probabilities of the model's own classes.
      labelled: whether it reads the labels.

    Raises:
      ValueError: the name is taken.
    """
    if name in _KINDS or name in plugins(GROUP):
        raise ValueError(f"a score named {name!r} is registered already; choose another name.")
    return _register(
        name, kernel, meaning or name, bounds=bounds, higher_is_better=higher_is_better, source=source,
        undefined=undefined, reads=reads, labelled=labelled,
    )  # fmt: skip


def _register(name: str, kernel: Kernel, meaning: str, **fields: Any) -> ScoreKind:
    _KINDS[name] = ScoreKind(name, kernel, meaning, **fields)
    return _KINDS[name]


def available_scores() -> dict[str, ScoreKind]:
    """Every score, by name: those of nrjax, registered ones, those of plug-ins that can be loaded."""
    kinds = dict(_KINDS)
    for name in plugins(GROUP):
        if name not in kinds:
            with contextlib.suppress(ValueError):  # which `check_scores` says where the score is asked for
                kinds[name] = _kind_of_plugin(name)
    return kinds


def _kind_of_plugin(name: str) -> ScoreKind:
    """The score of a plug-in. Raises ValueError where it cannot be loaded, or is none of that name."""
    kind = load_plugin(GROUP, name)
    if not isinstance(kind, ScoreKind) or kind.name != name:
        what = f"a ScoreKind called {kind.name!r}" if isinstance(kind, ScoreKind) else type(kind).__name__
        raise ValueError(f"{describe(plugins(GROUP)[name])} must be a nrjax.ScoreKind called {name!r}; it is {what}.")
    return kind


def check_labelled(kinds: Sequence[ScoreKind], labels: Any, n_clusters: Any) -> int | None:
    """Clusters to look for where there are no labels, 0 to choose; None where there are. Raises ValueError."""
    if labels is not None:
        if n_clusters is not None:
            raise ValueError("n_clusters is of samples without labels; leave it out, or the labels.")
        return None
    wrong = [kind.name for kind in kinds if kind.labelled and kind.reads != "scores"]
    if wrong:
        known = ", ".join(kind.name for kind in _KINDS.values() if not kind.labelled)
        raise ValueError(f"{', '.join(wrong)} need labels; without them there are {known}.")
    if n_clusters is None:
        return 0
    if isinstance(n_clusters, bool) or not isinstance(n_clusters, int) or n_clusters < 2:
        raise ValueError(f"n_clusters must be an integer of at least 2; got {n_clusters!r}.")
    return n_clusters


def check_scores(scores: Any, by: Any) -> tuple[tuple[ScoreKind, ...], ScoreKind]:
    """The scores to compute and the one to order by (None: the first). Raises ValueError for a bad name."""
    names = (scores,) if isinstance(scores, str) else tuple(scores)
    known = {**_KINDS}
    for name in (*names, *(() if by is None else (by,))):
        if name not in known and isinstance(name, str) and name in plugins(GROUP):
            known[name] = _kind_of_plugin(name)
        if name not in known:
            listed = ", ".join(dict.fromkeys((*_KINDS, *plugins(GROUP))))
            raise ValueError(f"scores must be of {listed}; got {name!r}. See register_score for your own.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"scores must name at least one score and none twice; got {names!r}.")
    if by is not None and by not in names:
        raise ValueError(f"by must be one of the scores asked for, {', '.join(names)}; got {by!r}.")
    kinds = tuple(known[name] for name in names)
    read = [kind.name for kind in kinds if kind.reads != "scores"]
    if len(read) < min(2, len(names)):
        raise ValueError(f"mean_rank is the mean of places by at least two other scores; got scores={names!r}.")
    return kinds, known[by or names[0]]


def undefined(kind: ScoreKind, target: Target, shape: tuple[int, ...]) -> str | None:
    """Why a score means nothing for features of this shape; without the largest group where groups are left out."""
    samples = shape[0] if target.groups is None or not kind.leaves_out else target.fewest_left + 1
    return kind.undefined(samples, shape[1], target.counts)


def check_task(by: ScoreKind, target: Target) -> None:
    """Raises ValueError where the score to order by means nothing for the task."""
    kind = by.of(target)
    if kind.reads != "scores" and kind.labelled and target.task not in ("clusters", kind.task):
        raise ValueError(f"by must be a score of the labels' task; {by.name!r}: {kind.undefined(0, 0, target.counts)}.")


def _silhouette(features: jax.Array, labels: jax.Array, *, n_classes: int) -> jax.Array:
    settings = kernels.ScoreSettings(min(10, len(features) - 1, features.shape[1]))
    return kernels.score(features, labels, n_classes=n_classes, settings=settings).value


def _of_scores(features: jax.Array, labels: jax.Array, *, n_classes: int) -> jax.Array:
    raise TypeError("mean_rank is of all models together: ask rank_batch for it")


def _classes_of_one(samples: int, dims: int, counts: np.ndarray) -> str | None:
    alone = int(np.sum(counts == 1))
    return f"a sample is left out of every class, and {alone} of {len(counts)} have one only" if alone else None


def _too_few_for_h(samples: int, dims: int, counts: np.ndarray) -> str | None:
    few = samples <= dims
    return f"it is classes - 1 for every model with samples <= dims ({samples} <= {dims}): take regularized_h_score" \
        if few else None  # fmt: skip


def _too_few_for_neighbours(samples: int, dims: int, counts: np.ndarray) -> str | None:
    few = samples <= NEIGHBOURS
    return f"{NEIGHBOURS} neighbours need more samples than that; got {samples}" if few else None


def _not_two(samples: int, dims: int, counts: np.ndarray) -> str | None:
    several = len(counts) != 2
    return f"it is of two classes, and there are {len(counts)}: take balanced_probe" if several else (
        _classes_of_one(samples, dims, counts)
    )  # fmt: skip


def _shares(bounds: int) -> tuple[float, float]:
    return 0, 1


def _majority(shares: np.ndarray) -> float:
    return float(shares.max())


def _evenly(shares: np.ndarray) -> float:
    return 1 / len(shares)


def _mean_share(shares: np.ndarray) -> float:
    return float(shares.mean())


def _nothing(shares: np.ndarray) -> float:
    return 0.0


def _kind_of(task: TaskName, name: str, estimate: Callable[..., Estimate], meaning: str, **fields: Any) -> ScoreKind:
    """A score of numbers or of several labels; its kernel is the estimate without its error."""
    eps = float(np.finfo(np.float32).eps)
    return ScoreKind(
        name, lambda features, labels, **options: estimate(features, labels, rounding=eps, **options).value, meaning,
        estimate=estimate, task=task, solvers=("gram", "svd"), **fields,
    )  # fmt: skip


_KINDS: dict[str, ScoreKind] = {}
_register(
    "silhouette", _silhouette, "silhouette of the samples on the leading principal components",
    bounds=lambda classes: (-1, 1), source="the neuralRank paper, Algorithm 1",
)  # fmt: skip
_register(
    "probe", kernels.probe, "accuracy of a linear probe, leaving one sample out",
    bounds=_shares, undefined=_classes_of_one,
    source="sklearn.linear_model.RidgeClassifierCV after StandardScaler",
    estimate=estimate_probe, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_majority,
    others=(
        _kind_of(
            "regression", "probe", estimate_probe_of_numbers, "R² of a linear probe, leaving one sample out",
            bounds=lambda outputs: (-math.inf, 1), source="sklearn.linear_model.RidgeCV after StandardScaler",
            tolerance=1e-3, scale_free=True, leaves_out=True, chance=_nothing,
        ),
        _kind_of(
            "multilabel", "probe", estimate_probe_of_labels,
            "mean average precision of a linear probe, leaving one sample out",
            bounds=_shares, source="sklearn.metrics.average_precision_score of sklearn.linear_model.RidgeCV",
            tolerance=1e-3, begins_in_float32=True, scale_free=True, leaves_out=True, chance=_mean_share,
        ),
    ),
)  # fmt: skip
_register(
    "knn", kernels.knn, "accuracy of the 5 nearest neighbours (cosine), leaving one sample out",
    bounds=_shares, undefined=_too_few_for_neighbours,
    source='sklearn.neighbors.KNeighborsClassifier(5, metric="cosine")',
    estimate=estimate_knn, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_majority,
    others=(
        _kind_of(
            "regression", "knn", estimate_knn_of_numbers,
            "correlation with the mean of the 5 nearest neighbours (cosine), leaving one sample out",
            bounds=lambda outputs: (-1, 1), undefined=_too_few_for_neighbours, source="numpy.corrcoef of "
            'sklearn.neighbors.KNeighborsRegressor(5, metric="cosine")',
            tolerance=1e-3, scale_free=True, leaves_out=True, chance=_nothing,
        ),
        _kind_of(
            "multilabel", "knn", estimate_knn_of_labels,
            "mean average precision of the 5 nearest neighbours' share (cosine), leaving one sample out",
            bounds=_shares, undefined=_too_few_for_neighbours, source="sklearn.metrics.average_precision_score of "
            'sklearn.neighbors.KNeighborsRegressor(5, metric="cosine")',
            tolerance=1e-3, begins_in_float32=True, scale_free=True, leaves_out=True, chance=_mean_share,
        ),
    ),
)  # fmt: skip
_COLUMNS: tuple[tuple[TaskName, str], ...] = (("regression", "numbers"), ("multilabel", "labels"))
_register(
    "logme", kernels.logme, "log evidence of the labels per sample (LogME)",
    source="arXiv:2102.11005",
    estimate=estimate_logme, tolerance=1e-4, solvers=("gram", "svd"), scale_free=True,
    others=tuple(
        _kind_of(
            task, "logme", estimate_logme_of_columns, f"log evidence of the {what} per sample (LogME)",
            source="arXiv:2102.11005", tolerance=1e-4, scale_free=True,
        ) for task, what in _COLUMNS
    ),
)  # fmt: skip
_KINDS["linear_mse"] = _kind_of(
    "regression", "linear_mse", estimate_linear_mse,
    "negative mean squared error of a linear regression, its weights penalised (LinMSE)",
    bounds=lambda outputs: (-math.inf, 0), source="arXiv:2312.00656", tolerance=1e-4, relative=True,
)  # fmt: skip
for _name, _estimate, _whose in (
    ("similarity", estimate_similarity, "Spearman"), ("similarity_pearson", estimate_similarity_pearson, "Pearson"),
):  # fmt: skip
    _KINDS[_name] = dataclasses.replace(
        _kind_of(
            "regression", _name, _estimate, f"{_whose}'s correlation of the cosine of both texts with the numbers",
            bounds=lambda outputs: (-1, 1), undefined=not_in_four, source=f"scipy.stats.{_whose.lower()}r",
            tolerance=1e-3, scale_free=True, chance=_nothing, reads="pairs",
        ),
        solvers=("gram",),
    )  # fmt: skip
_register(
    "balanced_probe", kernels.balanced_probe,
    "mean over the classes of the accuracy of a linear probe, leaving one sample out",
    bounds=_shares, undefined=_classes_of_one,
    source="sklearn.metrics.balanced_accuracy_score of sklearn.linear_model.RidgeClassifierCV",
    estimate=estimate_balanced_probe, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_evenly,
)  # fmt: skip
_register(
    "balanced_knn", kernels.balanced_knn,
    "mean over the classes of the accuracy of the 5 nearest neighbours (cosine), leaving one sample out",
    bounds=_shares, undefined=_too_few_for_neighbours,
    source='sklearn.metrics.balanced_accuracy_score of sklearn.neighbors.KNeighborsClassifier(5, metric="cosine")',
    estimate=estimate_balanced_knn, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_evenly,
)  # fmt: skip
_register(
    "average_precision", kernels.average_precision,
    "average precision of the rarer of two classes by a linear probe, leaving one sample out",
    bounds=_shares, undefined=_not_two,
    source="sklearn.metrics.average_precision_score of sklearn.linear_model.RidgeClassifierCV",
    estimate=estimate_average_precision, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True,
    scale_free=True, leaves_out=True, chance=lambda shares: float(shares.min()),
)  # fmt: skip
_register(
    "h_score", kernels.h_score, "between-class share of the features' covariance (H-score)",
    bounds=lambda classes: (0, classes - 1), undefined=_too_few_for_h,
    source="doi:10.1109/ICIP.2019.8803726",
    estimate=estimate_h_score, tolerance=1e-3, solvers=("gram", "svd"), scale_free=True,
)  # fmt: skip
_register(
    "regularized_h_score", kernels.regularized_h_score, "H-score with Ledoit-Wolf shrinkage",
    bounds=lambda classes: (0, classes - 1),
    source="arXiv:2110.06893; sklearn.covariance.LedoitWolf",
    estimate=estimate_regularized_h_score, tolerance=1e-3, scale_free=True,
)  # fmt: skip
_register(
    "transrate", kernels.transrate, "coding rate of the features less that of the classes (TransRate, eps 1e-4)",
    source="arXiv:2106.09362",
    estimate=estimate_transrate, tolerance=1e-3, relative=True, solvers=("gram", "svd"), begins_in_float32=True,
    scale_free=True,
)  # fmt: skip
_register(
    "gbc", kernels.gbc, "overlap of the classes as Gaussians on 64 principal components (GBC)",
    bounds=lambda classes: (-classes * (classes - 1), 0),
    source="arXiv:2111.12780",
    estimate=estimate_gbc, tolerance=1e-3, relative=True, solvers=("gram", "svd"),
)  # fmt: skip
_register(
    "leep", kernels.leep, "log likelihood of the labels given the model's own classes (LEEP)",
    bounds=lambda classes: (-math.inf, 0), reads="probabilities",
    source="arXiv:2002.12462",
    estimate=estimate_leep, tolerance=1e-5,
)  # fmt: skip
_register(
    "nce", kernels.nce, "negative conditional entropy of the labels given the model's own classes (NCE)",
    bounds=lambda classes: (-math.log(classes), 0), reads="probabilities",
    source="arXiv:1908.08142",
    estimate=estimate_nce, tolerance=1e-5,
)  # fmt: skip
_register(
    "clusters", kernels.clusters, "cosine silhouette of the clusters that the samples fall into without labels",
    bounds=lambda classes: (-1, 1),
    source="doi:10.1023/A:1007612920971 on the leading principal components", labelled=False, scale_free=True,
)  # fmt: skip
_register(
    "stability", kernels.stability, "agreement of the clusters that two halves of the samples fall into",
    bounds=lambda classes: (-1, 1), source="doi:10.1007/BF01908075", labelled=False, scale_free=True,
)  # fmt: skip
_register(
    "mean_rank", _of_scores, "mean place of the model by the other scores asked for, 1 being first by all",
    bounds=lambda classes: (1, math.inf), higher_is_better=False, reads="scores",
    source="benchmarks/trust, `stacking.py`",
)  # fmt: skip
