"""What a ranking says of values that may be off."""

import numpy as np

from nrjax._utils.arrays import Array
from nrjax.scoring.rounding import rounding_of, without_constants

SAMPLED_ROWS = 256  # that show whether features vary
NEARLY_CONSTANT = 32  # times their rounding: features that vary by no more are hardly more than noise


def doubt_of_constants(array: Array) -> str | None:
    """What there is to say of features that hardly vary, from a few of their rows; constant columns aside."""
    array = without_constants(array)
    rows = np.asarray(array[:: max(1, len(array) // SAMPLED_ROWS)], np.float64)
    rows = rows / max(np.abs(rows).max(), np.finfo(np.float64).tiny)
    size = np.sqrt(np.mean(rows**2))
    return doubt_of_variation(float(np.std(rows - rows.mean(axis=0)) / size) if size else 0.0, array)


def doubt_of_variation(variation: float, array: Array) -> str | None:
    """Of features whose size, once centred, is `variation` times what it was."""
    if variation == 0:
        return "the features do not vary"
    times = variation / rounding_of(array)
    return f"the features vary by no more than {times:.1g} times their rounding" if times <= NEARLY_CONSTANT else None


def doubt_of_error(error: float) -> str:
    """Of a value that may be off by so much."""
    if np.isfinite(error):
        return f"it may be off by {error:.1g}"
    return "the features fit the labels exactly, so nothing bounds it but rounding"
