"""Labelled data that users hold already: frames of pandas, data sets of Hugging Face and of PyTorch."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line
from nrjax.datasets._tables import LABELS, Table

ON_DISK = ("dataset_dict.json", "state.json")  # in a directory that Hugging Face's datasets saved


def table_of(data: Any, split: str, text: str | None, image: str | None, label: str | None) -> Table | None:
    """A table of an object that holds labelled data; None where it is none.

    Raises:
      ValueError: a column that is not there, a split that has to be chosen.
    """
    if isinstance(data, Mapping) and data and all(hasattr(value, "column_names") for value in data.values()):
        if split not in data:
            raise ValueError(f"The data set has no split {split!r}; it has {', '.join(map(str, data))}.")
        data = data[split]
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return _of_hugging_face(data, text, image, label)
    if hasattr(data, "columns") and hasattr(data, "to_dict"):
        frame: Any = data
        named = [str(name) for name in frame.columns]
        if len(set(named)) < len(named):
            twice = sorted({name for name in named if named.count(name) > 1})
            raise ValueError(f"The frame has several columns that read {', '.join(map(repr, twice[:5]))}; rename them.")
        columns = {str(name): frame[name].tolist() for name in frame.columns}
        return Table(columns, "The frame", Path(), text, image, label)
    if (
        hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
        and not isinstance(data, (str, bytes, Sequence, Mapping))
    ):
        return _of_pairs(data) if not hasattr(data, "dtype") else None
    return None


def on_disk(path: Path) -> bool:
    """Whether a directory was saved by Hugging Face's `datasets`."""
    return any((path / name).is_file() for name in ON_DISK)


def load_from_disk(path: Path, split: str) -> Any:
    """What `save_to_disk` of Hugging Face's `datasets` wrote."""
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise ValueError(
            f"Dataset {str(path)!r} needs datasets, which is not installed: pip install 'nrjax[huggingface]'."
        ) from error
    try:
        return datasets.load_from_disk(str(path))
    except Exception as error:
        raise ValueError(f"Dataset {str(path)!r} cannot be read: {first_line(error)}") from error


def _of_hugging_face(data: Any, text: str | None, image: str | None, label: str | None) -> Table:
    data = data.with_format(None) if hasattr(data, "with_format") else data  # no tensors of a framework
    kinds = {name: type(feature).__name__ for name, feature in data.features.items()}
    label = label or next((name for name in LABELS if name in kinds), None) or next(
        (name for name, kind in kinds.items() if kind == "ClassLabel"), None)  # fmt: skip
    if text is None and image is None:
        image = next((name for name, kind in kinds.items() if kind == "Image"), None)
    names = getattr(data.features.get(label), "names", None)
    if image in kinds and kinds[image] == "Image":
        datasets: Any = importlib.import_module("datasets")
        data = data.cast_column(image, datasets.Image(decode=False))
    wanted: list[str] = [str(n) for n in (text, image, label) if n in kinds] if (text or image) else list(kinds)
    columns: dict[str, Any] = {name: _Column(data, name) if name == image else list(data[name]) for name in wanted}
    if (text is not None and text not in kinds) or (image is not None and image not in kinds):
        columns = dict.fromkeys(kinds, ())  # for the sentence that lists them
    return Table(columns, "The data set", Path(), text, image, label, names)


class _Column:
    """A column that is read row by row: encoded images need not be in memory."""

    def __init__(self, data: Any, name: str):
        self._data, self._name = data.select_columns([name]), name

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        return self._data[index][self._name]


def _of_pairs(data: Any) -> Table:
    """A data set of PyTorch: `data[i]` is a pair of sample and label; `data.targets`, if there, are all labels."""
    first = data[0]
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        raise ValueError(f"Expected a data set whose items are pairs of sample and label; got {type(first).__name__}.")
    changed = any(
        getattr(one, "target_transform", None) is not None for one in (data, getattr(data, "transforms", None))
    )  # by torchvision, when an item is taken
    targets = None if changed else getattr(data, "targets", None)
    labels = [_plain(one) for one in targets] if targets is not None and len(targets) == len(data) else [
        _plain(data[i][1]) for i in range(len(data))]  # fmt: skip
    sample = _sample(first[0])
    name = "text" if isinstance(sample, str) else "image"
    if isinstance(sample, np.ndarray) and (sample.ndim != 3 or sample.dtype != np.uint8):
        values = np.stack([_sample(data[i][0]) for i in range(len(data))])
        table = Table({"label": labels, "text": [""] * len(labels)}, "The data set", Path(), None, None, "label")
        table.kind, table._values = "array", values
        return table
    classes = None if changed else getattr(data, "classes", None)
    integers = all(isinstance(one, int) for one in labels)
    names = list(map(str, classes)) if classes is not None and integers and len(classes) > max(labels) else None
    columns: dict[str, Any] = {"label": labels, name: _Pairs(data)}
    return Table(columns, "The data set", Path(), None, None, "label", names)


class _Pairs:
    def __init__(self, data: Any):
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        return _sample(self._data[index][0])


def _sample(value: Any) -> Any:
    """A picture or a text as it is; a tensor as an array, channels last."""
    if isinstance(value, str) or hasattr(value, "convert"):
        return value
    array = np.asarray(value)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = np.ascontiguousarray(array.transpose(1, 2, 0))
    return array


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
