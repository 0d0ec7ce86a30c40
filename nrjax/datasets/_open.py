"""Finds out what a name, a path or an object is, and opens it as a source of labelled samples."""

from pathlib import Path
from typing import Any

from nrjax._utils.messages import printable
from nrjax.datasets._archives import Archive
from nrjax.datasets._columns import Columns
from nrjax.datasets._conll import conll_files, is_conll, open_conll
from nrjax.datasets._decode import image_suffixes
from nrjax.datasets._folders import Folders, is_folder_of_samples
from nrjax.datasets._lazy_images import ImageSource
from nrjax.datasets._objects import is_saved_dataset, load_saved_dataset, table_of
from nrjax.datasets._parquet_folders import open_parquet, parquet_files
from nrjax.datasets._position_sources import mask_folders
from nrjax.datasets._sound_files import SOUND_SUFFIXES
from nrjax.datasets._table_columns import ColumnChoice
from nrjax.datasets._table_files import SUFFIXES, read_table
from nrjax.datasets._tables import Table
from nrjax.datasets._tfds import is_prepared, open_tfds, prepared_folder
from nrjax.datasets._word_tables import WordTable, labelled_table
from nrjax.target_tasks import TaskName


def expand_home(name: object) -> Any:
    """A path whose `~` is the user's home; anything else as it is."""
    if isinstance(name, (str, Path)) and str(name).startswith("~"):
        try:
            return type(name)(str(Path(name).expanduser()))
        except RuntimeError as error:
            raise ValueError(f"Dataset {str(name)!r}: there is no such user.") from error
    return name


def open_source(
    name: object, split: str, data_dir: str | Path | None, choice: ColumnChoice, task: TaskName | None,
    skip_broken: bool,
) -> ImageSource | Table | WordTable:  # fmt: skip
    """The source that a name, a path or an object stands for; see `load_dataset` for arguments and errors."""
    if isinstance(name, Columns):
        return labelled_table(name, "The data set", Path(), choice, task)
    if not isinstance(name, (str, Path)):
        table = table_of(name, split, choice, task, skip_broken)
        if table is None:
            advice = " Give its dataset." if hasattr(name, "dataset") else ""  # a loader of batches
            raise TypeError(
                "load_dataset takes a name, a path, a pandas frame (or one of polars or pyarrow), a datasets.Dataset "
                f"or a data set of PyTorch; got {type(name).__name__}.{advice} Arrays and labels go to nrjax.rank "
                "as they are."
            )
        return table
    path = Path(name)
    who = f"Dataset {printable(str(path))!r}"
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return labelled_table(read_table(path), who, path.parent.absolute(), choice, task)
    if path.is_dir() and is_saved_dataset(path):
        table = table_of(load_saved_dataset(path), split, choice, task, skip_broken)
        assert table is not None  # datasets gives nothing else
        return table
    if path.is_dir() and not prepared_folder(path) and parquet_files(path):
        return labelled_table(open_parquet(who, path, split), who, path.absolute(), choice, task)
    if is_conll(path) or (path.is_dir() and not prepared_folder(path) and conll_files(path)):
        return labelled_table(open_conll(who, path, split), who, path, choice, task)
    if task is None and path.is_dir() and mask_folders(path):
        raise ValueError(
            f"{who} has folders {' and '.join(folder.name for folder in mask_folders(path) or ())}, which could be "
            'pictures with masks or two classes: pass task="positions" for masks, task="classification" for classes.'
        )
    if not choice.is_empty:
        raise ValueError(
            f"Dataset {str(name)!r} is no table, so it has no columns: leave text, image, audio, label and groups out."
        )
    if task not in (None, "classification"):
        raise ValueError(f"Dataset {str(name)!r} has classes; task={task!r} needs a table or labels of your own.")
    return _open_folder(name, split, data_dir)


def _open_folder(name: str | Path, split: str, data_dir: str | Path | None) -> ImageSource:
    path = Path(name)
    if path.suffix.lower() == ".npz":
        return Archive(path, split)
    is_plain_name = path.name == str(name) and isinstance(name, str)  # "./mnist" is a folder and nothing else
    if is_plain_name and is_prepared(str(name), data_dir):
        if path.is_dir() and is_folder_of_samples(path, split):
            raise ValueError(
                f"Dataset {name!r} is a folder of samples here and a prepared dataset of TFDS; for the folder write "
                f"./{name}, for the other its own folder."
            )
        return open_tfds(str(name), split, data_dir)
    if path.is_dir():
        return open_tfds(path, split, data_dir) if prepared_folder(path) else Folders(path, split)
    if path.is_file() and (path.suffix or not is_plain_name):
        raise ValueError(
            f"Dataset {str(name)!r} is a file of no format that is read: {', '.join(SUFFIXES)}, .npz, or a folder with "
            f"one folder of images ({', '.join(sorted(image_suffixes())[:6])}, ...) or of recordings "
            f"({', '.join(sorted(SOUND_SUFFIXES))}) per class."
        )
    if len(path.parts) > 2 or path.is_absolute() or str(name).startswith("."):
        raise FileNotFoundError(f"Dataset {str(name)!r}: there is no such directory or .npz file.")
    return open_tfds(str(name), split, data_dir)
