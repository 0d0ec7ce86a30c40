"""Images as arrays `[samples, height, width, channels]`: resizing, grey, channels last, one array of many."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from nrjax.errors import BrokenImage

MODES = {1: "grey", 2: "grey and opacity", 3: "colours", 4: "colours and opacity"}  # by the number of channels


def fit_images(images: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    """uint8 images `[samples, height, width, channels]` in the shape that a network takes.

    Images that already have the shape are returned as they are. The others go through the same resizing and grey
    conversion as `load_dataset`, so both give the same pixels.

    Raises:
      ValueError: the images cannot be brought to that shape.
    """
    if images.shape[1:] == tuple(input_shape):
        return images
    if images.ndim != 4 or len(input_shape) != 3 or images.dtype != np.uint8 or input_shape[-1] not in (1, 3):
        raise ValueError(
            f"The model takes inputs of shape {tuple(input_shape)}; got {images.dtype} of shape "
            f"{images.shape[1:]}. Only uint8 images (height, width, 1 or 3) are resized automatically."
        )
    height, width, channels = input_shape
    return stack(
        to_array(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image), (height, width), channels == 1)
        for image in images
    )


def stack(images: Iterable[np.ndarray]) -> np.ndarray:
    """Images of one size as one array; grey ones among coloured ones get three channels.

    Raises:
      ValueError: the sizes differ.
    """
    arrays = list(images)
    sizes = sorted({array.shape[:2] for array in arrays})
    if len(sizes) > 1:
        listed = ", ".join(f"{height}x{width}" for height, width in sizes[:4]) + (", ..." if len(sizes) > 4 else "")
        raise ValueError(
            f"Images differ in size ({listed}); "
            "give image_size=(height, width), on the command line --image-size, to bring them to one."
        )
    channels = max(array.shape[2] for array in arrays)
    return np.stack([array if array.shape[2] == channels else np.repeat(array, channels, axis=2) for array in arrays])


def channels_last(images: np.ndarray) -> np.ndarray:
    """Images as `[samples, height, width, channels]`, whose channels may lie behind the samples."""
    if images.ndim != 4 or images.shape[3] in MODES:
        return images
    is_first = images.shape[1] in (1, 3) or (images.shape[1] in MODES and images.shape[2] > max(MODES))
    return images.transpose(0, 2, 3, 1) if is_first else images


def as_picture(array: np.ndarray, who: str) -> Image.Image:
    """A picture of a uint8 array `[height, width]` or `[height, width, channels]`; channels may come first.

    Raises:
      BrokenImage: the array has another shape or type.
    """
    channels = 1 if array.ndim == 2 else channels_last(array[None]).shape[-1] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or channels not in MODES or not array.size:
        raise BrokenImage(
            f"{who} must be uint8 (height, width) or (height, width, channels) with {', '.join(map(str, MODES))} "
            f"channels; it is {array.dtype} {array.shape}."
        )
    array = array if array.ndim == 2 else channels_last(array[None])[0]
    return Image.fromarray(np.ascontiguousarray(array.squeeze(-1) if array.shape[2:] == (1,) else array))


def to_array(image: Image.Image, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    """A picture of 8 bits as uint8 `[height, width, channels]`; see `decode` for the arguments."""
    grey = image.mode in ("1", "L") if grayscale is None else grayscale
    mode = "L" if grey else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    if image_size is not None and image.size != (image_size[1], image_size[0]):
        image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[:, :, None] if grey else array
