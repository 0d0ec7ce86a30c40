"""Data sets of PyTorch: `data[i]` is a pair of sample and label, or a waveform, its rate, a label and more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax.datasets._check_images import WAY_OUT
from nrjax.datasets._columns import Columns, Place
from nrjax.datasets._image_arrays import channels_last
from nrjax.datasets._sound_files import SLOWEST
from nrjax.datasets._table_columns import ColumnChoice
from nrjax.datasets._tables import Table
from nrjax.errors import BrokenImage
from nrjax.target_tasks import TaskName

WHO = "The data set"
COMPARED = 32  # items whose labels are compared with `.targets`, before those are believed


def table_of_pairs(data: object, task: TaskName | None, skip_broken: bool) -> Table:
    """A table of a data set of PyTorch.

    Items that cannot be read stay in the table as broken ones, where they may be left out. Labels are those of the
    items. `.targets` are known without reading the items, and are taken instead where they equal the labels of some
    items; every other item is compared when it is read.

    Raises:
      ValueError: items that are no pairs, an item that cannot be read.
    """
    items = _Items(data)
    good = next((i for i in range(len(items)) if not isinstance(items.read(i), BrokenImage)), None)
    if good is None:
        raise ValueError(f"{WHO} has no item that can be read." if len(items) else f"{WHO} has no items.")
    sample = _sample(items.read(good)[0])
    numbers = isinstance(sample, np.ndarray) and (sample.ndim != 3 or sample.dtype != np.uint8)
    labels, rows, left_out = _labels(items, None if numbers else getattr(data, "targets", None), skip_broken)
    names = _names_of_ids(data, labels)
    samples: Any = _Samples(items, labels, rows)
    role = "audio" if isinstance(sample, dict) else "text" if isinstance(sample, str) or numbers else "image"
    values = {"label": labels, role: [""] * len(labels) if numbers else samples}
    columns = Columns(values, values.__getitem__, Place("item {}", rows))
    choice = ColumnChoice(label="label", audio="audio" if role == "audio" else None)
    table = Table(columns, WHO, Path(), choice, task, names)
    if numbers:
        table.use_numbers(np.stack(list(samples)))
    table.left_out = left_out
    return table


def _names_of_ids(data: object, labels: list[Any]) -> list[str] | None:
    """The data set's names of its ids; None where it has none, or where it transforms labels."""
    classes = getattr(data, "classes", None)
    is_transformed = any(getattr(part, "target_transform", None) for part in (data, getattr(data, "transforms", None)))
    integers = all(isinstance(label, int) and not isinstance(label, bool) for label in labels)
    if classes is None or is_transformed or not integers or not labels:
        return None
    if not 0 <= min(labels) <= max(labels) < len(classes):
        return None
    return list(map(str, classes))


class _Items:
    """Items of a data set; the last one is cached, and one that cannot be read is a `BrokenImage`."""

    def __init__(self, data: Any):
        self._data = data
        self._last: tuple[int, Any] = (-1, None)

    def __len__(self) -> int:
        return len(self._data)

    def read(self, index: int) -> Any:
        last = self._last
        if last[0] != index:
            last = self._last = (index, self._item(index))
        return last[1]

    def _item(self, index: int) -> Any:
        try:
            item = self._data[index]
        except Exception as error:  # whatever a user's own code raises
            return BrokenImage(f"{WHO}: item {index} cannot be read: {type(error).__name__}: {str(error)[:200]}.")
        recording = _recording(item)
        if recording is not None:
            return recording
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise ValueError(
                f"Expected a data set whose items are pairs of sample and label; item {index} is {type(item).__name__}"
                f"{f' of {len(item)}' if isinstance(item, (tuple, list)) else ''}."
            )
        if np.ndim(item[0]) == 0 and not isinstance(item[0], (str, bytes)) and not hasattr(item[0], "convert"):
            raise ValueError(
                f"Expected a data set whose items are pairs of sample and label; item {index} begins with "
                f"{item[0]!r} ({type(item[0]).__name__}). Put the sample first."
            )
        return item


def _labels(items: _Items, targets: Any, skip_broken: bool) -> tuple[list[Any], Sequence[int], list[str]]:
    """Labels, the index of the item of each, and what is wrong with the items that are left out."""
    if targets is not None and len(targets) == len(items):
        labels = [_as_scalar(target) for target in targets]
        compared = np.unique(np.linspace(0, len(items) - 1, COMPARED).astype(int)).tolist()
        if all(_has_label(items.read(i), labels[i]) for i in compared):
            return labels, range(len(items)), []
    labels, rows, left_out = [], [], []
    for i in range(len(items)):
        item = items.read(i)
        if not isinstance(item, BrokenImage):
            labels.append(_as_scalar(item[1]))
            rows.append(i)
        elif skip_broken:
            left_out.append(str(item))
        else:
            raise BrokenImage(f"{item} {WAY_OUT}")
    return labels, rows, left_out


class _Samples(Sequence[Any]):
    """Samples by row. Each is read when it is looked up."""

    def __init__(self, items: _Items, labels: list[Any], rows: Sequence[int]):
        self._items, self._labels, self._rows = items, labels, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        item = self._items.read(self._rows[row])
        if isinstance(item, BrokenImage):
            raise item
        if not _has_label(item, self._labels[row]):
            label, target = _as_scalar(item[1]), self._labels[row]
            raise ValueError(
                f"{WHO}: item {self._rows[row]} has label {label!r}, and .targets say {target!r}. "
                "Remove .targets, or mend them."
            )
        return _sample(item[0])


def _recording(item: object) -> tuple[dict[str, Any], Any] | None:
    """Recording and label of `(waveform, rate, label, ...)`, as of torchaudio, or of `((waveform, rate), label)`."""
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        return None
    if len(item) == 2 and isinstance(item[0], (tuple, list)) and len(item[0]) == 2:
        item = [*item[0], item[1]]
    if len(item) < 3 or np.ndim(item[0]) not in (1, 2) or np.ndim(item[1]) or not _is_rate(item[1]):
        return None
    waveform = np.asarray(item[0])
    if waveform.ndim == 2:  # channels first, which a recording has fewer of than samples
        waveform = waveform.mean(axis=int(waveform.shape[0] > waveform.shape[1]), dtype=np.float32)
    return {"array": waveform, "sampling_rate": int(item[1])}, item[2]


def _is_rate(value: object) -> bool:
    number = _as_scalar(value)
    return isinstance(number, (int, float)) and not isinstance(number, bool) and number == int(number) >= SLOWEST


def _sample(value: object) -> Any:
    """A picture, a text or a recording as it is; a tensor as an array, channels last."""
    if isinstance(value, (str, dict)) or hasattr(value, "convert"):
        return value
    array = np.asarray(value)
    return np.ascontiguousarray(channels_last(array[None])[0]) if array.ndim == 3 else array


def _as_scalar(value: object) -> Any:
    """A scalar as a number of Python. Anything larger stays an array, which the check of labels refuses."""
    if not hasattr(value, "item") or isinstance(value, (str, bytes)):
        return value
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array


def _has_label(item: Any, label: Any) -> bool:
    """Whether an item has this label, or cannot be read."""
    if isinstance(item, BrokenImage):
        return True
    own = _as_scalar(item[1])
    return own == label if isinstance(own, str) else bool(np.array_equal(own, label))
