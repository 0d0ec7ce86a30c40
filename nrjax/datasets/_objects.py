"""Labelled data that users hold already: frames, data sets of Hugging Face and of PyTorch."""

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._utils.frames import as_table, columns_of_frame, is_frame
from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line
from nrjax.datasets._columns import Columns, Place
from nrjax.datasets._pairs import table_of_pairs
from nrjax.datasets._splits import choose_splits
from nrjax.datasets._table_columns import LABELS, TEXTS, ColumnChoice, choose_word_columns
from nrjax.datasets._tables import Table
from nrjax.datasets._word_tables import WordTable, labelled_table
from nrjax.target_tasks import TaskName

SAVED_FILES = ("dataset_dict.json", "state.json")  # in a directory that Hugging Face's datasets saved
STREAMS = ("IterableDataset", "IterableColumn", "IterDataPipe", "ChainDataset")  # classes of data without a length


def holds_labels(data: object) -> bool:
    """Whether data are more than samples: arrays, lists and columns of samples have no labels of their own."""
    if is_frame(as_table(data)) or isinstance(data, str):
        return True
    return not isinstance(data, Sequence) and not hasattr(data, "__array__") and not hasattr(data, "dtype")


def table_of(
    data: object, split: str, choice: ColumnChoice, task: TaskName | None, skip_broken: bool
) -> Table | WordTable | None:  # fmt: skip
    """A table of an object that holds labelled data; None where it holds none.

    Raises:
      ValueError: a column that is not there, a split that has to be chosen, a stream.
    """
    data = as_table(joined_splits(data, split))
    if _is_stream(data):
        raise ValueError(
            f"The data set is a stream ({type(data).__name__}), which has no length. Take a part of it, such as "
            "datasets.Dataset.from_list(list(stream.take(10_000))), or its samples and labels as two lists."
        )
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return _table_of_hugging_face(data, choice, task)
    if hasattr(data, "collect") and hasattr(data, "lazy"):
        raise ValueError("The frame is lazy; collect it: frame.collect().")
    if is_frame(data):
        names, read, index = columns_of_frame("The frame", data)
        columns = Columns(names, read, Place("index {}", index))
        return labelled_table(columns, "The frame", Path(), choice, task)
    is_indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if is_indexed and not isinstance(data, (str, bytes, Sequence, Mapping)) and not hasattr(data, "dtype"):
        return table_of_pairs(data, task, skip_broken)
    return None


def joined_splits(data: object, split: str) -> Any:
    """The requested splits of a `DatasetDict` of Hugging Face as one data set; anything else as it is."""
    if not (isinstance(data, Mapping) and data and all(hasattr(value, "column_names") for value in data.values())):
        return data
    parts = [data[name] for name in choose_splits("The data set", split, list(data))]
    concatenate: Any = importlib.import_module("datasets").concatenate_datasets
    return parts[0] if len(parts) == 1 else concatenate(parts)


def is_saved_dataset(path: Path) -> bool:
    """Whether a directory was saved by Hugging Face's `datasets`."""
    return any((path / name).is_file() for name in SAVED_FILES)


def load_saved_dataset(path: Path) -> Any:
    """The data set that `save_to_disk` of Hugging Face's `datasets` wrote into a directory."""
    datasets: Any = framework("datasets", f"Dataset {str(path)!r}")
    try:
        return datasets.load_from_disk(str(path))
    except Exception as error:
        raise ValueError(f"Dataset {str(path)!r} cannot be read: {first_line(error)}") from error


def _is_stream(data: object) -> bool:
    """Whether items come one after the other: a data set without a length."""
    return not isinstance(data, Mapping) and any(base.__name__ in STREAMS for base in type(data).__mro__)


def _table_of_hugging_face(data: Any, choice: ColumnChoice, task: TaskName | None) -> Table | WordTable:
    kinds = {name: type(feature).__name__ for name, feature in data.features.items()}
    if choice.label is None and not any(name in kinds for name in LABELS):
        label = next((name for name, kind in kinds.items() if kind == "ClassLabel"), None)
        choice = dataclasses.replace(choice, label=label)
    if choice.text is None and choice.image is None and choice.audio is None:
        image = next((name for name, kind in kinds.items() if kind == "Image"), None)
        choice = dataclasses.replace(choice, image=image)
        if image is None and not any(name in kinds for name in TEXTS):
            audio = next((name for name, kind in kinds.items() if kind == "Audio"), None)
            choice = dataclasses.replace(choice, audio=audio)
    label = choice.label or next((name for name in LABELS if name in kinds), None)
    columns = columns_of_hugging_face(data)
    words = choose_word_columns("The data set", columns, choice)
    label = words[1] if words else label
    class_names = _class_names(data.features.get(label)) if isinstance(label, str) else None
    if words:
        return WordTable(columns, "The data set", words, choice, task, class_names)
    return Table(columns, "The data set", Path(), choice, task, class_names)


def columns_of_hugging_face(data: Any) -> Columns:
    """The columns of a data set of Hugging Face; those of pictures and recordings are read row by row."""
    kinds = {name: type(feature).__name__ for name, feature in data.features.items()}
    rows = data.with_format("arrow")  # as they are stored: nothing is decoded, and no tensors are made

    def read(name: str) -> Sequence[Any]:
        column = rows.select_columns([name])
        return _LazyColumn(column, name) if kinds[name] in ("Image", "Audio") else column[:].column(name).to_pylist()

    return Columns(kinds, read, Place("index {}"))


def _class_names(feature: object) -> list[str] | None:
    """Names of the ids of a column of classes, or of lists of classes."""
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", feature)
    return getattr(inner, "names", None)


class _LazyColumn(Sequence[Any]):
    """A column that is read row by row, so that encoded images and recordings need not be in memory."""

    def __init__(self, rows: Any, name: str):
        self._rows, self._name = rows, name

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[int(index) : int(index) + 1].column(self._name)[0].as_py()
