"""Images in floating point, which enter a network as they are, though it would scale or normalise bytes."""

import re

import numpy as np

from nrjax.models._model import Model

LOOKED_AT = 64  # images
NORMALISED = re.compile(r'"mean": \[(?!0(\.0)?(, 0(\.0)?)*\])')  # of timm, whose floating-point images are never


def remarks_on_numbers(model: Model, samples: object) -> list[str]:
    """What there is to say of arrays that look like images from 0 to 255, or from 0 to 1, for a network of images.

    Args:
      model: that they enter.
      samples: of kind `array`.
    """
    words = model.inputs.preprocessing
    is_timm = words.startswith("timm ")
    if not is_timm and "/255" not in words.split(", "):
        return []
    if not isinstance(samples, np.ndarray) or samples.ndim != 4 or not {1, 3} & {samples.shape[1], samples.shape[3]}:
        return []
    some = samples[:LOOKED_AT]
    low, high = float(some.min()), float(some.max())
    if low >= 0 and 1 < high <= 255 and bool((some == np.round(some)).all()):
        return [
            f"images are numbers from {low:g} to {high:g} in {samples.dtype}, which enter as they are; its "
            "preprocessing is of bytes: images.astype(numpy.uint8)."
        ]
    if is_timm and low >= 0 and high <= 1 and NORMALISED.search(words):
        return ["images in floating point enter as they are, and are not normalised; those of uint8 are."]
    return []
