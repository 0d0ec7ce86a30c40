"""Pictures in 8 bits, on white, in sRGB, the right way up: what a person sees of them."""

import functools
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from nrjax.errors import BrokenImage

SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
WHITES = (0xFF, 0xFFF, 0xFFFF)  # of 8, 12 and 16 bits
SAME_COLOUR = 2  # of 255: a profile that changes no colour by more is that of sRGB
MOST_PROFILE = 1 << 22  # bytes


class BitDepth:
    """How many of 16 bits the pictures of one data set use: cameras write 12, programs 8, and then all pictures do.

    Attributes:
      least: the smallest value that can be white.
      whites: the values that were white in the pictures so far.
    """

    def __init__(self, least: int = WHITES[0]):
        self.least, self.whites = least, set[int]()

    @property
    def mixed(self) -> bool:
        """Whether fewer bits were assumed of some pictures than others have."""
        return len(self.whites) > 1

    def white(self, largest: int) -> int:
        """The value that is white in a picture whose largest value this is."""
        white = next(white for white in WHITES if white >= max(largest, self.least))
        self.whites.add(white)
        return white


def to_srgb(image: Image.Image, who: str, depth: BitDepth | None = None) -> Image.Image:
    """A picture in mode L or RGB, or in another mode of 8 bits that converts to them, the way up that its EXIF says.

    Args:
      image: a picture that is loaded.
      who: its name in errors.
      depth: of all pictures of the data set; None looks at this picture alone.

    Raises:
      BrokenImage: it has numbers whose range is not known.
    """
    converted = _to_eight_bits(image, who, depth or BitDepth())
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and len(profile) <= MOST_PROFILE:
        converted = _apply_profile(converted, profile)
    if converted is not image:
        converted.info["exif"] = image.getexif().tobytes()
    is_upright = converted.getexif().get(ExifTags.Base.Orientation, 1) == 1
    return converted if is_upright else ImageOps.exif_transpose(converted)


def _to_eight_bits(image: Image.Image, who: str, depth: BitDepth) -> Image.Image:
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.int64)
        if values.size and not 0 <= values.min() <= values.max() <= 0xFFFF:
            raise BrokenImage(f"{who} has integers beyond 16 bits; convert it to 8 or 16.")
        white = depth.white(int(values.max(initial=0)))
        return Image.fromarray(np.round(values * (255 / white)).astype(np.uint8))
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


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB. It stays as it is where the profile is sRGB, damaged, or for another kind of picture."""
    image = image.convert("RGB") if image.mode == "P" else image
    transform = _profile_transform(profile, image.mode) if image.mode in ("L", "RGB", "CMYK") else None
    if transform is None:
        return image
    converted = transform.apply(image)
    return converted.convert("L") if image.mode == "L" else converted


@functools.lru_cache(64)
def _profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of a profile to sRGB; None where there is nothing to do, or nothing that can be done."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # damaged, for another mode, or a Pillow without LittleCMS; viewers go on without it, too
        return None
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    if mode == "RGB":
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    elif mode == "L":
        colours = levels[None]
    else:
        return transform
    palette = Image.fromarray(colours)
    change = np.asarray(transform.apply(palette)).astype(int) - np.asarray(palette.convert("RGB")).astype(int)
    return transform if np.abs(change).max() > SAME_COLOUR else None
