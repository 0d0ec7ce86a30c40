"""`load_dataset`: labelled images from TFDS, from a directory of images per class, or from `.npz`."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from nrjax.datasets._folders import Folders, folder_of_images
from nrjax.datasets._images import BrokenImage, decode, fit_images, stack
from nrjax.datasets._select import resolve_classes, select
from nrjax.datasets._tfds import is_prepared, open_tfds, prepared_folder
from nrjax.files import check_regular
from nrjax.labels import encode

MOST_IDS = 1 << 16  # integer labels below are ids of classes, of which some may be missing


class Dataset(NamedTuple):
    """Labelled images; unpacks as `images, labels, class_names`.

    Attributes:
      images: uint8 `[samples, height, width, channels]`.
      labels: class ids of the whole dataset, int64 `[samples]` (not renumbered when classes are chosen).
      class_names: name of every class id.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


class _Source(Protocol):
    class_names: list[str]
    labels: np.ndarray

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, bytes | Path | np.ndarray]]:
        """Name and content of each."""
        ...


def load_dataset(
    name: str | Path,
    split: str = "test",
    *,
    classes: str | Iterable[int | str] | None = None,
    image_size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    skip_broken: bool = False,
) -> Dataset:
    """Labelled images of one split.

    Args:
      name: a TFDS name (`"fashion_mnist"`, `"cifar10:3.0.2"`) or the folder that TFDS prepared; or the path of a
        directory with one folder of images per class, at any depth, in natural order (a folder named like the
        split is entered first); or the path of a `.npz` file with arrays `images` and `labels` (and, if there,
        `class_names`).
      split: a split of the dataset, several joined by `+`, or `all`; a `.npz` file has only one, whatever it is
        called.
      classes: class ids or names to keep, or a string such as `"0-4"` or `"0,3,7-9"`; None keeps all.
      image_size: `(height, width)` to resize to, bilinear; None keeps the size.
      grayscale: True for one channel, False for three, None for what the images have.
      max_samples: keep at most so many, in the proportions of the classes; deterministic for a `seed`.
      seed: chooses the samples when `max_samples` does.
      data_dir: where TFDS keeps its datasets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      skip_broken: leave out images that cannot be read, with a warning that counts and names them.

    Returns:
      `Dataset(images, labels, class_names)`, samples in the order of the dataset.

    Raises:
      ValueError: unknown dataset, split or class; a range like `7-3`; an image that cannot be read (it is named);
        images of several sizes.
      FileNotFoundError: the dataset is not prepared; the message has the command that prepares it.
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples must be at least 1; got {max_samples}.")
    source = _open(name, split, data_dir)
    wanted = resolve_classes(classes, source.class_names)
    indices = select(source.labels, wanted, max_samples, seed)
    if not len(indices):
        raise ValueError(f"Dataset {str(name)!r}, split {split!r}: no samples of classes {wanted}.")
    images, left_out = [], []
    for index, (who, item) in zip(indices, source.images(indices), strict=True):
        try:
            images.append(item if isinstance(item, np.ndarray) else decode(item, image_size, grayscale, who))
        except BrokenImage as error:
            if not skip_broken:
                way_out = "skip_broken=True, on the command line --skip-broken, leaves it out."
                raise BrokenImage(f"{error} {way_out}") from error
            left_out.append((index, str(error)))
    if left_out:
        listed = " ".join(reason for _, reason in left_out[:10]) + (" ..." if len(left_out) > 10 else "")
        warnings.warn(f"Left out {len(left_out)} of {len(indices)} images: {listed}", RuntimeWarning, stacklevel=2)
        indices = np.setdiff1d(indices, [index for index, _ in left_out])
    if not images:
        raise ValueError(f"Dataset {str(name)!r}, split {split!r}: none of its images can be read.")
    images = stack(images)
    if isinstance(source, _Npz):
        height, width = image_size or images.shape[1:3]
        channels = images.shape[-1] if grayscale is None else 1 if grayscale else 3
        images = fit_images(images, (height, width, channels))
    return Dataset(images, source.labels[indices], tuple(source.class_names))


def _open(name: str | Path, split: str, data_dir: str | Path | None) -> _Source:
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

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        for index in indices:
            yield f"image {index}", self._images[index]
