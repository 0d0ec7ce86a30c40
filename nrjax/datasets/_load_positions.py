"""Opens whatever `load_dataset(..., task="positions")` takes as pictures with masks."""

from pathlib import Path
from typing import Any

from nrjax._utils.frames import columns_of_frame, is_frame
from nrjax._utils.messages import printable
from nrjax.datasets._columns import Columns, Place
from nrjax.datasets._dataset import Dataset
from nrjax.datasets._draw_positions import positions_of
from nrjax.datasets._objects import columns_of_hugging_face, is_saved_dataset, joined_splits, load_saved_dataset
from nrjax.datasets._parquet_folders import open_parquet, parquet_files
from nrjax.datasets._position_sources import MaskedPictures, of_arrays, of_columns, of_folder, of_items
from nrjax.datasets._table_columns import ColumnChoice
from nrjax.datasets._table_files import SUFFIXES, read_table


def load_positions(data: object, split: str, choice: ColumnChoice, **options: Any) -> Dataset:
    """Labelled positions; `options` are those of `positions_of`.

    Raises:
      ValueError: there are no pictures with masks, or no such column.
      TypeError: nothing that has both.
    """
    if any((choice.text, choice.label, choice.groups, choice.tokens)):
        raise ValueError(
            "text, label, groups and tokens have no meaning for positions, whose labels are masks and whose groups are "
            "pictures; name columns by image and mask."
        )
    who = f"Dataset {printable(str(data))!r}" if isinstance(data, (str, Path)) else "The data set"
    return positions_of(_open(data, who, split, choice), who, **options)


def _open(data: object, who: str, split: str, choice: ColumnChoice) -> MaskedPictures:
    if isinstance(data, (tuple, list)):
        return of_arrays(data)
    if isinstance(data, (str, Path)):
        path = Path(data)
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            return of_columns(read_table(path), who, path.parent, choice)
        if not path.is_dir():
            raise FileNotFoundError(f"{who}: there is no such directory or table.")
        if not is_saved_dataset(path):
            is_parquet = parquet_files(path)
            return (
                of_columns(open_parquet(who, path, split), who, path, choice) if is_parquet else of_folder(path, split)
            )
        data = load_saved_dataset(path)
    if is_frame(data):
        names, read, index = columns_of_frame(who, data)
        return of_columns(Columns(names, read, Place("index {}", index)), who, Path(), choice)
    data = joined_splits(data, split)
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return of_columns(columns_of_hugging_face(data), who, Path(), choice)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "dtype"):
        return of_items(data)
    raise TypeError(
        "positions take a pair (images, masks), a directory with folders images and masks, a data set of PyTorch with "
        "pairs of them, or a table, a frame or a datasets.Dataset with columns of both; got "
        f"{type(data).__name__}."
    )
