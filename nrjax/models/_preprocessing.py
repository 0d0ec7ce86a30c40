"""From images to what a network takes: resized on the host, in threads; scaled in the forward pass."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from nrjax.datasets import fit_images, stack

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}  # fmt: skip
SMALL_FACTOR, LARGE_OFFSET = 0.05, 5.0  # see `scales_images`
LARGEST = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """From images to network input: uint8 is scaled to [0, 1], then `(x - mean) / std` per channel.

    Other dtypes are not scaled: floating-point images and token ids enter as they are.

    Attributes:
      mean: of the channels.
      std: of the channels.
      image_size: `(height, width)`, or one number, that the network takes; None is the shape that the model itself
        knows, if any.
      interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos`, antialiased.
      crop: None stretches to `image_size`; a fraction up to 1 scales the shorter edge to `image_size / crop` and cuts
        the middle out, as networks of ImageNet are evaluated (0.875).
      scale: what uint8 is multiplied by; 1 leaves it in [0, 255].
      bgr: whether the network takes blue, green, red; `mean` and `std` are then in that order, too.

    Examples:
      >>> mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
      >>> nrjax.Preprocessing(mean, std, image_size=224, crop=0.875).image_size
      (224, 224)
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    image_size: tuple[int, int] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    crop: float | None = None
    scale: float = 1 / 255
    bgr: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.image_size, int):
            object.__setattr__(self, "image_size", (self.image_size, self.image_size))
        for name, is_positive in (("mean", False), ("std", True)):
            values = getattr(self, name)
            values = (values,) if isinstance(values, (int, float)) else tuple(values)
            object.__setattr__(self, name, values)
            if not values or not all(abs(v) <= LARGEST and (v > 0 or not is_positive) for v in values):
                raise ValueError(f"Preprocessing: {name} must be {'positive ' * is_positive}numbers; got {values!r}.")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"Preprocessing: interpolation must be of {', '.join(INTERPOLATIONS)}; got {self.interpolation!r}."
            )
        if isinstance(self.scale, bool) or not isinstance(self.scale, (int, float)) or not 0 < self.scale <= LARGEST:
            raise ValueError(f"Preprocessing: scale must be a positive number; got {self.scale!r}.")
        if self.crop is not None and not 0 < self.crop <= 1:
            raise ValueError(f"Preprocessing: crop must be above 0 and at most 1; got {self.crop!r}.")
        size = self.image_size
        if size is not None and not (len(size) == 2 and all(isinstance(n, int) and 0 < n <= 1 << 14 for n in size)):
            raise ValueError(f"Preprocessing: image_size must be (height, width) in pixels; got {size!r}.")

    def __call__(self, images: jax.Array) -> jax.Array:
        """The network's input; runs in the compiled forward pass."""
        if self.bgr and images.dtype == jnp.uint8:
            images = images[..., ::-1]
        if images.dtype == jnp.uint8:
            images = images.astype(jnp.float32) * self.scale if self.scale != 1 / 255 else (
                images.astype(jnp.float32) / 255)  # fmt: skip
        if self.mean == (0.0,) and self.std == (1.0,):
            return images
        return (images - jnp.array(self.mean, images.dtype)) / jnp.array(self.std, images.dtype)

    def normalised(self, images: np.ndarray, *, channels_first: bool) -> np.ndarray:
        """The same on the host: float32 `[samples, channels, height, width]`, or channels last."""
        if self.bgr and images.dtype == np.uint8:
            images = images[..., ::-1]
        if channels_first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # before a value takes four bytes
        factor, shift = self.affine(images.dtype)
        shape = (-1, 1, 1) if channels_first else (-1,)
        batch = np.multiply(images, factor.reshape(shape), dtype=np.float32)
        batch += shift.reshape(shape)
        return batch

    def affine(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Factor and shift of every channel, float32; one of each where all channels have the same."""
        scale = self.scale if dtype == np.uint8 else 1.0
        mean, std = np.broadcast_arrays(np.asarray(self.mean), np.asarray(self.std))
        factor, shift = scale / std, -mean / std  # (scale x - mean) / std = factor x + shift
        if len(set(factor)) == len(set(shift)) == 1:
            factor, shift = factor[:1], shift[:1]
        return factor.astype(np.float32), shift.astype(np.float32)

    def sized(self, images: Any, shape: Sequence[int] | None) -> np.ndarray:
        """Images `[samples, height, width, channels]` of the size that the network takes, still uint8.

        Args:
          images: an array, or a list of uint8 arrays of several sizes.
          shape: `(height, width, channels)` that the model knows; None leaves images as they are.
        """
        target = self.target(shape)
        if isinstance(images, np.ndarray) and (target is None or images.dtype != np.uint8 or images.ndim != 4):
            return images if target is None else fit_images(images, target)
        if target is None:
            return stack(images)
        if self.crop is None and self.interpolation == "bilinear":
            return np.concatenate([fit_images(image[None], target) for image in images])
        return np.stack([self._resized(image, target) for image in images])

    def target(self, shape: Sequence[int] | None) -> tuple[int, ...] | None:
        """Height, width and channels of the network's input."""
        if self.image_size is None:
            return tuple(shape) if shape is not None else None
        return (*self.image_size, shape[2] if shape is not None else 3)

    def ready(self, images: np.ndarray, shape: Sequence[int] | None) -> bool:
        """Whether images have the network's size already."""
        target = self.target(shape)
        return target is None or (images.shape[1:] == target and self.crop in (None, 1))

    def words(self, shape: Sequence[int] | None) -> str:
        """The preprocessing as text, for the ranking's settings and the fingerprint."""
        target, steps = self.target(shape), []
        if target is not None and len(target) == 3:
            steps.append(f"{target[0]}x{target[1]}x{target[2]} {self.interpolation}")
            steps += [f"middle {self.crop:g}"] if self.crop is not None else []
        steps.append("/255" if self.scale == 1 / 255 else f"*{self.scale:g}")
        if self.mean != (0.0,) or self.std != (1.0,):
            steps.append(f"mean {_join(self.mean)} std {_join(self.std)}")
        steps += ["blue, green, red"] * self.bgr
        return ", ".join(steps)

    def _resized(self, image: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
        height, width, channels = target
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        mode = "L" if channels == 1 else "RGB"
        picture = picture if picture.mode == mode else picture.convert(mode)
        if self.crop is None:
            picture = picture.resize((width, height), INTERPOLATIONS[self.interpolation])
        else:
            # The shorter edge becomes size / crop, and the middle is kept.
            factor = max(height / picture.height, width / picture.width) / self.crop
            size = max(width, round(picture.width * factor)), max(height, round(picture.height * factor))
            picture = picture.resize(size, INTERPOLATIONS[self.interpolation])
            left, top = (picture.width - width) // 2, (picture.height - height) // 2
            picture = picture.crop((left, top, left + width, top + height))
        array = np.asarray(picture)
        return array[:, :, None] if channels == 1 else array


def pictures(images: Any, *, grey: bool = False) -> list[Image.Image]:
    """Images as pictures of Pillow, for a framework's own preprocessing.

    Raises:
      ValueError: they are not uint8, so that what their values mean is not known.
    """
    converted = []
    for image in images:
        if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ValueError(
                "the model has a preprocessing of its own, which takes uint8 images (height, width, 1 or 3); got "
                f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}."
            )
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        converted.append(picture.convert("L" if grey else "RGB"))
    return converted


def scales_images(factor: float, offset: float) -> bool:
    """Whether a network takes images from 0 to 255: before its first weights it computes `factor * image + offset`."""
    return abs(factor) < SMALL_FACTOR or abs(offset) > LARGE_OFFSET


def scales_itself(factor: float, offset: float) -> str:
    """The remark on a network that scales images, which it gets from 0 to 1, once more."""
    return (
        f"before its first weights it computes {factor:.2g} * images {offset:+.2g}, as networks of images from 0 to "
        "255 do, and it gets them from 0 to 1; give preprocessing=nrjax.Preprocessing(scale=1)."
    )


def _join(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
