"""Images as arrays `[samples, height, width, channels]`: reading, resizing, grey."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def decode(source: bytes | Path, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    """One encoded image as uint8 `[height, width, channels]`.

    Args:
      source: the bytes of an image file, or its path.
      image_size: `(height, width)` to resize to (bilinear, antialiased); None keeps the size.
      grayscale: True for one channel (ITU-R 601 luma), False for RGB, None for what the image has.
    """
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return _to_array(image, image_size, grayscale)


def fit_images(images: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    """uint8 images `[samples, height, width, channels]` as a network of `input_shape` wants them.

    Images that already have the shape are returned as they are. The others go through the same
    resizing and grey conversion as `load_dataset`, so both roads give the same pixels.

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
        _to_array(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image), (height, width), channels == 1)
        for image in images
    )


def stack(images: Iterable[np.ndarray]) -> np.ndarray:
    """Images of one shape as one array.

    Raises:
      ValueError: the shapes differ.
    """
    arrays = list(images)
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"Images differ in shape ({', '.join(map(str, shapes[:4]))}{', ...' if len(shapes) > 4 else ''}); "
            "give image_size=(height, width), and grayscale=True or False, to bring them to one."
        )
    return np.stack(arrays)


def _to_array(image: Image.Image, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    grey = image.mode in ("1", "L", "I", "I;16", "F") if grayscale is None else grayscale
    image = image.convert("L" if grey else "RGB")
    if image_size is not None and image.size != (image_size[1], image_size[0]):
        image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[:, :, None] if grey else array
