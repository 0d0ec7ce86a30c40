"""Encoded images and pictures of Pillow as arrays: formats that are read, bounds on size and memory."""

import contextlib
import functools
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from nrjax._utils.memory_budget import MemoryBudget
from nrjax._utils.paths import check_regular
from nrjax._utils.process_wide import process_wide
from nrjax.datasets._colours import BitDepth, to_srgb
from nrjax.datasets._image_arrays import to_array
from nrjax.errors import BrokenImage

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")  # others may run programs
MOST_BYTES = 1 << 29  # of an encoded image
MOST_PIXELS = 1 << 26  # a photograph of 67 megapixels; beyond, a few bytes may ask for gigabytes
LARGE = 1 << 22  # pixels of a photograph that is decoded at reduced size
MARGIN = 3  # times the requested size, to which it is first reduced by whole factors: pixels differ by 1 or 2 of 255
COPIES = 12  # bytes for each pixel while an image is decoded
BLOCK = 1 << 26  # bytes; Pillow's blocks above 32 MiB go back to the system, whichever thread had them
DECODING = MemoryBudget(1 << 29)


@process_wide
def without_news() -> Iterator[None]:
    """Without Pillow's warnings about bombs, which are refused, and damaged metadata, which is not read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read here: HEIF with pillow-heif, AVIF where Pillow was built with it."""
    with contextlib.suppress(Exception):  # an extra of Pillow that may be missing or broken
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()  # all formats are known from here on, not the commonest alone
    if "PILLOW_BLOCK_SIZE" not in os.environ:
        Image.core.set_block_size(BLOCK)
    return tuple(name for name in FORMATS if name in Image.OPEN)


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Suffixes of the formats that are read here."""
    formats = (*readable_formats(), "MPO")  # which is read as JPEG: its first picture
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def decode(
    source: bytes | Path, image_size: tuple[int, int] | None, grayscale: bool | None, who: str = "an image",
    depth: BitDepth | None = None,
) -> np.ndarray:  # fmt: skip
    """One encoded image as uint8 `[height, width, channels]`, the way up that its EXIF says.

    16 bits become 8, and so do 12 or 8 bits in 16 where no value is above them. Floats must lie in [0, 1]. Colour
    profiles are applied. Of an animation the first frame is read. Transparent pixels are shown on white. A photograph
    that is much larger than `image_size` is decoded at reduced size.

    Args:
      source: the bytes of an image file, or its path.
      image_size: `(height, width)` to resize to (bilinear, antialiased); None keeps the size.
      grayscale: True for one channel (ITU-R 601 luma), False for RGB, None for what the image has.
      who: its name in errors.
      depth: what 16 bits hold in the other pictures; None looks at this picture alone.

    Raises:
      BrokenImage: it is no image of a known format, or truncated, too large, or of numbers whose range is not known.
    """
    try:
        file = io.BytesIO(source if isinstance(source, bytes) else _read_bytes(source, who))
        with Image.open(file, formats=readable_formats()) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise BrokenImage(f"{who}: {width}x{height} pixels are too many; at most {MOST_PIXELS:,} are read.")
            with DECODING.take(COPIES * width * height):
                return to_array(to_srgb(_load_reduced(image, image_size), who, depth), image_size, grayscale)
    except BrokenImage:
        raise
    except Image.DecompressionBombError as error:
        raise BrokenImage(f"{who} has too many pixels; at most {MOST_PIXELS:,} are read.") from error
    except Image.UnidentifiedImageError as error:
        raise BrokenImage(f"{who} is not an image of a known format ({', '.join(readable_formats())}).") from error
    except MemoryError as error:
        raise BrokenImage(f"{who} does not fit the memory.") from error
    except Exception as error:  # every format has its own ways to break
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BrokenImage(first_line if who in first_line else f"{who} cannot be read: {first_line[:200]}") from error


def of_picture(
    image: Image.Image, who: str, image_size: tuple[int, int] | None = None, grayscale: bool | None = None,
    depth: BitDepth | None = None,
) -> np.ndarray:  # fmt: skip
    """An open picture of Pillow as an array; see `decode` for arguments and errors."""
    try:
        return to_array(to_srgb(image, who, depth), image_size, grayscale)
    except BrokenImage:
        raise
    except Exception as error:
        raise BrokenImage(f"{who} cannot be read: {str(error)[:200]}") from error


def _read_bytes(path: Path, who: str) -> bytes:
    """The whole file. From a path Pillow may map it into memory, and then turn it wrongly (TIFF with EXIF 5 to 8)."""
    if check_regular(path, who).stat().st_size > MOST_BYTES:
        raise BrokenImage(f"{who} is larger than {MOST_BYTES:,} bytes.")
    return path.read_bytes()


def _load_reduced(image: Image.Image, image_size: tuple[int, int] | None) -> Image.Image:
    """The picture, loaded; a large one is reduced by whole factors, then resized to the requested size."""
    if image_size is None or image.width * image.height < LARGE:
        image.load()
        return image
    width, height = _size_before_turning(image, image_size)
    _, box = image.draft(None, (MARGIN * width, MARGIN * height)) or (None, None)  # JPEG alone can
    image.load()
    width, height = _size_before_turning(image, image_size)  # Pillow turns TIFF while it is loaded
    if image.mode not in ("L", "RGB", "RGBA", "LA", "CMYK") or "transparency" in image.info:
        return image
    smaller = image.resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=MARGIN)
    smaller.info["exif"] = image.getexif().tobytes()
    return smaller


def _size_before_turning(image: Image.Image, image_size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture that has `image_size` once EXIF has turned it."""
    is_on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return image_size if is_on_its_side else (image_size[1], image_size[0])
