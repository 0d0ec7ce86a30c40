"""What enters an ONNX graph: images as it takes them, or arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nrjax.models._model import Inputs
from nrjax.models._preprocessing import Preprocessing


def is_channels_last(sizes: Sequence[int | None]) -> bool:
    """Whether images come as `[height, width, channels]`."""
    return len(sizes) == 3 and sizes[2] in (1, 3) and sizes[0] not in (1, 3)


def inputs_of_graph(sizes: tuple[int | None, ...], dtype: Any, preprocessing: Preprocessing) -> Inputs:
    """Inputs of a graph; `sizes` are those of one sample, None where any is taken."""
    default = Preprocessing()
    values = (preprocessing.mean, preprocessing.std, preprocessing.scale)
    if dtype == np.uint8 and values != (default.mean, default.std, default.scale):
        raise ValueError("it takes images as they are, from 0 to 255; leave mean, std and scale out.")
    if len(sizes) != 3:
        shape = tuple(n for n in sizes if n is not None) if None not in sizes else None
        return Inputs("array", shape, "none", lambda arrays: np.asarray(arrays, dtype))
    channels_last = is_channels_last(sizes)
    channels = (sizes[2] if channels_last else sizes[0]) or 3
    height, width = sizes[:2] if channels_last else sizes[1:]
    shape = (height, width, channels) if height and width else None
    if preprocessing.image_size is not None:
        shape = (*preprocessing.image_size, channels)

    def prepare(images: Any) -> np.ndarray:
        is_as_taken = not channels_last and getattr(images, "dtype", np.uint8) != np.uint8 and images.ndim == 4
        if is_as_taken and images.shape[1] == channels != images.shape[3]:  # numbers, with channels first already
            images = images.transpose(0, 2, 3, 1)
        sized = preprocessing.sized(images, shape)
        if sized.ndim == 4 and shape is None and sized.shape[-1] != channels and sized.dtype == np.uint8:
            sized = preprocessing.sized(sized, (*sized.shape[1:3], channels))
        if dtype == np.uint8:  # the network scales
            return np.ascontiguousarray(sized if channels_last else sized.transpose(0, 3, 1, 2), dtype)
        return preprocessing.normalised(sized, channels_first=not channels_last).astype(dtype, copy=False)

    return Inputs("image", shape, preprocessing.words(shape), prepare)
