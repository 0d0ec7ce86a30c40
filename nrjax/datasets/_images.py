"""Images as arrays `[samples, height, width, channels]`: reading, resizing, grey."""

import contextlib
import functools
import importlib
import io
import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from nrjax._utils.memory_budget import MemoryBudget
from nrjax._utils.paths import check_regular
from nrjax.datasets._seen import BrokenImage, Depth, as_seen

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")  # others may run programs
MOST_BYTES = 1 << 29  # of an encoded image
MOST_PIXELS = 1 << 26  # a photograph of 67 megapixels; beyond, a few bytes may ask for gigabytes
LARGE = 1 << 22  # pixels of a photograph that is decoded at reduced size
MARGIN = 3  # and comes in whole factors to so many times that size first: pixels differ by 1 or 2 of 255
MODES = {1: "grey", 2: "grey and opacity", 3: "colours", 4: "colours and opacity"}  # by the number of channels
COPIES = 12  # bytes for each pixel while an image is decoded
BLOCK = 1 << 26
DECODING = MemoryBudget(1 << 29)


_quiet = threading.Lock()  # held by the outermost `without_news`


@contextlib.contextmanager
def without_news() -> Iterator[None]:
    """Without Pillow's warnings about bombs, which are refused, and damaged metadata, which is not read.

    Python's filters belong to the whole process: only the outermost call changes them, before any thread decodes, and
    puts them back when all have.
    """
    if not _quiet.acquire(blocking=False):
        yield
        return
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\b")
            yield
    finally:
        _quiet.release()


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read here: HEIF with pillow-heif, AVIF where Pillow was built with it."""
    with contextlib.suppress(Exception):  # an extra of Pillow that may be missing or broken
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()  # all formats are known from here on, not the commonest alone
    if "PILLOW_BLOCK_SIZE" not in os.environ:  # blocks above 32 MiB go back to the system, whichever thread had them
        Image.core.set_block_size(BLOCK)
    return tuple(name for name in FORMATS if name in Image.OPEN)


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Suffixes of the formats that are read here."""
    formats = (*readable_formats(), "MPO")  # which is read as JPEG: its first picture
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def decode(
    source: bytes | Path, image_size: tuple[int, int] | None, grayscale: bool | None, who: str = "an image",
    depth: Depth | None = None,
) -> np.ndarray:  # fmt: skip
    """One encoded image as uint8 `[height, width, channels]`, the way up that its EXIF says.

    16 bits become 8, and 12 bits where no value of 16 is above them; floats must lie in [0, 1]; colour profiles are
    applied; of an animation it is the first frame; what is transparent is shown on white. A photograph that is much
    larger than wanted is decoded at reduced size.

    Args:
      source: the bytes of an image file, or its path.
      image_size: `(height, width)` to resize to (bilinear, antialiased); None keeps the size.
      grayscale: True for one channel (ITU-R 601 luma), False for RGB, None for what the image has.
      who: its name in errors.
      depth: what 16 bits hold in the pictures beside it; None looks at it alone.

    Raises:
      BrokenImage: it is no image of a known format, or truncated, too large, or of numbers whose range is not known.
    """
    try:
        file = io.BytesIO(source if isinstance(source, bytes) else _bytes_of(source, who))
        with Image.open(file, formats=readable_formats()) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise BrokenImage(f"{who}: {width}x{height} pixels are too many; at most {MOST_PIXELS:,} are read.")
            with DECODING.take(COPIES * width * height):
                return _to_array(as_seen(_reduced(image, image_size), who, depth), image_size, grayscale)
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
    depth: Depth | None = None,
) -> np.ndarray:  # fmt: skip
    """A picture of Pillow that is open already, as `decode` reads one."""
    try:
        return _to_array(as_seen(image, who, depth), image_size, grayscale)
    except BrokenImage:
        raise
    except Exception as error:
        raise BrokenImage(f"{who} cannot be read: {str(error)[:200]}") from error


def as_picture(array: np.ndarray, who: str) -> Image.Image:
    """A picture of an array `[height, width]` or `[height, width, channels]` in uint8; channels may come first.

    Raises:
      BrokenImage: it is none.
    """
    channels = 1 if array.ndim == 2 else channels_last(array[None]).shape[-1] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or channels not in MODES or not array.size:
        raise BrokenImage(
            f"{who} must be uint8 (height, width) or (height, width, channels) with {', '.join(map(str, MODES))} "
            f"channels; it is {array.dtype} {array.shape}."
        )
    array = array if array.ndim == 2 else channels_last(array[None])[0]
    return Image.fromarray(np.ascontiguousarray(array.squeeze(-1) if array.shape[2:] == (1,) else array))


def channels_last(images: np.ndarray) -> np.ndarray:
    """Images `[samples, height, width, channels]`, of those or of `[samples, channels, height, width]`."""
    first = images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in MODES
    return images.transpose(0, 2, 3, 1) if first else images


def _bytes_of(path: Path, who: str) -> bytes:
    """All of a file: what Pillow maps into memory from a path it may turn wrongly (TIFF with EXIF 5 to 8)."""
    if check_regular(path, who).stat().st_size > MOST_BYTES:
        raise BrokenImage(f"{who} is larger than {MOST_BYTES:,} bytes.")
    return path.read_bytes()


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


def _reduced(image: Image.Image, image_size: tuple[int, int] | None) -> Image.Image:
    """The picture, loaded; a large one already in the size that is wanted, by way of whole factors."""
    if image_size is None or image.width * image.height < LARGE:
        image.load()
        return image
    width, height = _before_turning(image, image_size)
    _, box = image.draft(None, (MARGIN * width, MARGIN * height)) or (None, None)  # JPEG alone can
    image.load()
    width, height = _before_turning(image, image_size)  # Pillow turns TIFF while it is loaded
    if image.mode not in ("L", "RGB", "RGBA", "LA", "CMYK") or "transparency" in image.info:
        return image
    smaller = image.resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=MARGIN)
    smaller.info["exif"] = image.getexif().tobytes()
    return smaller


def _before_turning(image: Image.Image, image_size: tuple[int, int]) -> tuple[int, int]:
    """Width and height that a picture must have, to have the size that is wanted once EXIF has turned it."""
    on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return image_size if on_its_side else (image_size[1], image_size[0])


def _to_array(image: Image.Image, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    grey = image.mode in ("1", "L") if grayscale is None else grayscale
    mode = "L" if grey else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    if image_size is not None and image.size != (image_size[1], image_size[0]):
        image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[:, :, None] if grey else array
