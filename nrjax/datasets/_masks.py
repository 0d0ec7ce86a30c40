"""Masks `[height, width]` of class ids: arrays, pictures, or files that hold ids and no colours."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from nrjax._utils.messages import first_line
from nrjax._utils.paths import check_regular
from nrjax.datasets._decode import MOST_BYTES, MOST_PIXELS, readable_formats
from nrjax.errors import BrokenImage

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")  # formats that keep every id
FORMATS = ("PNG", "TIFF", "BMP", "GIF")
ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")  # of Pillow: one number a pixel, or a palette


def read_mask(content: object, who: str, size: tuple[int, int]) -> np.ndarray:
    """A mask as integers `[height, width]`; a palette's entries are the ids.

    Args:
      content: an array, a picture of Pillow, the bytes of a file, or its path.
      who: its name in errors.
      size: height and width of its picture.

    Raises:
      BrokenImage: it cannot be read, holds colours or fractions, or has another size than its picture.
    """
    if isinstance(content, BrokenImage):
        raise content
    if isinstance(content, (bytes, Path)):
        content = _open(content, who)
    if isinstance(content, Image.Image):
        content = _ids_of(content, who)
    mask = np.asarray(content)
    mask = mask[:, :, 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if mask.ndim != 2 or mask.dtype.kind not in "biu" or not mask.size:
        raise BrokenImage(
            f"{who} must be a mask (height, width) of integers, a class id for every pixel; it is {mask.dtype} "
            f"{mask.shape}."
        )
    if mask.shape != tuple(size):
        raise BrokenImage(
            f"{who} is {mask.shape[0]}x{mask.shape[1]} and its picture {size[0]}x{size[1]}: a mask must have the size "
            "of its picture. Resize it by its nearest pixel."
        )
    return mask.astype(np.int64)


def _open(source: bytes | Path, who: str) -> Image.Image:
    try:
        readable_formats()  # registers the formats
        if isinstance(source, Path):
            if source.suffix.lower() in (".jpg", ".jpeg"):
                raise BrokenImage(f"{who} is a JPEG, which blurs ids; save masks as PNG.")
            if check_regular(source, who).stat().st_size > MOST_BYTES:
                raise BrokenImage(f"{who} is larger than {MOST_BYTES:,} bytes.")
            source = source.read_bytes()
        with Image.open(io.BytesIO(source), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BrokenImage(f"{who}: {picture.width}x{picture.height} pixels are too many.")
            picture.load()
            return picture
    except BrokenImage:
        raise
    except Image.UnidentifiedImageError as error:
        raise BrokenImage(f"{who} is no mask of a known format ({', '.join(FORMATS)}).") from error
    except Exception as error:  # every format has its own ways to break
        raise BrokenImage(f"{who} cannot be read: {first_line(error, 200)}") from error


def _ids_of(picture: Image.Image, who: str) -> np.ndarray:
    if picture.mode not in ID_MODES:
        raise BrokenImage(
            f"{who} holds colours ({picture.mode}), no ids; save masks as grey pictures or with a palette: an id "
            "for every pixel."
        )
    return np.asarray(picture).astype(np.int64)
