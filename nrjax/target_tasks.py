"""What labels are of: classes, numbers or several labels a sample; told by their values where they leave no choice."""

import numbers
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from nrjax._utils.spelling import (
    FEW_OF_ONE,
    MOST_FRACTIONS,
    plain_spelling,
    warn_of_look_alikes,
    warn_of_no_class,
)
from nrjax.labels import as_label_array, is_missing

TaskName = Literal["classification", "regression", "multilabel", "clusters", "positions"]
TASKS = ("classification", "regression", "multilabel")


def told_task(array: np.ndarray) -> TaskName:
    """`task_of`, with a warning where classes might have been meant."""
    task = task_of(array)
    if task == "regression":
        warnings.warn(
            'labels are numbers with fractions, so the task is regression. task="regression" silences this warning; '
            'task="classification" makes every number a class.', RuntimeWarning, stacklevel=4,
        )  # fmt: skip
    return task


def task_of(array: np.ndarray) -> TaskName:
    """The task that the values of labels leave no doubt about, where they are not `collections`.

    Raises:
      ValueError: they could be two things; the sentence has both ways out.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        return _task_of_columns(array)
    return _task_of_column(array) if array.ndim == 1 else "classification"


def _task_of_column(array: np.ndarray) -> TaskName:
    values = _as_numbers(array)
    if values is None or not np.isfinite(values).any():
        return "classification"  # whose door knows what is wrong
    values = values[np.isfinite(values)]
    each, samples = np.unique(values), len(values)
    different, many = len(each), len(each) > MOST_FRACTIONS
    whole = bool((each == np.rint(each)).all())
    if not whole and many:
        return "regression"
    are_ids = each[0] in (0, 1) and each[-1] - each[0] == different - 1  # 0, 1, 2, ... without a gap
    if (whole and many and not are_ids and FEW_OF_ONE * different > samples) or (
        not whole and 2 * different > max(samples, 4)
    ):
        kind = "whole numbers" if whole else "numbers with fractions"
        raise ValueError(
            f"labels could be numbers or classes: {different:,} different {kind} in {samples:,} samples. Pass "
            'task="regression" for numbers, task="classification" for classes.'
        )
    return "classification"


def _task_of_columns(array: np.ndarray) -> TaskName:
    array = np.array(array.tolist()) if array.dtype.kind == "O" else array
    if array.dtype.kind in "US":
        raise ValueError(
            f"labels of shape {array.shape} could be several labels a sample or a table: pass "
            'task="multilabel" for several labels, or one column, a class per sample.'
        )
    if array.dtype.kind not in "biuf":
        return "classification"  # whose door refuses them
    binary = ((array == 0) | (array == 1)).all(axis=0)
    if binary.all():
        if (array.sum(axis=1) == 1).all():
            raise ValueError(
                "labels have rows of which one entry is 1, so they could be one class or several labels a sample: pass "
                'labels.argmax(axis=1) for classes, task="multilabel" for labels.'
            )
        return "multilabel"
    if binary.any():
        raise ValueError(
            f"labels could be numbers or labels: column {int(np.argmax(binary))} has 0 and 1 alone beside columns of "
            'other numbers. Pass task="regression" to take all of them for numbers, or one column at a time, '
            "labels[:, 0]."
        )
    values = array.astype(np.float64)
    if (values >= 0).all() and np.isclose(values.sum(axis=1), 1, atol=1e-3).all():
        raise ValueError(
            "labels have rows that sum to 1, so they could be probabilities of classes or numbers: pass "
            'labels.argmax(axis=1) for classes, task="regression" for numbers.'
        )
    finite = np.where(np.isfinite(values), values, 0.5)
    if (finite == np.rint(finite)).all():
        raise ValueError(
            f"labels of {array.shape[1]} columns of whole numbers could be numbers or classes: pass "
            'task="regression" for numbers, or one column at a time, labels[:, 0], for classes.'
        )
    return "regression"


def _as_numbers(array: np.ndarray) -> np.ndarray | None:
    """As float64, or None where some are no numbers; what is missing is NaN."""
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    if array.dtype.kind != "O" or array.ndim != 1:
        return None
    values = [np.nan if is_missing(value) else value for value in array.tolist()]
    are_numbers = all(isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_) for value in values)
    return np.array(values, np.float64) if are_numbers else None


def are_collections(labels: object) -> bool:
    """Whether labels are sets, or lists or tuples of several lengths: some labels of every sample."""
    if isinstance(labels, (str, bytes, Mapping, set, frozenset)) or not isinstance(labels, Iterable):
        return False
    if getattr(labels, "ndim", 1) != 1 or getattr(getattr(labels, "dtype", None), "kind", "O") != "O":
        return False
    labels = _listed(labels)
    if not any(issubclass(kind, (list, tuple, set, frozenset)) for kind in set(map(type, labels))):
        return False
    given = [label for label in labels if not is_missing(label)]
    if any(isinstance(label, (set, frozenset)) for label in given):
        return True
    rows = [label for label in given if isinstance(label, (list, tuple))]
    return len(rows) == len(given) > 0 and len(set(map(len, rows))) > 1


def _listed(labels: Iterable[object]) -> list[Any]:
    """Labels as a list, in which arrays of one axis, as frames keep lists, are lists."""
    values = np.asarray(labels) if hasattr(labels, "__array__") else labels
    return [value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value for value in values]


def as_matrix(labels: object, place: Callable[[int], str]) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Numbers as float64 `[samples, outputs]`, and what the outputs are called.

    Raises:
      ValueError: what is no number or not finite, by sample; an output that does not vary.
    """
    array = as_label_array(labels)
    names = _names(labels, array)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"labels must be [samples] or [samples, outputs] numbers; got shape {array.shape}.")
    values = np.empty(array.shape)
    for i, row in enumerate(array.tolist()) if array.dtype.kind not in "biuf" else ():
        for j, value in enumerate(row):
            try:
                if isinstance(value, str) and "_" in value:  # 12_34, which Python reads as a number
                    raise ValueError
                values[i, j] = np.nan if is_missing(value) else float(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"labels must be numbers for regression; {place(i)} has {str(value)[:60]!r}. Remove it, or rank by "
                    'classes, task="classification".'
                ) from None
    values = array.astype(np.float64) if array.dtype.kind in "biuf" else values
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        value = values[wrong[0]][~np.isfinite(values[wrong[0]])][0]
        raise ValueError(
            f"labels must be finite numbers; {place(int(wrong[0]))} has {value} ({len(wrong)} in all). Remove those "
            "samples, from the features too."
        )
    if len(values) < 3:
        raise ValueError(f"labels must be of at least 3 samples for regression; got {len(values)}.")
    constant = np.flatnonzero((values == values[0]).all(axis=0))
    if len(constant):
        output = [*names][constant[0]]
        which = f"output {output!r} is" if len(names) > 1 else "they are"
        raise ValueError(f"labels must vary; {which} {values[0, constant[0]]:g} for every sample. Leave it out.")
    return values, names


def as_multi_hot(labels: Any, place: Callable[[int], str]) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Several labels a sample as 0 and 1, float64 `[samples, labels]`, and the labels.

    Raises:
      ValueError: a sample without an entry, a matrix of other numbers than 0 and 1.
    """
    given = None if isinstance(labels, np.ndarray) and labels.ndim != 1 else _listed(labels)
    if given is not None and any(isinstance(row, (list, tuple, set, frozenset)) or is_missing(row) for row in given):
        for i, row in enumerate(given):
            if not isinstance(row, (list, tuple, set, frozenset)):
                raise ValueError(
                    f"labels must be a list or a set of labels for every sample; {place(i)} has {str(row)[:60]}. Give "
                    "samples without a label an empty list."
                )
            if any(map(is_missing, row)):
                raise ValueError(
                    f"labels must not be missing; {place(i)} has {str(list(row))[:60]}. Give samples without a label "
                    "an empty list."
                )
        entries = [entry for row in given for entry in row]
        if not (entries and all(isinstance(entry, (int, float, np.number)) and entry in (0, 1) for entry in entries)
                and len({len(row) for row in given}) == 1):  # fmt: skip
            # What a text without labels gives, split at its commas, is one empty text.
            return _multi_hot([[entry for entry in map(_spelled, row) if entry != ""] for row in given])
    array = as_label_array(labels)
    array = np.array(array.tolist()) if array.dtype.kind == "O" else array
    names = _names(labels, array)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not ((array == 0) | (array == 1)).all():
        raise ValueError(
            "labels must be lists of labels or a matrix [samples, labels] of 0 and 1 for task='multilabel'; got shape "
            f"{array.shape} of {array.dtype}."
        )
    return array.astype(np.float64), names


def _multi_hot(rows: list[list[Any]]) -> tuple[np.ndarray, tuple[Any, ...]]:
    different = dict.fromkeys(entry for row in rows for entry in row)
    names = tuple(sorted(different) if len({isinstance(entry, str) for entry in different}) == 1 else different)
    texts = list(dict.fromkeys(map(str, names)))
    if len(texts) < len(names):
        raise ValueError(f"different labels must differ as text; got {str(names)[:60]}. Turn all of them into text.")
    warn_of_look_alikes(texts)
    warn_of_no_class(texts)
    columns = {name: j for j, name in enumerate(names)}
    values = np.zeros((len(rows), len(names)))
    for i, row in enumerate(rows):
        values[i, [columns[entry] for entry in row]] = 1
    return values, names


def _spelled(label: object) -> Any:
    return plain_spelling(label) if isinstance(label, str) else label


def _names(labels: object, array: np.ndarray) -> tuple[Any, ...]:
    """The columns' names where labels have any, else their numbers."""
    columns = array.shape[1] if array.ndim == 2 else 1
    named = getattr(labels, "columns", None)
    names = tuple(map(str, named)) if named is not None else ()
    return names if len(names) == columns else tuple(range(columns))
