"""How far features may differ when the same samples run again, alone or beside others."""

import numpy as np

from nrjax.models._model import Precision

TOLERANCES: dict[Precision, float] = {  # relative; rounding is far below, so a larger difference is no rounding
    "float32": 5e-3, "tensorfloat32": 5e-2, "bfloat16": 0.2,
}  # fmt: skip


def relative_difference(features: np.ndarray, others: np.ndarray) -> float:
    """The largest difference between two arrays, relative to the largest entry of the first; NaN where one has NaN."""
    with np.errstate(all="ignore"):
        return float(np.abs(features - others).max() / max(np.abs(features).max(), 1e-30))


PADDED = 5e-4  # relative: padding that is masked changes less
ONE_BY_ONE = "it quantises by the range of a whole batch, so that samples run one by one."  # a remark
