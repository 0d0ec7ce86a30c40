"""The truth: what a head that was trained on the labelled samples is worth on those that judge it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, recall_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from benchmarks.trust.targets.data import Data
from nrjax.target_tasks import TaskName

GRID = {"regression": (1e-2, 1.0, 1e2, 1e4), "multilabel": (1e-3, 1e-1),
        "classification": (1e-3, 1e-2, 1e-1)}  # fmt: skip
Fit = Callable[[np.ndarray, np.ndarray, float], Callable[[np.ndarray], np.ndarray]]


def truth(features: np.ndarray, target: np.ndarray, task: TaskName, data: Data) -> tuple[float, list[float]]:
    """Of a head on the judges, and on each half of them.

    R² of a linear regression, mean average precision of a logistic regression a label, or mean over the classes of the
    accuracy of a logistic regression. A quarter of the labelled samples, whole groups of them, chooses its penalty.
    For numbers features are kept within the range that the head was fitted on and as much beyond, as `nrjax.Head` does:
    else a unit that is active in one labelled sample gives a few judges nearly all of the squared error.
    """
    groups = np.arange(len(target)) if data.groups is None else data.groups
    units = np.unique(groups[data.labelled])
    units = np.random.default_rng(0).permutation(units)
    held = np.isin(groups[data.labelled], units[: len(units) // 4])
    fitted, held_out = data.labelled[~held], data.labelled[held]

    def worth(train: Any, penalty: float, *tests: Any) -> list[float]:
        scaler: Any = StandardScaler().fit(features[train])
        known = scaler.transform(features[train])
        predict, span = FITS[task](known, target[train], penalty), np.ptp(known, axis=0)
        low, high = (known.min(axis=0) - span, known.max(axis=0) + span) if task == "regression" else (None, None)
        return [WORTH[task](target[test], predict(scaler.transform(features[test]).clip(low, high))) for test in tests]

    penalty = max(GRID[task], key=lambda one: worth(fitted, one, held_out)[0])
    order = np.random.default_rng(1).permutation(np.unique(groups[data.judges]))
    in_first = np.isin(groups[data.judges], order[: len(order) // 2])
    whole, *halves = worth(
        data.labelled, penalty, data.judges, data.judges[in_first], data.judges[~in_first]
    )  # fmt: skip
    return whole, halves


def _ridge(features: np.ndarray, target: np.ndarray, penalty: float) -> Callable[[np.ndarray], np.ndarray]:
    return Ridge(penalty).fit(features, target).predict


def _labels(features: np.ndarray, target: np.ndarray, C: float) -> Callable[[np.ndarray], np.ndarray]:
    head = OneVsRestClassifier(LogisticRegression(C=C, max_iter=100, tol=1e-3)).fit(features, target)
    return head.decision_function


def _classes(features: np.ndarray, target: np.ndarray, C: float) -> Callable[[np.ndarray], np.ndarray]:
    return LogisticRegression(C=C, max_iter=200, tol=1e-3).fit(features, target).predict


def _explained(target: np.ndarray, values: np.ndarray) -> float:
    target, values = target.reshape(len(target), -1), values.reshape(len(target), -1)
    return float(np.mean(1 - ((target - values) ** 2).sum(0) / ((target - target.mean(0)) ** 2).sum(0)))


def _precision(target: np.ndarray, values: np.ndarray) -> float:
    return float(average_precision_score(target, values, average="macro"))


def _balanced(target: np.ndarray, values: np.ndarray) -> float:
    return float(recall_score(target, values, average="macro"))


FITS: dict[str, Fit] = {"regression": _ridge, "multilabel": _labels, "classification": _classes}
WORTH: dict[str, Callable[[Any, Any], float]] = {
    "regression": _explained, "multilabel": _precision, "classification": _balanced,
}  # fmt: skip
