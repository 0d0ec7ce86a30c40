"""How far two columns of numbers order models alike."""

import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats


def agreement(score: Mapping[str, float], accuracy: Mapping[str, float]) -> dict[str, float]:
    """Kendall's tau-b and weighted tau in both conventions, over the models that both name.

    `weighted_tau` is `scipy.stats.weightedtau(score, accuracy)`, the mean of both orderings;
    `weighted_tau_accuracy_first` weighs by accuracy alone, `weightedtau(accuracy, score, rank=None)`.
    """
    names = [name for name in score if name in accuracy]
    x, y = np.array([score[n] for n in names]), np.array([accuracy[n] for n in names])
    kendall: Any = stats.kendalltau(x, y)
    weighted: Any = stats.weightedtau(x, y)
    by_accuracy: Any = stats.weightedtau(y, x, rank=None)  # pyright: ignore[reportArgumentType]
    return {
        "tau_b": _rounded(kendall.statistic),
        "weighted_tau": _rounded(weighted.statistic),
        "weighted_tau_accuracy_first": _rounded(by_accuracy.statistic),
    }


def mean_absolute_difference(ours: Mapping[str, float], paper: Mapping[str, float]) -> float:
    """Mean of `|ours - paper|` over the models."""
    return _rounded(statistics.fmean(abs(ours[name] - paper[name]) for name in paper))


def _rounded(value: float) -> float:
    return round(float(value), 4)
