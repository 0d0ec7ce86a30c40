"""TFDS datasets through `tfds.data_source`: random access, no TensorFlow."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import not_installed
from nrjax._utils.messages import first_line
from nrjax._utils.paths import natural_sort_key
from nrjax._utils.process_wide import process_wide

INFO = "dataset_info.json"  # in the folder of every version that is prepared
CHUNK = 4096  # records parsed at once


class Records:
    """A prepared TFDS split: labels of all samples, encoded images of those that are looked up.

    Attributes:
      remark: a sentence about samples whose label is -1, or None.
    """

    def __init__(self, source: Any, label: str, image: str, class_names: list[str]):
        self.class_names = class_names
        self._source, self._image = source, image
        self.labels = np.array([int(record[label]) for record in self._records(range(len(source)))], np.int64)
        hidden = int((self.labels < 0).sum())
        self.remark = (
            f"Left out {hidden:,} of {len(self.labels):,} samples, whose label is -1: none." if hidden else None
        )

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, bytes]]:
        """Name and encoded image of every sample at `indices`, in that order."""
        for index, record in zip(indices, self._records(indices), strict=True):
            yield f"image {index}", record[self._image]

    def _records(self, indices: Iterable[int]) -> Iterator[Any]:
        numbers = [int(i) for i in indices]
        for start in range(0, len(numbers), CHUNK):
            yield from self._source.__getitems__(numbers[start : start + CHUNK])


def data_folder(data_dir: str | Path | None = None) -> Path:
    """The folder in which TFDS keeps its datasets."""
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()


def is_prepared(name: str, data_dir: str | Path | None = None) -> bool:
    """Whether TFDS has prepared a dataset of this name; without importing TFDS."""
    return any((data_folder(data_dir) / name.partition(":")[0]).glob(f"**/{INFO}"))


def prepared_folder(path: Path) -> Path | None:
    """The folder of a prepared version: the path itself, or the last version below it."""
    if (path / INFO).is_file():
        return path
    versions = sorted(
        (info.parent for info in path.glob(f"*/{INFO}")), key=lambda folder: natural_sort_key(folder.name)
    )
    return versions[-1] if versions else None


def open_tfds(name: str | Path, split: str, data_dir: str | Path | None) -> Records:
    """The split of a dataset that TFDS has prepared as array_record, by its name or by its own folder.

    Nothing is downloaded here: TFDS needs TensorFlow to prepare image datasets, and retries a missing network for
    minutes. The error names the command that prepares the dataset.

    Raises:
      ValueError: unknown dataset, configuration, version or split; no image with one label; files that are damaged.
      FileNotFoundError: the dataset is not prepared in `data_dir`.
    """
    with _without_advice:
        return _open(name, split, data_dir)


def _open(name: str | Path, split: str, data_dir: str | Path | None) -> Records:
    try:
        import tensorflow_datasets as tfds
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Dataset {str(name)!r} is neither a directory nor a file, and data sets of TFDS need "
            f"{not_installed(str(error.name), 'tfds')}"
        ) from error

    folder = prepared_folder(name) if isinstance(name, Path) else None
    name = str(name)
    try:
        builder: Any = tfds.builder_from_directory(folder) if folder else tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # no such name, or a description that is damaged
        what = f"in {folder} is damaged" if folder else "is neither a directory, nor a .npz file, nor a dataset of TFDS"
        raise ValueError(f"Dataset {name!r} {what}: {first_line(error)}") from error
    _check_prepared(builder, name)
    unknown = [part for part in split.split("+") if part.partition("[")[0].strip() not in {*builder.info.splits, "all"}]
    if unknown:
        raise ValueError(
            f"Dataset {name!r} has no split {unknown[0]!r}; it has {', '.join(builder.info.splits)}, to be "
            "joined by +, and all."
        )
    features = dict(builder.info.features.items())
    image, label = _find_features(tfds, features, name)
    try:
        source = builder.as_data_source(split=split, decoders={image: tfds.decode.SkipDecoding()})
        return Records(source, label, image, list(features[label].names))
    except Exception as error:  # a slice that is none, a file that is damaged or missing
        raise ValueError(f"Dataset {name!r}, split {split!r}: {first_line(error)}") from error


def _check_prepared(builder: Any, name: str) -> None:
    """Whether a dataset is there in a format that is read without TensorFlow; see `open_tfds` for the errors."""
    directory = Path(builder.data_dir)
    kind = builder.info.file_format.value if builder.info.file_format else "array_record"
    if not builder.is_prepared():
        root = Path(builder._data_dir_root)
        raise FileNotFoundError(
            f"Dataset {name!r} is not prepared in {root}. To download and prepare it: "
            f"pip install tensorflow && tfds build {name} --data_dir={root} --file_format=array_record"
        )
    if kind != "array_record" and not any(directory.glob("*.array_record*")):
        raise ValueError(
            f"Dataset {name!r} is prepared in {directory} as {kind}, which only TensorFlow "
            f"reads. Prepare it again: pip install tensorflow && tfds build {builder.info.name} "
            "--file_format=array_record --data_dir=ANOTHER_FOLDER"
        )


def _find_features(tfds: Any, features: dict[str, Any], name: str) -> tuple[str, str]:
    """Names of the features of images and of labels. Raises ValueError unless there is one of each."""
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image = "image" if "image" in images else images[0] if len(images) == 1 else None
    label = "label" if "label" in labels else labels[0] if len(labels) == 1 else None
    if image is None or label is None:
        raise ValueError(
            f"Dataset {name!r}: expected one image and one class label; it has images {images} and labels {labels}."
        )
    return image, label


@process_wide
def _without_advice() -> Iterator[None]:
    """Without TFDS's advice to install OpenCV: nrjax decodes images with Pillow."""
    log = logging.getLogger("absl")
    log.addFilter(_is_of_interest)
    try:
        yield
    finally:
        log.removeFilter(_is_of_interest)


def _is_of_interest(record: logging.LogRecord) -> bool:
    return "OpenCV" not in record.getMessage()
