"""`load_dataset`: labelled images from TFDS, from a directory of images per class, or from `.npz`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from nrjax.datasets._images import IMAGE_SUFFIXES, decode, fit_images, stack
from nrjax.datasets._select import resolve_classes, select
from nrjax.datasets._tfds import open_tfds


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

    def images(self, indices: np.ndarray) -> Iterator[bytes | Path | np.ndarray]: ...


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
) -> Dataset:
    """Labelled images of one split.

    Args:
      name: a TFDS name (`"fashion_mnist"`, `"cifar10:3.0.2"`); or the path of a directory with one
        folder of images per class (a folder named like the split is entered first); or the path of a
        `.npz` file with arrays `images` and `labels` (and, if there, `class_names`).
      split: a split of the dataset; a `.npz` file has only one, whatever it is called.
      classes: class ids or names to keep, or a string such as `"0-4"` or `"0,3,7-9"`; None keeps all.
      image_size: `(height, width)` to resize to, bilinear; None keeps the size.
      grayscale: True for one channel, False for three, None for what the images have.
      max_samples: keep at most so many, in the proportions of the classes; deterministic for a `seed`.
      seed: chooses the samples when `max_samples` does.
      data_dir: where TFDS keeps its datasets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Returns:
      `Dataset(images, labels, class_names)`, samples in the order of the dataset.

    Raises:
      ValueError: unknown dataset, split or class; a range like `7-3`; images of several shapes.
      FileNotFoundError: the dataset is not prepared; the message has the command that prepares it.
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples must be at least 1; got {max_samples}.")
    source = _open(name, split, data_dir)
    wanted = resolve_classes(classes, source.class_names)
    indices = select(source.labels, wanted, max_samples, seed)
    if not len(indices):
        raise ValueError(f"Dataset {str(name)!r}, split {split!r}: no samples of classes {wanted}.")
    images = stack(
        item if isinstance(item, np.ndarray) else decode(item, image_size, grayscale) for item in source.images(indices)
    )
    if isinstance(source, _Npz):
        height, width = image_size or images.shape[1:3]
        channels = images.shape[-1] if grayscale is None else 1 if grayscale else 3
        images = fit_images(images, (height, width, channels))
    return Dataset(images, source.labels[indices], tuple(source.class_names))


def _open(name: str | Path, split: str, data_dir: str | Path | None) -> _Source:
    path = Path(name)
    if path.suffix == ".npz":
        return _Npz(path)
    if path.is_dir():
        return _Folders(path / split if (path / split).is_dir() else path)
    if len(path.parts) > 2 or path.is_absolute() or str(name).startswith("."):
        raise FileNotFoundError(f"Dataset {str(name)!r}: there is no such directory or .npz file.")
    return open_tfds(str(name), split, data_dir)


class _Npz:
    """Arrays `images` and `labels` of a `.npz` file; pickled objects are refused."""

    def __init__(self, path: Path):
        try:
            with np.load(path, allow_pickle=False) as arrays:
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
        values, self.labels = np.unique(labels, return_inverse=True)
        self.class_names = [str(v) for v in values]
        if np.issubdtype(labels.dtype, np.integer) and labels.size and labels.min() >= 0:
            self.labels = labels.astype(np.int64)
            self.class_names = [str(i) for i in range(int(labels.max()) + 1)]
            if names is not None and len(names) >= len(self.class_names):
                self.class_names = [str(n) for n in names]

    def images(self, indices: np.ndarray) -> Iterator[np.ndarray]:
        yield from self._images[indices]


class _Folders:
    """One folder of images per class, classes in the order of their names."""

    def __init__(self, root: Path):
        folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        files = [(c, f) for c, folder in enumerate(folders) for f in sorted(folder.iterdir())
                 if f.suffix.lower() in IMAGE_SUFFIXES]  # fmt: skip
        if not files:
            raise ValueError(
                f"Dataset {str(root)!r}: expected one folder of images per class; found {len(folders)} folders "
                f"and no image ({', '.join(sorted(IMAGE_SUFFIXES))})."
            )
        self.class_names = [folder.name for folder in folders]
        self.labels = np.array([c for c, _ in files], np.int64)
        self._files = [f for _, f in files]

    def images(self, indices: np.ndarray) -> Iterator[Path]:
        for i in indices:
            yield self._files[i]
