"""What a ranking says of values that may be off."""

import numpy as np

from nrjax._utils.arrays import Array
from nrjax.scoring.rounding import rounding_of, without_constants
from nrjax.targets import Target

FEWEST_ALIKE = 20  # samples: in fewer a feature may be like the labels by chance
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


def doubt_of_labels(array: Array, target: Target) -> str | None:
    """Of one of several features that is the target itself: its numbers, or one number for each class."""
    samples = len(array)
    sampled = np.linspace(0, samples - 1, min(samples, SAMPLED_ROWS)).astype(int)
    rows = np.asarray(array[sampled])
    if target.task == "classification":
        _, first, ids = np.unique(target.values, return_index=True, return_inverse=True)
        if samples - len(first) < FEWEST_ALIKE:
            return None
        # Only the few features that agree on the sampled rows are looked at as a whole.
        columns = np.flatnonzero((rows == np.asarray(array[first[ids[sampled]]])).all(axis=0))
        each = np.asarray(array[:, columns])
        same = (each == each[first[ids]]).all(axis=0) & (np.diff(np.sort(each[first], axis=0), axis=0) > 0).all(axis=0)
        columns = columns[same]
    elif samples < FEWEST_ALIKE or target.task == "clusters":
        return None
    else:
        values = target.values.reshape(samples, -1).astype(array.dtype)
        columns = [i for output in values.T for i in np.flatnonzero((rows.T == output[sampled]).all(axis=1))
                   if (np.asarray(array[:, i]) == output).all()]  # fmt: skip
    if not 0 < len(set(columns)) < array.shape[1]:
        return None
    return f"feature {min(columns)}, counted from 0, has one value for each label, as a column of the labels has"


def doubt_of_error(error: float) -> str:
    """Of a value that may be off by so much."""
    if np.isfinite(error):
        return f"it may be off by {error:.1g}"
    return "the features fit the labels exactly, so nothing bounds it but rounding"
