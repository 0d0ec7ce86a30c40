"""TFDS datasets through `tfds.data_source`: random access, no TensorFlow."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 4096  # records parsed at once


class Records:
    """A prepared TFDS split: labels of all samples, encoded images of those asked for."""

    def __init__(self, source: Any, label: str, image: str, class_names: list[str]):
        self.class_names = class_names
        self._source, self._image = source, image
        self.labels = np.array([int(r[label]) for r in self._records(range(len(source)))], np.int64)

    def images(self, indices: np.ndarray):
        """The encoded images (bytes) at `indices`, in that order."""
        for record in self._records(indices):
            yield record[self._image]

    def _records(self, indices):
        indices = [int(i) for i in indices]
        for start in range(0, len(indices), CHUNK):
            yield from self._source.__getitems__(indices[start : start + CHUNK])


def open_tfds(name: str, split: str, data_dir: str | Path | None) -> Records:
    """The split of a dataset that TFDS has prepared as array_record.

    Nothing is downloaded here: TFDS needs TensorFlow to prepare image datasets, and retries a
    missing network for minutes. The error names the command that prepares the dataset.

    Raises:
      ValueError: unknown dataset, configuration, version or split; no image with one label.
      FileNotFoundError: the dataset is not prepared in `data_dir`.
    """
    logging.getLogger("absl").addFilter(_is_news)
    import tensorflow_datasets as tfds

    try:
        builder: Any = tfds.builder(name, data_dir=data_dir)
    except (ValueError, AssertionError, ImportError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(
            f"Dataset {name!r} is neither a directory, nor a .npz file, nor a dataset of TFDS: {first_line}"
        ) from error
    directory = Path(builder.data_dir)
    if not builder.is_prepared() or not any(directory.glob("*.array_record*")):
        root = Path(builder._data_dir_root)
        raise FileNotFoundError(
            f"Dataset {name!r} is not prepared in {root}. To download and prepare it: "
            f"pip install tensorflow && tfds build {name} --data_dir={root} --file_format=array_record"
        )
    if split not in builder.info.splits and "[" not in split:
        raise ValueError(f"Dataset {name!r} has no split {split!r}; it has {', '.join(builder.info.splits)}.")
    features = dict(builder.info.features.items())
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image = "image" if "image" in images else images[0] if len(images) == 1 else None
    label = "label" if "label" in labels else labels[0] if len(labels) == 1 else None
    if image is None or label is None:
        raise ValueError(
            f"Dataset {name!r}: expected one image and one class label; it has images {images} and labels {labels}."
        )
    source = builder.as_data_source(split=split, decoders={image: tfds.decode.SkipDecoding()})
    return Records(source, label, image, list(features[label].names))


def _is_news(record: logging.LogRecord) -> bool:
    """Drops TFDS's advice to install OpenCV: images are decoded here, by Pillow."""
    return "OpenCV" not in record.getMessage()
