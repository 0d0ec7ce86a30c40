"""Images as arrays `[samples, height, width, channels]`: reading, resizing, grey."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from nrjax._utils.paths import check_regular

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # what else Pillow knows may run programs
MOST_BYTES = 1 << 29  # of an encoded image
MOST_PIXELS = 1 << 26  # a photograph of 67 megapixels; beyond, a few bytes may ask for gigabytes
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


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


class BrokenImage(ValueError):
    """An image that cannot be read, and why."""


def decode(
    source: bytes | Path, image_size: tuple[int, int] | None, grayscale: bool | None, who: str = "an image"
) -> np.ndarray:
    """One encoded image as uint8 `[height, width, channels]`, the way up that its EXIF says.

    16 bits become 8; floats must lie in [0, 1]; of an animation it is the first frame; what is transparent is shown
    on white.

    Args:
      source: the bytes of an image file, or its path.
      image_size: `(height, width)` to resize to (bilinear, antialiased); None keeps the size.
      grayscale: True for one channel (ITU-R 601 luma), False for RGB, None for what the image has.
      who: its name in errors.

    Raises:
      BrokenImage: it is no image of a known format, or truncated, too large, or of numbers whose range is not known.
    """
    Image.init()  # all formats are known from here on, not the commonest alone
    try:
        file = io.BytesIO(source if isinstance(source, bytes) else _bytes_of(source, who))
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise BrokenImage(f"{who}: {width}x{height} pixels are too many; at most {MOST_PIXELS:,} are read.")
            image.load()
            return _to_array(ImageOps.exif_transpose(_eight_bits(image, who)), image_size, grayscale)
    except BrokenImage:
        raise
    except Image.DecompressionBombError as error:
        raise BrokenImage(f"{who} has too many pixels; at most {MOST_PIXELS:,} are read.") from error
    except Image.UnidentifiedImageError as error:
        raise BrokenImage(f"{who} is not an image of a known format ({', '.join(FORMATS)}).") from error
    except MemoryError as error:
        raise BrokenImage(f"{who} does not fit the memory.") from error
    except Exception as error:  # every format has its own ways to break
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BrokenImage(first_line if who in first_line else f"{who} cannot be read: {first_line[:200]}") from error


def of_picture(
    image: Image.Image, who: str, image_size: tuple[int, int] | None = None, grayscale: bool | None = None
) -> np.ndarray:
    """A picture of Pillow that is open already, as `decode` reads one."""
    try:
        return _to_array(ImageOps.exif_transpose(_eight_bits(image, who)), image_size, grayscale)
    except BrokenImage:
        raise
    except Exception as error:
        raise BrokenImage(f"{who} cannot be read: {str(error)[:200]}") from error


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


def _eight_bits(image: Image.Image, who: str) -> Image.Image:
    """The same picture, and its EXIF, in a mode of 8 bits."""
    made = _in_eight_bits(image, who)
    if made is not image:
        made.info["exif"] = image.getexif().tobytes()
    return made


def _in_eight_bits(image: Image.Image, who: str) -> Image.Image:
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.int64)
        if values.size and not 0 <= values.min() <= values.max() <= 0xFFFF:
            raise BrokenImage(f"{who} has integers beyond 16 bits; convert it to 8 or 16.")
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    if image.mode == "I":
        raise BrokenImage(f"{who} has 32-bit integers, whose range is not known; convert it to 8 or 16 bits.")
    if image.mode == "F":
        values = np.asarray(image)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise BrokenImage(f"{who} has floating-point values outside [0, 1], whose range is not known.")
        return Image.fromarray(np.round(values * 255).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("L", "LA", "La", "1")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("L" if grey else "RGB")
    return image


def _to_array(image: Image.Image, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    grey = image.mode in ("1", "L") if grayscale is None else grayscale
    image = image.convert("L" if grey else "RGB")
    if image_size is not None and image.size != (image_size[1], image_size[0]):
        image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[:, :, None] if grey else array
