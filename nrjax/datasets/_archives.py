"""Archives of NumPy with images and labels: our own, MedMNIST's and Keras'. Pickled objects are refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nrjax._utils.messages import printable
from nrjax._utils.paths import check_regular
from nrjax.datasets._class_ids import class_ids_of_array
from nrjax.datasets._image_arrays import channels_last, fit_images
from nrjax.datasets._splits import choose_splits

_NAMES = (r"(?P<split>.+)_images", "{split}_labels"), (r"x_(?P<split>.+)", "y_{split}")  # MedMNIST, Keras


class Archive:
    """Arrays `images` (or `x`) and `labels` (or `y`) of a `.npz` file, or those of the requested splits."""

    def __init__(self, path: Path, split: str):
        who = f"Dataset {printable(str(path))!r}"
        try:
            with np.load(check_regular(path), allow_pickle=False) as arrays:
                pairs = _find_pairs(who, arrays.files, split)
                images = [channels_last(_with_channels(arrays[name])) for name, _ in pairs]
                labels = [_as_vector(arrays[name]) for _, name in pairs]
                class_names = arrays["class_names"] if "class_names" in arrays.files else None
        except (OSError, ValueError, KeyError, EOFError) as error:
            if who in str(error):
                raise
            raise ValueError(f"{who}: expected a .npz with arrays images and labels: {error}") from error
        for pixels, ids in zip(images, labels, strict=True):
            if pixels.ndim != 4 or pixels.dtype != np.uint8 or ids.shape[:1] != pixels.shape[:1]:
                raise ValueError(
                    f"{who}: expected uint8 images (samples, height, width[, channels]) and one label "
                    f"each; got {pixels.dtype} {pixels.shape} and labels {ids.shape}."
                )
        self._images = images[0] if len(images) == 1 else np.concatenate(images)
        joined = labels[0] if len(labels) == 1 else np.concatenate(labels)
        try:
            self.labels, self.class_names = class_ids_of_array(joined, class_names)
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from error

    def fitted(self, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
        """The images at `indices`, of the requested size and number of channels."""
        images = self._images if len(indices) == len(self._images) else self._images[indices]
        height, width = image_size or images.shape[1:3]
        channels = images.shape[-1] if grayscale is None else 1 if grayscale else 3
        return fit_images(images, (height, width, channels))

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Name and content of the images at `indices`."""
        for index in indices:
            yield f"image {index}", self._images[index]


def _find_pairs(who: str, names: list[str], split: str) -> list[tuple[str, str]]:
    """Names of arrays of images and of their labels, one pair a split."""
    whole = [next((name for name in pair if name in names), None) for pair in (("images", "x"), ("labels", "y"))]
    if whole[0] and whole[1]:
        return [(whole[0], whole[1])]
    for pattern, label in _NAMES:
        matches = [match for name in names if (match := re.fullmatch(pattern, name))]
        pairs = {match["split"]: (match[0], label.format(split=match["split"])) for match in matches}
        pairs = {name: pair for name, pair in pairs.items() if pair[1] in names}
        if pairs:
            return [pairs[name] for name in choose_splits(who, split, pairs)]
    listed = ", ".join(printable(name) for name in names[:10])
    raise ValueError(f"{who}: expected a .npz with arrays images and labels, or such of splits; it has {listed}.")


def _with_channels(images: np.ndarray) -> np.ndarray:
    return images[..., None] if images.ndim == 3 else images


def _as_vector(labels: np.ndarray) -> np.ndarray:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
