"""Inputs of networks that take normalised images, from the host or from bytes on their device."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from nrjax.models._model import Inputs
from nrjax.models._position_batches import with_positions
from nrjax.models._preprocessing import Preprocessing


def image_inputs(
    shape: tuple[int, ...] | None, preprocessing: Preprocessing, *, channels_first: bool,
    as_bytes: Callable[[], bool] = lambda: False, of_bytes: bool = False,
) -> Inputs:  # fmt: skip
    """Inputs of a network that takes images.

    Args:
      shape: of one image `(height, width, channels)` as the network takes it; None where it takes several.
      preprocessing: of the images.
      channels_first: whether batches are `[samples, channels, height, width]`.
      as_bytes: whether the network normalises uint8 itself, on its device; else the host normalises.
      of_bytes: whether the preprocessing is of uint8 alone, and other numbers enter as they are.
    """

    def prepare(images: Any, preprocessing: Preprocessing = preprocessing) -> np.ndarray:
        if channels_first and _are_channels_first(images):
            images = images.transpose(0, 2, 3, 1)
        sized = preprocessing.sized(images, shape)
        is_volume = sized.ndim == 4 and sized.dtype != np.uint8 and sized.shape[3] not in (1, 3)
        is_ready = of_bytes and sized.dtype != np.uint8
        if sized.ndim != 4 or is_ready or (channels_first and shape is None and is_volume):  # enters as it is
            return sized if sized.dtype.kind in "iu" and sized.dtype != np.uint8 else sized.astype(np.float32)
        if sized.dtype == np.uint8 and as_bytes():
            return sized
        return preprocessing.normalised(sized, channels_first=channels_first)

    def ready(images: np.ndarray) -> bool:
        are_bytes = images.ndim == 4 and images.dtype == np.uint8 and as_bytes()
        are_last = not (channels_first and _are_channels_first(images))
        return are_bytes and are_last and preprocessing.ready(images, shape)

    target = preprocessing.target(shape)
    kind = "image" if target is not None and len(target) == 3 else "array"
    whole = dataclasses.replace(preprocessing, crop=None)
    inputs = Inputs(kind, target, preprocessing.words(shape), prepare, ready)
    return with_positions(inputs, lambda pictures: prepare(pictures, whole), whole.words(shape))


def _are_channels_first(images: Any) -> bool:
    """Whether images are `[samples, channels, height, width]` already."""
    grey_or_colour = (1, 3)
    is_array = isinstance(images, np.ndarray) and images.ndim == 4
    return is_array and images.shape[1] in grey_or_colour and images.shape[3] not in grey_or_colour
