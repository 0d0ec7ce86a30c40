"""Pictures through the processor of a Hugging Face network as a whole: stretched to its size, and nothing cut away."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from nrjax.models._preprocessing import pictures

STEPS = ("do_resize", "do_center_crop", "do_pad")  # that are left out, because pictures come in the right size
SIDE, TOLERANCE = 256, 1e-3  # of pictures that show what a processor does; of the numbers that come out of it


def whole_pictures(
    process: Callable[..., np.ndarray], settings: dict[str, Any], *, grey: bool, who: str
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:  # fmt: skip
    """A function from uint8 pictures of any size to a batch of whole pictures.

    Args:
      process: the processor, from pictures of Pillow and options to a batch `[pictures, channels, height, width]`.
      settings: of the processor.
      grey: whether it takes one channel.
      who: what errors name.
    """
    options = {step: False for step in STEPS if step in settings}
    resample = settings.get("resample")
    method = Image.Resampling.BICUBIC if resample is None else Image.Resampling(int(resample))

    @functools.cache
    def size() -> tuple[int, int]:
        """Width and height that the network gets of a square picture.

        Raises:
          ValueError: the processor moves pixels of a picture of that size even so.
        """
        black, noise, white = _test_pictures(SIDE, SIDE, grey)
        height, width = process([noise])[0].shape[-2:]
        black, noise, white = _test_pictures(width, height, grey)
        low, high = (process([picture], **options)[0] for picture in (black, white))
        values = np.asarray(noise, np.float32).reshape(height, width, -1).transpose(2, 0, 1) / 255
        batch = process([noise], **options)[0]
        if batch.shape != values.shape or not np.allclose(
            batch, low + values * (high - low), atol=TOLERANCE * np.ptp(np.stack([low, high]))
        ):
            raise ValueError(
                f"{who}: its processor cuts or moves parts of a picture, and no option turns that off, so places in "
                "pictures are not known; give preprocessing=nrjax.Preprocessing(...)."
            )
        return width, height

    def prepare(images: Sequence[np.ndarray]) -> np.ndarray:
        return process([picture.resize(size(), method) for picture in pictures(images, grey=grey)], **options)

    return prepare


def _test_pictures(width: int, height: int, grey: bool) -> list[Image.Image]:
    """Black, noise and white."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return [
        Image.fromarray(array).convert("L" if grey else "RGB")
        for array in (np.zeros_like(noise), noise, np.full_like(noise, 255))
    ]
