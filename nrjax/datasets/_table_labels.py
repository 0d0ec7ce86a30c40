"""A column of labels as class ids: `nrjax.labels.encode`, and the ids and names that tables have themselves."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nrjax._utils.paths import natural_sort_key
from nrjax._utils.spelling import warn_of_look_alikes
from nrjax.datasets._cells import as_ids, is_missing, whole_numbers
from nrjax.labels import encode


def rows_without_label(labels: Sequence[Any], class_names: Sequence[str] | None) -> list[int]:
    """The rows whose label is missing: empty cells, no id of a named class, or -1 beside ids of classes."""
    missing = [i for i, label in enumerate(labels) if is_missing(label)]
    if class_names is not None:
        ids = range(len(class_names))
        return [i for i, label in enumerate(labels) if is_missing(label) or label not in ids]
    if not missing and {-1, 0} <= whole_numbers(labels):
        return [i for i, label in enumerate(labels) if float(label) == -1]
    return missing


def classes_of(
    labels: Sequence[Any], class_names: Sequence[str] | None, row: Callable[[int], str]
) -> tuple[np.ndarray, list[str]]:
    """Class ids and the name of each; small whole numbers, and those of named classes, are ids already.

    Args:
      labels: none of them missing.
      class_names: what the table calls its ids; None takes the labels as names, in natural order.
      row: what the user calls the row of a label.

    Raises:
      ValueError: labels that are no classes, or that cannot be told apart by how they read.
    """
    if class_names is not None:
        warn_of_look_alikes(class_names)
        return np.array(labels, np.int64), list(class_names)
    if not labels:
        return np.zeros(0, np.int64), []
    ids = as_ids(labels)
    if ids is not None:
        return ids, [str(i) for i in range(int(ids.max()) + 1)]
    ids, classes = encode(labels, row)
    read: dict[str, Any] = {}
    for label in classes.tolist():
        other = read.setdefault(str(label), label)
        if other is not label:
            raise ValueError(
                f"labels must be told apart by how they read; got {other!r} and {label!r}. Turn all of them into text, "
                "or into numbers."
            )
    names = list(read)
    order = sorted(range(len(names)), key=lambda i: natural_sort_key(names[i]))
    return np.argsort(order)[ids].astype(np.int64), [names[i] for i in order]
