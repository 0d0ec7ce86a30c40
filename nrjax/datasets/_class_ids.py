"""Labels of tables and archives as class ids: through `nrjax.labels.encode`, unless they are ids already.

Small whole numbers are ids already, and so are the labels of a table that names its classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nrjax._utils.paths import natural_sort_key
from nrjax._utils.spelling import NO_IDS, check_classes, warn_of_look_alikes
from nrjax.datasets._cells import is_missing, whole_numbers
from nrjax.labels import encode

MOST_IDS = 1 << 16  # whole numbers below are ids of classes, of which some may have no sample


def rows_without_label(labels: Sequence[Any], class_names: Sequence[str] | None) -> list[int]:
    """The rows whose label is missing: empty cells, no id of a named class, or -1 or -100 beside ids."""
    if class_names is not None:
        ids = range(len(class_names))
        return [i for i, label in enumerate(labels) if is_missing(label) or label not in ids]
    missing = [i for i, label in enumerate(labels) if is_missing(label)]
    numbers = set() if missing else whole_numbers(labels)
    if 0 in numbers and min(numbers) in NO_IDS:
        return [i for i, label in enumerate(labels) if float(label) == min(numbers)]
    return missing


def class_ids(
    labels: Sequence[object], class_names: Sequence[str] | None, row: Callable[[int], str], *, is_told: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Class ids of the labels of a table, and the name of each class.

    Args:
      labels: none of them missing.
      class_names: the table's own names of its ids; None takes the labels as names, in natural order.
      row: from the index of a label to what the user calls its row.
      is_told: whether the user has said that they are classes.

    Raises:
      ValueError: labels that are no classes, or that cannot be told apart by how they read.
    """
    if class_names is not None:
        warn_of_look_alikes(class_names)
        return np.array(labels, np.int64), list(class_names)
    if not labels:
        return np.zeros(0, np.int64), []
    ids = _as_ids(labels)
    if ids is not None:
        if any(str(label).endswith(".0") for label in labels):
            check_classes(np.unique(np.array(labels)), len(labels), is_told=is_told)
        return ids, _numbers_as_names(ids)
    ids, classes = encode(labels, row, is_told=is_told)
    by_name: dict[str, Any] = {}
    for label in classes.tolist():
        other = by_name.setdefault(str(label), label)
        if other is not label:
            raise ValueError(
                f"different labels must differ as text; got {other!r} and {label!r}. Turn all labels into text, "
                "or into numbers."
            )
    names = list(by_name)
    order = sorted(range(len(names)), key=lambda i: natural_sort_key(names[i]))
    return np.argsort(order)[ids].astype(np.int64), [names[i] for i in order]


def class_ids_of_array(labels: np.ndarray, class_names: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """Class ids of an array of labels, and the name of each class: of ids those in `class_names`, if there are enough.

    Raises:
      ValueError: labels that are no classes.
    """
    dense, classes = encode(labels)
    ids = _as_ids(classes.tolist()) if labels.dtype.kind in "iu" else None
    if ids is None:
        return dense.astype(np.int64), [str(label) for label in classes]
    names = _numbers_as_names(ids)
    if class_names is not None and len(class_names) >= len(names):
        names = [str(name) for name in class_names]
    return labels.astype(np.int64), names


def _as_ids(labels: Sequence[Any]) -> np.ndarray | None:
    """Labels as class ids, where all are small whole numbers, or all the text of such numbers; else None."""
    kinds = {type(label) for label in labels}
    if kinds == {str}:
        labels = [label.removesuffix(".0") for label in labels]
        if not all(map(_is_small_decimal, labels)):
            return None
    elif kinds != {int} and not (kinds == {float} and all(map(float.is_integer, labels))):  # 1.0 of a column with gaps
        return None
    labels = [int(label) for label in labels]
    return np.array(labels, np.int64) if 0 <= min(labels) <= max(labels) < MOST_IDS else None


def _is_small_decimal(text: str) -> bool:
    return len(text) <= len(str(MOST_IDS)) and text.isascii() and text.isdecimal() and str(int(text)) == text


def _numbers_as_names(ids: np.ndarray) -> list[str]:
    return [str(i) for i in range(int(ids.max()) + 1)]
