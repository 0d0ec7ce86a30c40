"""`load_dataset`: labelled images, texts or arrays, from wherever they are."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nrjax._utils.messages import printable
from nrjax._utils.paths import check_regular
from nrjax.datasets._encoded import Images, Source, check_all
from nrjax.datasets._folders import Folders, folder_of_images
from nrjax.datasets._images import fit_images, stack, without_news
from nrjax.datasets._objects import load_from_disk, on_disk, table_of
from nrjax.datasets._select import resolve_classes, select
from nrjax.datasets._tables import MOST_IDS, SUFFIXES, Table, read_table
from nrjax.datasets._tfds import is_prepared, open_tfds, prepared_folder
from nrjax.labels import encode


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
    text: str | None = None,
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
        directory with one folder of images per class, at any depth, in natural order (a folder named like the
        split is entered first); of a `.npz` file with arrays `images` and `labels` (and, if there,
        `class_names`); of a table, `.csv`, `.tsv`, `.parquet` or JSON lines (`.jsonl`); or of a directory that
        Hugging Face's `datasets` saved. Or an object: a pandas frame, a `datasets.Dataset`, a data set of PyTorch.
      split: a split of the dataset, several joined by `+`, or `all`; a `.npz` file or a table has only one, whatever
        it is called.
      classes: class ids or names to keep, or a string such as `"0-4"` or `"0,3,7-9"`; None keeps all.
      text: column of texts of a table; None takes `text`, `sentence` or `content`, if there is one.
      image: column of paths of images, relative to the table; None takes `image`, `path` or `file`. A table with
        neither must hold numbers.
      label: column of labels; None takes `label`, `labels`, `target`, `class` or `category`.
      image_size: `(height, width)` to resize to, bilinear; None keeps the size: models bring images to their own.
      grayscale: True for one channel, False for three, None for what the images have.
      max_samples: keep at most so many, in the proportions of the classes; deterministic for a `seed`.
      seed: chooses the samples when `max_samples` does.
      data_dir: where TFDS keeps its datasets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      skip_broken: leave out images that cannot be read, with a warning that counts and names them.

    Returns:
      `Dataset(samples, labels, class_names)`, samples in the order of the dataset.

    Raises:
      ValueError: unknown dataset, split, class or column; a label that is missing; a range like `7-3`; an image that
        cannot be read (it is named).
      FileNotFoundError: the dataset is not prepared; the message has the command that prepares it.
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples must be at least 1; got {max_samples}.")
    source = _open(name, split, data_dir, text, image, label)
    who = f"Dataset {printable(str(name)[:200])!r}" if isinstance(name, (str, Path)) else "The data set"
    wanted = resolve_classes(classes, source.class_names)
    indices = select(source.labels, wanted, max_samples, seed)
    if not len(indices):
        raise ValueError(f"{who}, split {split!r}: no samples of classes {wanted}.")
    names = tuple(source.class_names)
    if isinstance(source, Table) and source.kind != "image":
        return Dataset(source.samples(indices), source.labels[indices], names)
    if isinstance(source, _Npz):
        return Dataset(source.fitted(indices, image_size, grayscale), source.labels[indices], names)
    with without_news():
        good, held, left_out = check_all(source, indices, image_size, grayscale, skip_broken)
    if left_out:
        listed = " ".join(left_out[:10]) + (" ..." if len(left_out) > 10 else "")
        warnings.warn(f"Left out {len(left_out)} of {len(indices)} images: {listed}", RuntimeWarning, stacklevel=2)
    if not len(good):
        raise ValueError(f"{who}, split {split!r}: none of its images can be read.")
    samples: Any = Images(source, good, image_size, grayscale, held)
    if held is not None and len({one.shape[:2] for one in held}) == 1:
        samples = stack(held)
    return Dataset(samples, source.labels[good], names)


def _open(
    name: Any, split: str, data_dir: str | Path | None, text: str | None, image: str | None, label: str | None
) -> Source | Table:
    if not isinstance(name, (str, Path)):
        table = table_of(name, split, text, image, label)
        if table is None:
            raise TypeError(
                "load_dataset takes a name, a path, a pandas frame, a datasets.Dataset or a data set of PyTorch; got "
                f"{type(name).__name__}. Arrays and labels go to nrjax.rank as they are."
            )
        return table
    path = Path(name)
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return Table(read_table(path), f"Dataset {printable(str(path))!r}", path.parent, text, image, label)
    if path.is_dir() and on_disk(path):
        table = table_of(load_from_disk(path, split), split, text, image, label)
        assert table is not None  # datasets gives nothing else
        return table
    if text is not None or image is not None or label is not None:
        raise ValueError(f"Dataset {str(name)!r} is no table, so it has no columns: leave text, image and label out.")
    return _open_images(name, split, data_dir)


def _open_images(name: str | Path, split: str, data_dir: str | Path | None) -> Source:
    path = Path(name)
    if path.suffix.lower() == ".npz":
        return _Npz(path)
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
    if len(path.parts) > 2 or path.is_absolute() or str(name).startswith("."):
        raise FileNotFoundError(f"Dataset {str(name)!r}: there is no such directory or .npz file.")
    return open_tfds(str(name), split, data_dir)


class _Npz:
    """Arrays `images` and `labels` of a `.npz` file; pickled objects are refused."""

    def __init__(self, path: Path):
        try:
            with np.load(check_regular(path), allow_pickle=False) as arrays:
                self._images, labels = arrays["images"], arrays["labels"]
                names = arrays["class_names"] if "class_names" in arrays else None
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ValueError(
                f"Dataset {str(path)!r}: expected a .npz with arrays images and labels: {error}"
            ) from error
        if self._images.ndim == 3:
            self._images = self._images[..., None]
        if self._images.ndim != 4 or self._images.dtype != np.uint8 or labels.shape != self._images.shape[:1]:
            raise ValueError(
                f"Dataset {str(path)!r}: expected uint8 images (samples, height, width[, channels]) and one label "
                f"each; got {self._images.dtype} {self._images.shape} and labels {labels.shape}."
            )
        try:
            self.labels, values = encode(labels)
        except ValueError as error:
            raise ValueError(f"Dataset {str(path)!r}: {error}") from error
        self.labels = self.labels.astype(np.int64)
        self.class_names = [str(v) for v in values]
        if np.issubdtype(labels.dtype, np.integer) and labels.size and 0 <= labels.min() <= labels.max() < MOST_IDS:
            self.labels = labels.astype(np.int64)
            self.class_names = [str(i) for i in range(int(labels.max()) + 1)]
            if names is not None and len(names) >= len(self.class_names):
                self.class_names = [str(n) for n in names]

    def fitted(self, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
        """Some of the images, of the size and channels asked for."""
        images = self._images[indices]
        height, width = image_size or images.shape[1:3]
        channels = images.shape[-1] if grayscale is None else 1 if grayscale else 3
        return fit_images(images, (height, width, channels))

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Name and content of some of the images."""
        for index in indices:
            yield f"image {index}", self._images[index]
