"""Numbers that enter a network of images as they are, though it would scale or normalise bytes."""

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
    is_timm, steps = words.startswith("timm "), words.split(", ")
    scale = next((step for step in steps if step == "/255" or re.fullmatch(r"\*[\d.e+-]+", step)), "")
    if not (is_timm or scale) or not isinstance(samples, np.ndarray):
        return []
    if samples.ndim == 5 and samples.dtype == np.uint8 and scale != "*1":
        return ["series of images in uint8 enter as numbers from 0 to 255; give those that the network takes."]
    if samples.ndim != 4 or not {1, 3} & {samples.shape[1], samples.shape[3]}:
        return []
    some, is_normalised = samples[:LOOKED_AT], any(step.startswith("mean ") for step in steps)
    low, high = float(some.min()), float(some.max())
    if low >= 0 and 1 < high <= 255 and bool((some == np.round(some)).all()) and (scale != "*1" or is_normalised):
        return [
            f"images are numbers from {low:g} to {high:g} in {samples.dtype}, which enter as they are; its "
            "preprocessing is of bytes: images.astype(numpy.uint8)."
        ]
    if low >= 0 and high <= 1 and is_timm and NORMALISED.search(words):
        return ["images in floating point enter as they are, and are not normalised; those of uint8 are."]
    if low >= 0 and high <= 1 and scale not in ("", "/255"):
        return ["images from 0 to 1 enter as they are, and it takes another range; those of uint8 are brought to it."]
    if low < 0 and scale == "/255" and is_normalised:
        return ["images have numbers below 0, as normalised ones have, and are normalised once more."]
    return []
