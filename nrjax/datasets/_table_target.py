"""The target of a table: columns of classes, of numbers, or of several labels."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nrjax.datasets._cells import as_floats, is_missing, list_in_text
from nrjax.datasets._class_ids import class_ids, rows_without_label
from nrjax.labels import as_label_array
from nrjax.target_tasks import TASKS, TaskName, are_collections, as_matrix, as_multi_hot, told_task

SEPARATORS = ("|", ";", ",")  # of several labels in one text, the first that occurs


class TableTarget(NamedTuple):
    """The target of every row.

    Attributes:
      task: of the target.
      labels: class ids int64 `[rows]`, -1 where a row has none; or float64 `[rows]` or `[rows, outputs]`, NaN where a
        row has none.
      class_names: of the ids, the outputs or the labels.
      unlabelled: rows without a label.
    """

    task: TaskName
    labels: np.ndarray
    class_names: list[str]
    unlabelled: list[int]


def read_target(
    columns: Sequence[Sequence[object]], names: Sequence[str], class_names: Sequence[str] | None, task: TaskName | None,
    row: Callable[[int], str],
) -> TableTarget:  # fmt: skip
    """Reads the columns of labels.

    Args:
      columns: one of labels; or several, of numbers or of 0 and 1.
      names: of the columns.
      class_names: the table's own names of its ids.
      task: that the user names; None tells by the values.
      row: from an index to what the user calls the row.

    Raises:
      ValueError: labels that fit no task, or that could be of two.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")
    if len(columns) > 1:
        return _read_matrix(columns, names, task, row)
    is_told = task is not None
    cells = [_plain(cell) for cell in columns[0]]
    labelled = np.array([i for i, cell in enumerate(cells) if not is_missing(cell)], int)
    labels = [cells[i] for i in labelled]
    numbers = as_floats(labels) if class_names is None and labels and _is_numeric(labels) else None
    if class_names is not None and labels and all(isinstance(label, (list, tuple)) for label in labels):
        ids = [[*label] for label in labels]  # lists of the ids of a `Sequence(ClassLabel)`
        labels: list[Any] = [_named(each, class_names, row(int(labelled[i]))) for i, each in enumerate(ids)]
        task = task or "multilabel"
    if task is None:
        has_names = class_names is not None or not labels
        task = "classification" if has_names else _task_of(labels if numbers is None else numbers)
    if task == "classification":
        unlabelled = rows_without_label(cells, class_names)
        labelled = np.setdiff1d(np.arange(len(cells)), unlabelled)
        given = [cells[i] for i in labelled]
        ids, classes = class_ids(given, class_names, lambda i: row(int(labelled[i])), is_told=is_told)
        return TableTarget(task, _filled(ids, labelled, len(cells), -1), classes, unlabelled)
    read = as_matrix if task == "regression" else as_multi_hot
    given = (
        numbers if task == "regression" and numbers is not None else _split(labels) if task == "multilabel" else labels
    )
    values, outputs = read(given, lambda i: row(int(labelled[i])))
    outputs = [str(names[0])] if values.shape[1] == 1 else list(map(str, outputs))
    return _target_of_matrix(task, values, outputs, labelled, len(cells))


def _named(ids: Sequence[Any], class_names: Sequence[str], row: str) -> list[str]:
    """The names of ids. Raises ValueError where one has none."""
    wrong = next((i for i in ids if i not in range(len(class_names))), None)
    if wrong is not None:
        raise ValueError(f"{row} has the label {wrong!r}; the column has {len(class_names)} names, from 0 on.")
    return [str(class_names[i]) for i in ids]


def _plain(cell: object) -> Any:
    """A cell as Python has it: NumPy's scalars and lists, and bytes that are text."""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    cell = cell.tolist() if isinstance(cell, np.ndarray) and cell.ndim == 1 else cell
    try:
        return cell.decode() if isinstance(cell, bytes) else cell
    except UnicodeDecodeError:
        return cell


def _task_of(labels: Sequence[object] | np.ndarray) -> TaskName:
    return "multilabel" if are_collections(labels) else told_task(as_label_array(labels))


def _read_matrix(
    columns: Sequence[Sequence[object]], names: Sequence[str], task: TaskName | None, row: Callable[[int], str]
) -> TableTarget:
    numbers = {name: as_floats(column) for name, column in zip(names, columns, strict=True)}
    wrong = [name for name, values in numbers.items() if values is None]
    if wrong:
        raise ValueError(f"several columns of labels must be numbers, or 0 and 1; {', '.join(wrong)} is text.")
    matrix = np.stack([np.asarray(values) for values in numbers.values()], axis=1)
    labelled = np.flatnonzero(~np.isnan(matrix).any(axis=1))
    task = task or told_task(matrix[labelled])
    if task == "classification":
        raise ValueError(f"a class a sample is one column; got {len(columns)} columns, {', '.join(names)}.")
    read = as_matrix if task == "regression" else as_multi_hot
    values, _ = read(matrix[labelled], lambda i: row(int(labelled[i])))
    return _target_of_matrix(task, values, list(names), labelled, len(matrix))


def _target_of_matrix(
    task: TaskName, values: np.ndarray, names: list[str], labelled: np.ndarray, rows: int
) -> TableTarget:
    values = values[:, 0] if task == "regression" and values.shape[1] == 1 else values
    unlabelled = np.setdiff1d(np.arange(rows), labelled).tolist()
    return TableTarget(task, _filled(values, labelled, rows, np.nan), names, unlabelled)


def _filled(values: np.ndarray, rows: np.ndarray, count: int, filler: float) -> np.ndarray:
    labels = np.full((count, *values.shape[1:]), filler, values.dtype)
    labels[rows] = values
    return labels


def _is_numeric(labels: Sequence[Any]) -> bool:
    """Whether all labels are numbers, or the text of numbers of which some have a fraction."""
    if not all(isinstance(label, str) for label in labels):
        return all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels)
    try:
        return not all(float(label).is_integer() for label in labels)
    except (ValueError, OverflowError):
        return False


def _split(labels: Sequence[Any]) -> Sequence[Any]:
    """Lists of labels as they are; texts such as `red|green`, and lists that are written as text, as lists."""
    if not all(isinstance(label, str) for label in labels):
        return labels
    lists = [list_in_text(label) for label in labels]
    if any(lists) and None not in lists:
        return lists
    separator = next((mark for mark in SEPARATORS if any(mark in label for label in labels)), None)
    if separator is None and labels:
        warnings.warn(
            f"labels are texts such as {labels[0][:60]!r}, and each is taken for one label, for none has "
            f"{' or '.join(SEPARATORS)} between several.", RuntimeWarning, stacklevel=4,
        )  # fmt: skip
    if separator is None:
        return [[label] for label in labels]
    return [[part.strip() for part in label.split(separator) if part.strip()] for label in labels]
