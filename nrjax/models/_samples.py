"""Checks samples once before any model runs: images, texts or arrays."""

import numbers
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from nrjax._utils.frames import is_frame, numbers_of_frame
from nrjax._utils.messages import printable, shortened
from nrjax.datasets import Images, Kind, Pairs, SampleSequence, channels_last, holds_labels, kind_of_file, of_picture

Samples = np.ndarray | SampleSequence | list[str]


def check_samples(samples: Any) -> tuple[Kind, Samples]:
    """The kind of the samples, and the samples as models take them.

    Args:
      samples: texts, in any sequence; pairs of texts; images of several sizes, as `datasets.Images` or a list of arrays
        or pictures; a `SampleSequence`; else whatever makes an array `[samples, ...]`.

    Raises:
      ValueError: there are none; a text that is empty or none; images of another range, or not finite.
    """
    if isinstance(samples, SampleSequence):
        return samples.kind, samples
    if is_frame(samples):
        return "array", check_images(_numbers_of(samples))
    if isinstance(samples, str):
        raise ValueError("samples must be a sequence of texts; got one text. Read a file with load_dataset(path, ...).")
    if holds_labels(samples):
        raise ValueError(
            f"samples must be a sequence or an array; got {type(samples).__name__}. Give its samples alone, such as "
            "one column, or leave labels out where it has them."
        )
    if _are_pairs(samples):
        return "pair", Pairs(samples)
    if isinstance(samples, (list, tuple)):
        _refuse_labelled(samples)
    if _are_texts(samples):
        return "text", _check_texts(samples)
    if isinstance(samples, (list, tuple)) and len(samples) and isinstance(samples[0], os.PathLike):
        raise _of_files(samples[0])
    if isinstance(samples, (list, tuple)) and len(samples) and hasattr(samples[0], "getexif"):
        return "image", Images.of([of_picture(picture, f"image {i}") for i, picture in enumerate(samples)])
    if isinstance(samples, (list, tuple)) and len({getattr(sample, "shape", None) for sample in samples}) > 1:
        return "image", Images.of(list(samples))
    images = check_images(samples)
    if images.ndim == 3 and images.shape[2] in (1, 3, 4) and min(images.shape[:2]) > 4 and images.dtype == np.uint8:
        raise ValueError(f"images must be [samples, ...]; got {images.shape}, one image. For one, images[None].")
    if images.ndim == 3 and images.dtype == np.uint8:  # grey images without an axis of channels
        images = images[..., None]
    if images.dtype == np.uint8:
        images = channels_last(images)
    return ("image" if images.ndim == 4 and images.dtype == np.uint8 else "array"), images


def _numbers_of(frame: object) -> np.ndarray:
    try:
        return numbers_of_frame("samples", frame)
    except ValueError as error:
        raise ValueError(
            f"{error} Give the column of texts, or leave labels out: then the frame's own column of labels is read."
        ) from error


def _are_pairs(samples: object) -> bool:
    """Whether every sample is two texts."""
    return (
        isinstance(samples, (list, tuple))
        and bool(samples)
        and all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
            for pair in samples
        )
    )


def _refuse_labelled(samples: Sequence[Any]) -> None:
    """Raises ValueError for rows that hold more than a sample: columns by name, or a sample and its label."""
    first = samples[0] if len(samples) else None
    if isinstance(first, Mapping):
        raise ValueError("samples are dicts of columns; make a frame of them: pandas.DataFrame(samples).")
    if not isinstance(first, tuple) or len(first) != 2:
        return
    if isinstance(first[1], (int, str, np.integer)) and not isinstance(first[0], numbers.Number):
        raise ValueError(
            "samples are pairs of a sample and its label; give them apart: [sample for sample, _ in data], "
            "[label for _, label in data]."
        )


def _are_texts(samples: Any) -> bool:
    first = next(iter(samples), None) if hasattr(samples, "__iter__") and not hasattr(samples, "dtype") else None
    if isinstance(first, str) or (
        isinstance(samples, (list, tuple))
        and not hasattr(first, "shape")
        and any(isinstance(sample, str) for sample in samples)
    ):
        return True
    kind = getattr(getattr(samples, "dtype", None), "kind", "")
    if kind in ("O", "T") or str(getattr(samples, "dtype", "")).lower().startswith(("str", "large_string")):
        return any(isinstance(sample, str) for sample in samples)
    return kind == "U"


def _check_texts(texts: Any) -> list[str]:
    """Texts as a list of str.

    Raises:
      ValueError: one is no str, no Unicode, or empty; names the first, and how many there are. All are names of files.
    """
    texts = [str(text) if isinstance(text, str) else text for text in texts]
    wrong = [i for i, text in enumerate(texts) if not isinstance(text, str)]
    if wrong:
        raise ValueError(
            f"texts must be str; text {wrong[0]} is {type(texts[wrong[0]]).__name__} ({len(wrong)} of {len(texts)} "
            "texts). Leave those out, and their labels."
        )
    halves = [i for i, text in enumerate(texts) if not _is_unicode(text)]
    if halves:
        raise ValueError(
            f"texts must be Unicode; text {halves[0]} has half a character (a lone surrogate), which no tokenizer "
            f"takes ({len(halves)} of {len(texts)} texts). Mend them: text.encode(errors='replace').decode()."
        )
    if all(kind_of_file(text) for text in texts) and os.path.isfile(texts[0]):
        raise _of_files(texts[0])
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ValueError(
            f"texts must not be empty; text {empty[0]} is ({len(empty)} of {len(texts)} texts). Leave those out, and "
            "their labels."
        )
    return texts


def _of_files(name: object) -> ValueError:
    """The error of names of files, of which this is one."""
    role = kind_of_file(str(name)) or "image"
    return ValueError(
        f"samples are names of files ({printable(shortened(str(name), 60))}), and no samples. Read the files: "
        f"load_dataset(pandas.DataFrame({{{role!r}: names, 'label': labels}}))."
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_images(images: object) -> np.ndarray:
    """Images, or other arrays, as an array `[samples, ...]` of finite numbers.

    Raises:
      ValueError: there are none; images are integers of another range than 0 to 255; or one is not finite, and then
        the first is named.
    """
    if np.ma.isMaskedArray(images):
        raise ValueError("images must not be a masked array, whose mask would be lost. Fill it: images.filled(value).")
    images = np.asarray(images)
    if images.ndim < 2 or not len(images):
        raise ValueError(f"images must be an array (samples, ...) with at least one sample; got shape {images.shape}.")
    _check_dtype(images)
    if images.dtype.kind not in "biu":
        if images.dtype.itemsize < 4:  # float16, bfloat16
            images = images.astype(np.float32)
        with np.errstate(all="ignore"):
            largest = np.abs(images.reshape(len(images), -1)).max(axis=1)
            wrong = np.flatnonzero(~(largest <= np.finfo(np.float32).max))
        if len(wrong):
            image = images[wrong[0]]
            bad = image[~(np.abs(image) <= np.finfo(np.float32).max)][0]
            raise ValueError(
                f"images must be finite in float32; image {wrong[0]} has {bad} ({len(wrong)} of "
                f"{len(images)} images). Leave those out, and their labels."
            )
    return images


def _check_dtype(images: np.ndarray) -> None:
    """Raises ValueError unless an array holds numbers, and images uint8 or floating-point ones."""
    if images.dtype.kind in "US":
        raise ValueError(
            f"samples must be texts, images or arrays of numbers; got text of shape {images.shape}. Join the texts of "
            "each sample into one."
        )
    if images.dtype.kind == "O":
        raise ValueError(
            f"samples must be texts, images or arrays of numbers, all of one kind; got {type(images.flat[0]).__name__}."
        )
    if images.dtype.kind not in "biuf" and not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images must be numbers; got dtype {images.dtype}.")
    if images.ndim == 4 and images.dtype.kind in "iub" and images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 (0 to 255) or floating point; got {images.dtype}.")
