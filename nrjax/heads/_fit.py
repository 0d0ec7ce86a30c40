"""Ridge regression in closed form on the features of a model, and probabilities from its values."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax

from nrjax.heads._head import Head
from nrjax.labels import check_same_order
from nrjax.models import LayerChoice, Model, as_model, extract_features
from nrjax.scoring.predictions import Predictions, as_outputs, predictions_without
from nrjax.target_tasks import TaskName
from nrjax.targets import Target

LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 1e-3, 1e3


def fit_head(
    model: object,
    samples: object,
    labels: Iterable[object],
    *,
    task: TaskName | None = None,
    groups: Iterable[object] | None = None,
    layer: LayerChoice = "penultimate",
    pooling: str | None = None,
) -> Head:
    """Fits a linear head on the features of a model: the ridge regression behind the score `probe`.

    Args:
      model: any model that `nrjax.rank` accepts.
      samples: as `extract_features` takes them.
      labels: one per sample, as for `rank`: classes, numbers, or several labels.
      task: as for `rank`.
      groups: of samples that belong together. Whole groups are left out when the regularisation is chosen.
      layer: of the features.
      pooling: how the layer becomes a vector, as for `rank`.

    Returns:
      A `Head`. Its regularisation and the temperature of its probabilities are chosen by leave-one-out predictions. Its
      weights are fitted on all samples.

    Raises:
      ValueError: labels that do not fit the samples; features that are not finite.

    Examples:
      >>> head = nrjax.fit_head(zoo["F10"], images[:500], labels[:500])
      >>> round(head.score, 2)  # of samples that were left out
      0.9
      >>> head.save("head")
    """
    model = as_model(model).pooled_by(pooling)
    check_same_order(samples, labels)
    check_same_order(samples, groups, "groups")
    target = Target.of(labels, task=task, groups=groups)
    if target.task == "classification":
        model = model.with_classes(target.classes)
    return head_on_features(model, layer, extract_features(model, samples, layer), target)


def head_on_features(model: Model, layer: LayerChoice, features: ArrayLike, target: Target) -> Head:
    """As `fit_head`, of features `[samples, dims]`."""
    features = np.asarray(features, np.float64)
    if len(features) != len(target):
        raise ValueError(f"labels must be one per sample; got {len(target)} labels for {len(features)} samples.")
    predictions = predictions_without(features, target)
    weights, bias = _solve(features, as_outputs(target), predictions)
    temperature, offset = _temperature(predictions, target)
    low, high = features.min(axis=0), features.max(axis=0)
    limits = np.stack([low - (high - low), high + (high - low)])
    return Head(
        model, layer, target.task, tuple(target.classes), weights, bias, temperature, offset, predictions.alpha,
        predictions.score, limits,
    )  # fmt: skip


def _solve(features: np.ndarray, outputs: np.ndarray, judged: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias on features as they come; the regression is on standardised ones, as that of `judged` was."""
    alpha, varies = judged.alpha, judged.varies
    mean, deviation = features.mean(axis=0), np.where(varies, features.std(axis=0), 1)
    rows = np.where(varies, (features - mean) / deviation, 0)
    offset = outputs.mean(axis=0)
    samples, dims = rows.shape
    if dims <= samples:
        solved = np.linalg.solve(rows.T @ rows + alpha * np.eye(dims), rows.T @ (outputs - offset))
    else:
        solved = rows.T @ np.linalg.solve(rows @ rows.T + alpha * np.eye(samples), outputs - offset)
    weights = solved / deviation[:, None]
    return weights, offset - mean @ weights


def _temperature(predictions: Predictions, target: Target) -> tuple[float | None, float]:
    """Temperature and offset that make the labels of samples that were left out most likely."""
    values = predictions.values
    if target.task == "regression":
        return None, 0.0
    low, high = np.log(LEAST_TEMPERATURE), np.log(LARGEST_TEMPERATURE)
    if target.task == "classification":
        own = np.arange(len(target)), target.values

        def surprise(log_temperature: float) -> float:
            return -float(log_softmax(values / np.exp(log_temperature), axis=1)[own].mean())

        search: Any = minimize_scalar(surprise, bounds=(low, high), method="bounded")
        return float(np.exp(search.x)), 0.0

    def cross_entropy(parameters: np.ndarray) -> float:
        probabilities = np.clip(expit(values / np.exp(parameters[0]) + parameters[1]), 1e-12, 1 - 1e-12)
        likely = np.where(target.values > 0, probabilities, 1 - probabilities)
        return -float(np.log(likely).mean())

    fit: Any = minimize(cross_entropy, np.array([np.log(0.2), -2.0]), method="Nelder-Mead")
    return float(np.exp(np.clip(fit.x[0], low, high))), float(fit.x[1])
