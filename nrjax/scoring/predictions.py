"""What a linear probe says of every sample when it is fitted without it."""

import functools
from typing import Any

import jax
import numpy as np

from nrjax.kernels.ridge import leave_out
from nrjax.scoring.checks import check_features, rounding_of
from nrjax.scoring.compute import compute_context
from nrjax.scoring.estimates import groups_of
from nrjax.scoring.operators import wide_dtype
from nrjax.targets import Target


def predictions_without(features: Any, target: Target) -> np.ndarray:
    """Numbers `[samples, outputs]` by a ridge regression without the sample, or its group; see `ridge`."""
    array, dtype = check_features("features", features), wide_dtype()
    rounding = rounding_of(array)
    centred = target.values - target.values.mean(axis=0)
    deviation = centred.std(axis=0)
    deviation[deviation == 0] = 1
    with compute_context(dtype, threads=True):
        fit = jax.jit(functools.partial(leave_out, solver="gram", rounding=rounding))
        best, _, _ = fit(np.asarray(array, dtype), np.asarray(centred / deviation, dtype), groups_of(target))
        return target.values - deviation * np.asarray(best.residuals, np.float64)
