"""The scores of nrjax: what each means for every task, and where it means nothing."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from nrjax import kernels
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
from nrjax.scoring.pairs import not_in_four
from nrjax.scoring.score_kind import Kernel, ScoreKind
from nrjax.target_tasks import TaskName


def _silhouette(features: jax.Array, labels: jax.Array, *, n_classes: int) -> jax.Array:
    settings = kernels.ScoreSettings(min(10, len(features) - 1, features.shape[1]))
    return kernels.score(features, labels, n_classes=n_classes, settings=settings).value


def _of_scores(features: jax.Array, labels: jax.Array, *, n_classes: int) -> jax.Array:
    raise TypeError("mean_rank is of all models together: ask rank_batch for it")


def _classes_of_one(samples: int, dims: int, counts: np.ndarray) -> str | None:
    alone = int(np.sum(counts == 1))
    if not alone:
        return None
    return f"it leaves one sample out, so every class needs at least 2; {alone} of {len(counts)} classes have only 1"


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


def _fits(error: float, samples: int) -> float:
    """What samples teach linear probes fades with their number: `python -m benchmarks.trust.calibration.teaching`."""
    return 1 + 17 * error / samples ** (2 / 3)


def _votes(error: float, samples: int) -> float:
    """What neighbours teach does not fade with more samples, by the same command."""
    return 1.5


def _kind_of(task: TaskName, name: str, estimate: Callable[..., Estimate], meaning: str, **fields: Any) -> ScoreKind:
    """A score of numbers or of several labels; its kernel is the estimate without its error."""
    eps = float(np.finfo(np.float32).eps)
    return ScoreKind(
        name, lambda features, labels, **options: estimate(features, labels, rounding=eps, **options).value, meaning,
        estimate=estimate, task=task, solvers=("gram", "svd"), **fields,
    )  # fmt: skip


BUILT_IN: dict[str, ScoreKind] = {}


def _add(name: str, kernel: Kernel, meaning: str, **fields: Any) -> None:
    BUILT_IN[name] = ScoreKind(name, kernel, meaning, **fields)


_add(
    "silhouette", _silhouette, "silhouette of the samples on the leading principal components",
    bounds=lambda classes: (-1, 1), source="the neuralRank paper, Algorithm 1",
)  # fmt: skip
_add(
    "probe", kernels.probe, "accuracy of a linear probe, leaving one sample out",
    bounds=_shares, undefined=_classes_of_one,
    source="sklearn.linear_model.RidgeClassifierCV after StandardScaler",
    estimate=estimate_probe, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_majority, teaching=_fits,
    others=(
        _kind_of(
            "regression", "probe", estimate_probe_of_numbers, "R² of a linear probe, leaving one sample out",
            bounds=lambda outputs: (-math.inf, 1), source="sklearn.linear_model.RidgeCV after StandardScaler",
            tolerance=1e-3, scale_free=True, leaves_out=True, chance=_nothing, teaching=_fits,
        ),
        _kind_of(
            "multilabel", "probe", estimate_probe_of_labels,
            "mean average precision of a linear probe, leaving one sample out",
            bounds=_shares, source="sklearn.metrics.average_precision_score of sklearn.linear_model.RidgeCV",
            tolerance=1e-3, begins_in_float32=True, scale_free=True, leaves_out=True, chance=_mean_share,
        ),
    ),
)  # fmt: skip
_add(
    "knn", kernels.knn, "accuracy of the 5 nearest neighbours (cosine), leaving one sample out",
    bounds=_shares, undefined=_too_few_for_neighbours,
    source='sklearn.neighbors.KNeighborsClassifier(5, metric="cosine")',
    estimate=estimate_knn, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_majority, teaching=_votes,
    others=(
        _kind_of(
            "regression", "knn", estimate_knn_of_numbers,
            "correlation with the mean of the 5 nearest neighbours (cosine), leaving one sample out",
            bounds=lambda outputs: (-1, 1), undefined=_too_few_for_neighbours, source="numpy.corrcoef of "
            'sklearn.neighbors.KNeighborsRegressor(5, metric="cosine")',
            tolerance=1e-3, scale_free=True, leaves_out=True, chance=_nothing, teaching=_votes,
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
_add(
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
BUILT_IN["linear_mse"] = _kind_of(
    "regression", "linear_mse", estimate_linear_mse,
    "negative mean squared error of a linear regression, its weights penalised (LinMSE)",
    bounds=lambda outputs: (-math.inf, 0), source="arXiv:2312.00656", tolerance=1e-4, relative=True,
)  # fmt: skip
for _name, _estimate, _whose in (
    ("similarity", estimate_similarity, "Spearman"), ("similarity_pearson", estimate_similarity_pearson, "Pearson"),
):  # fmt: skip
    BUILT_IN[_name] = dataclasses.replace(
        _kind_of(
            "regression", _name, _estimate, f"{_whose}'s correlation of the cosine of both texts with the numbers",
            bounds=lambda outputs: (-1, 1), undefined=not_in_four, source=f"scipy.stats.{_whose.lower()}r",
            tolerance=1e-3, scale_free=True, chance=_nothing, reads="pairs",
        ),
        solvers=("gram",),
    )  # fmt: skip
_add(
    "balanced_probe", kernels.balanced_probe,
    "mean over the classes of the accuracy of a linear probe, leaving one sample out",
    bounds=_shares, undefined=_classes_of_one,
    source="sklearn.metrics.balanced_accuracy_score of sklearn.linear_model.RidgeClassifierCV",
    estimate=estimate_balanced_probe, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_evenly, rarest_decides=True, teaching=_fits,
)  # fmt: skip
_add(
    "balanced_knn", kernels.balanced_knn,
    "mean over the classes of the accuracy of the 5 nearest neighbours (cosine), leaving one sample out",
    bounds=_shares, undefined=_too_few_for_neighbours,
    source='sklearn.metrics.balanced_accuracy_score of sklearn.neighbors.KNeighborsClassifier(5, metric="cosine")',
    estimate=estimate_balanced_knn, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True, scale_free=True,
    leaves_out=True, chance=_evenly, rarest_decides=True, teaching=_votes,
)  # fmt: skip
_add(
    "average_precision", kernels.average_precision,
    "average precision of the rarer of two classes by a linear probe, leaving one sample out",
    bounds=_shares, undefined=_not_two,
    source="sklearn.metrics.average_precision_score of sklearn.linear_model.RidgeClassifierCV",
    estimate=estimate_average_precision, tolerance=1e-3, solvers=("gram", "svd"), begins_in_float32=True,
    scale_free=True, leaves_out=True, chance=lambda shares: float(shares.min()), rarest_decides=True,
)  # fmt: skip
_add(
    "h_score", kernels.h_score, "between-class share of the features' covariance (H-score)",
    bounds=lambda classes: (0, classes - 1), undefined=_too_few_for_h,
    source="doi:10.1109/ICIP.2019.8803726",
    estimate=estimate_h_score, tolerance=1e-3, solvers=("gram", "svd"), scale_free=True,
)  # fmt: skip
_add(
    "regularized_h_score", kernels.regularized_h_score, "H-score with Ledoit-Wolf shrinkage",
    bounds=lambda classes: (0, classes - 1),
    source="arXiv:2110.06893; sklearn.covariance.LedoitWolf",
    estimate=estimate_regularized_h_score, tolerance=1e-3, scale_free=True,
)  # fmt: skip
_add(
    "transrate", kernels.transrate, "coding rate of the features less that of the classes (TransRate, eps 1e-4)",
    source="arXiv:2106.09362",
    estimate=estimate_transrate, tolerance=1e-3, relative=True, solvers=("gram", "svd"), begins_in_float32=True,
    scale_free=True,
)  # fmt: skip
_add(
    "gbc", kernels.gbc, "overlap of the classes as Gaussians on 64 principal components (GBC)",
    bounds=lambda classes: (-classes * (classes - 1), 0),
    source="arXiv:2111.12780",
    estimate=estimate_gbc, tolerance=1e-3, relative=True, solvers=("gram", "svd"),
)  # fmt: skip
_add(
    "leep", kernels.leep, "log likelihood of the labels given the model's own classes (LEEP)",
    bounds=lambda classes: (-math.inf, 0), reads="probabilities",
    source="arXiv:2002.12462",
    estimate=estimate_leep, tolerance=1e-5,
)  # fmt: skip
_add(
    "nce", kernels.nce, "negative conditional entropy of the labels given the model's own classes (NCE)",
    bounds=lambda classes: (-math.log(classes), 0), reads="probabilities",
    source="arXiv:1908.08142",
    estimate=estimate_nce, tolerance=1e-5,
)  # fmt: skip
_add(
    "clusters", kernels.clusters, "cosine silhouette of the clusters that the samples fall into without labels",
    bounds=lambda classes: (-1, 1),
    source="doi:10.1023/A:1007612920971 on the leading principal components", labelled=False, scale_free=True,
)  # fmt: skip
_add(
    "stability", kernels.stability, "agreement of the clusters that two halves of the samples fall into",
    bounds=lambda classes: (-1, 1), source="doi:10.1007/BF01908075", labelled=False, scale_free=True,
)  # fmt: skip
_add(
    "mean_rank", _of_scores, "mean place of the model by the other scores asked for, 1 being first by all",
    bounds=lambda classes: (1, math.inf), higher_is_better=False, reads="scores",
    source="benchmarks/trust, `stacking.py`",
)  # fmt: skip
