"""What a linear probe says of every sample when it is fitted without it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.arrays import Array
from nrjax.kernels.agreement import average_precision, mean_of_used, r_squared
from nrjax.kernels.ridge import leave_out
from nrjax.kernels.spectrum import standardised
from nrjax.scoring.checks import check_features
from nrjax.scoring.compute import compute_context
from nrjax.scoring.estimates import groups_of
from nrjax.scoring.operators import wide_dtype
from nrjax.scoring.rounding import rounding_of
from nrjax.targets import Target


class Predictions(NamedTuple):
    """Of a ridge regression on standardised features, fitted without the sample or its group.

    Attributes:
      values: `[samples, outputs]`, on the scale of `as_outputs`.
      alpha: the regularisation with the least squared error.
      score: what `probe` makes of them: accuracy, R² or mean average precision.
      varies: `[dims]`, whether a feature varies by more than its rounding; others count as constant.
    """

    values: np.ndarray
    alpha: float
    score: float
    varies: np.ndarray


def as_outputs(target: Target) -> np.ndarray:
    """What a ridge regression learns, float64 `[samples, outputs]`: -1 and 1 of classes, numbers and labels as is."""
    if target.task == "classification":
        return np.where(np.arange(target.n_classes) == target.values[:, None], 1.0, -1.0)
    return np.asarray(target.values, np.float64)


def predictions_without(features: Array, target: Target) -> Predictions:
    """See `Predictions`; the regularisation is the one that `probe` chooses."""
    array, dtype, outputs = check_features("features", features), wide_dtype(), as_outputs(target)
    scale = np.ones(outputs.shape[1])
    if target.task == "regression":  # all outputs, of one variance, choose one regularisation
        deviation = outputs.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1)
    rounding = rounding_of(array)
    with compute_context(dtype, threads=True):
        fit = jax.jit(functools.partial(leave_out, solver="gram", rounding=rounding))
        scaled = np.asarray((outputs - outputs.mean(axis=0)) / scale, dtype)
        best, _, _ = fit(np.asarray(array, dtype), scaled, groups_of(target))
        values = outputs - scale * np.asarray(best.residuals, np.float64)
        varies = np.any(np.asarray(standardised(jnp.asarray(array, dtype), rounding).rows), axis=0)
        return Predictions(values, float(best.alpha), _score(values, outputs, target), np.asarray(varies))


def _score(values: np.ndarray, outputs: np.ndarray, target: Target) -> float:
    if target.task == "classification":
        return float(np.mean(values.argmax(axis=1) == target.values))
    if target.task == "regression":
        centred = outputs - outputs.mean(axis=0)
        used = jnp.any(centred != 0, axis=0)
        return float(mean_of_used(r_squared(jnp.asarray(outputs - values), jnp.asarray(centred), used)[0], used))
    return float(
        np.mean([average_precision(*map(jnp.asarray, column)) for column in zip(values.T, outputs.T, strict=True)])
    )
