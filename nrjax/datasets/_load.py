"""`load_dataset`: labelled images, texts or arrays, from wherever they are."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nrjax._utils.messages import printable
from nrjax.datasets._archives import Archive
from nrjax.datasets._encoded import Images, Source, check_all
from nrjax.datasets._folders import Folders, folder_of_images
from nrjax.datasets._images import image_suffixes, stack, without_news
from nrjax.datasets._objects import load_from_disk, on_disk, table_of
from nrjax.datasets._parquet_folders import open_parquet, parquet_files
from nrjax.datasets._select import resolve_classes, select
from nrjax.datasets._table_files import SUFFIXES, read_table
from nrjax.datasets._tables import Table
from nrjax.datasets._tfds import is_prepared, open_tfds, prepared_folder


class Dataset(NamedTuple):
    """Labelled samples; unpacks as `samples, labels, class_names`.

    Attributes:
      samples: images of one size, uint8 `[samples, height, width, channels]`; `Images` of several sizes, or of more
        than fit the memory, which are decoded when they are asked for; texts, a list of str; or arrays.
      labels: class ids of the whole dataset, int64 `[samples]` (not renumbered when classes are chosen).
      class_names: name of every class id.
    """

    samples: Any
    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def images(self) -> np.ndarray:
        """All images as one array. Raises ValueError where they differ in size, or are none."""
        if self.kind == "text":
            raise ValueError("the data set has texts, no images.")
        return np.asarray(self.samples)

    @property
    def texts(self) -> list[str]:
        """All texts. Raises ValueError where they are none."""
        if self.kind != "text":
            raise ValueError(f"the data set has {self.kind}s, no texts.")
        return self.samples

    @property
    def kind(self) -> str:
        """`image`, `text` or `array`."""
        if isinstance(self.samples, list):
            return "text"
        lazy = isinstance(self.samples, Images)
        return "image" if lazy or (self.samples.ndim == 4 and self.samples.dtype == np.uint8) else "array"


def load_dataset(
    name: Any,
    split: str = "test",
    *,
    classes: str | Iterable[int | str] | None = None,
    text: str | Sequence[str] | None = None,
    image: str | None = None,
    label: str | None = None,
    image_size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    skip_broken: bool = False,
) -> Dataset:
    """Labelled images, texts or arrays of one split.

    Args:
      name: a TFDS name (`"fashion_mnist"`, `"cifar10:3.0.2"`) or the folder that TFDS prepared; the path of a
        directory with one folder of images per class, at any depth, in natural order (folders of splits, such as
        `train`, `training_set` or `seg_train`, are entered first); of a `.npz` file with arrays `images` and `labels`
        (and, if there, `class_names`), or such arrays of splits as MedMNIST and Keras write them; of a table, `.csv`,
        `.tsv`, `.parquet`, `.json` or JSON lines (`.jsonl`); of a directory of Parquet files; or of a directory that
        Hugging Face's `datasets` saved. Or an object: a frame of pandas, polars or pyarrow, a `datasets.Dataset`, a
        data set of PyTorch.
      split: a split of the dataset, several joined by `+`, or `all`; a table has only one, whatever it is called.
      classes: class ids or names to keep, or a string such as `"0-4"`, `"0,3,7-9"` or `"cat,dog"`; None keeps all.
      text: column of texts of a table, or several, which are joined by line breaks; None takes `text`, `sentence` or
        `content`, if there is one.
      image: column of paths of images, relative to the table, or of pictures; None takes `image`, `path` or `file`. A
        table with neither must hold numbers.
      label: column of labels; None takes `label`, `labels`, `target`, `class` or `category`.
      image_size: `(height, width)` to resize to, bilinear; None keeps the size: models bring images to their own.
      grayscale: True for one channel, False for three, None for what the images have.
      max_samples: keep at most so many, in the proportions of the classes; deterministic for a `seed`.
      seed: chooses the samples when `max_samples` does.
      data_dir: where TFDS keeps its datasets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      skip_broken: leave out images that cannot be read, texts that are missing or empty, rows without a number or
        a label, with a warning that counts and names them.

    Returns:
      `Dataset(samples, labels, class_names)`, samples in the order of the dataset.

    Raises:
      ValueError: unknown dataset, split, class or column; a label that is missing; a range like `7-3`; an image that
        cannot be read (it is named).
      FileNotFoundError: the dataset is not prepared; the message has the command that prepares it.
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples must be at least 1; got {max_samples}.")
    name = _at_home(name)
    source = _open(name, split, data_dir, text, image, label, skip_broken)
    who = f"Dataset {printable(str(name)[:200])!r}" if isinstance(name, (str, Path)) else "The data set"
    if isinstance(source, Table):
        source.check_labels(skip_broken=skip_broken)
    wanted = resolve_classes(classes, source.class_names)
    indices = select(source.labels, wanted, max_samples, seed)
    if not len(indices):
        raise ValueError(f"{who}, split {split!r}: no samples of classes {wanted}.")
    names = tuple(source.class_names)
    if isinstance(source, Archive):
        return Dataset(source.fitted(indices, image_size, grayscale), source.labels[indices], names)
    if isinstance(source, Table) and source.kind != "image":
        good, left_out = _usable(source, indices, skip_broken)
        held = depth = None
    else:
        with without_news():
            good, held, left_out, depth = check_all(source, indices, image_size, grayscale, skip_broken)
    _warn_of_left_out(source, left_out, len(indices))
    if not len(good):
        raise ValueError(f"{who}, split {split!r}: none of its samples can be read.")
    if isinstance(source, Table) and source.kind != "image":
        return Dataset(source.samples(good), source.labels[good], names)
    samples: Any = Images(source, good, image_size, grayscale, held if isinstance(held, list) else None, depth)
    if isinstance(held, np.ndarray):
        samples = held
    elif held is not None and len({image.shape[:2] for image in held}) == 1:
        samples = stack(held)
    return Dataset(samples, source.labels[good], names)


def _usable(table: Table, indices: np.ndarray, skip_broken: bool) -> tuple[np.ndarray, list[str]]:
    """The rows with a text or with finite numbers, and what is wrong with the others.

    Raises:
      ValueError: the first of those, unless they are to be left out.
    """
    broken = table.broken(indices)
    if broken and not skip_broken:
        more = f" {len(broken):,} of {len(indices):,} rows are like that." if len(broken) > 1 else ""
        way_out = "skip_broken=True, on the command line --skip-broken, leaves it out."
        raise ValueError(f"{next(iter(broken.values()))}{more} {way_out}")
    return np.array([i for i in indices if int(i) not in broken], np.int64), list(broken.values())


def _warn_of_left_out(source: Source | Table, broken: list[str], count: int) -> None:
    """One warning for all that a data set has and that is not among the samples."""
    earlier = source.left_out if isinstance(source, Table) else []
    broken = [*earlier, *broken]
    remark = getattr(source, "remark", None)
    if broken:
        noun = "rows" if isinstance(source, Table) and source.kind != "image" else "images"
        listed = " ".join(broken[:10]) + (" ..." if len(broken) > 10 else "")
        total = count + len(earlier)
        warnings.warn(f"Left out {len(broken)} of {total} {noun}: {listed}", RuntimeWarning, stacklevel=3)
    if remark:
        warnings.warn(remark, RuntimeWarning, stacklevel=3)


def _at_home(name: Any) -> Any:
    """A path whose `~` is the user's home."""
    if isinstance(name, (str, Path)) and str(name).startswith("~"):
        try:
            return type(name)(str(Path(name).expanduser()))
        except RuntimeError as error:
            raise ValueError(f"Dataset {str(name)!r}: there is no such user.") from error
    return name


def _open(
    name: Any, split: str, data_dir: str | Path | None, text: str | Sequence[str] | None, image: str | None,
    label: str | None, skip_broken: bool,
) -> Source | Table:  # fmt: skip
    if not isinstance(name, (str, Path)):
        table = table_of(name, split, text, image, label, skip_broken)
        if table is None:
            instead = " Give its dataset." if hasattr(name, "dataset") else ""  # a loader of batches
            raise TypeError(
                "load_dataset takes a name, a path, a pandas frame (or one of polars or pyarrow), a datasets.Dataset "
                f"or a data set of PyTorch; got {type(name).__name__}.{instead} Arrays and labels go to nrjax.rank "
                "as they are."
            )
        return table
    path = Path(name)
    who = f"Dataset {printable(str(path))!r}"
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return Table(read_table(path), who, path.parent, text, image, label)
    if path.is_dir() and on_disk(path):
        table = table_of(load_from_disk(path), split, text, image, label, skip_broken)
        assert table is not None  # datasets gives nothing else
        return table
    if path.is_dir() and not prepared_folder(path) and parquet_files(path):
        return Table(open_parquet(who, path, split), who, path, text, image, label)
    if text is not None or image is not None or label is not None:
        raise ValueError(f"Dataset {str(name)!r} is no table, so it has no columns: leave text, image and label out.")
    return _open_images(name, split, data_dir)


def _open_images(name: str | Path, split: str, data_dir: str | Path | None) -> Source:
    path = Path(name)
    if path.suffix.lower() == ".npz":
        return Archive(path, split)
    plain = path.name == str(name) and isinstance(name, str)  # "./mnist" is a folder and nothing else
    if plain and is_prepared(str(name), data_dir):
        if path.is_dir() and folder_of_images(path, split):
            raise ValueError(
                f"Dataset {name!r} is a folder of images here and a prepared dataset of TFDS; for the folder write "
                f"./{name}, for the other its own folder."
            )
        return open_tfds(str(name), split, data_dir)
    if path.is_dir():
        return open_tfds(path, split, data_dir) if prepared_folder(path) else Folders(path, split)
    if path.is_file() and (path.suffix or not plain):
        raise ValueError(
            f"Dataset {str(name)!r} is a file of no format that is read: {', '.join(SUFFIXES)}, .npz, or a folder with "
            f"one folder of images ({', '.join(sorted(image_suffixes())[:6])}, ...) per class."
        )
    if len(path.parts) > 2 or path.is_absolute() or str(name).startswith("."):
        raise FileNotFoundError(f"Dataset {str(name)!r}: there is no such directory or .npz file.")
    return open_tfds(str(name), split, data_dir)
