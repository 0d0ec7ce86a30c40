"""Which columns of a table are its labels, its texts and its images."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from nrjax._utils.messages import printable, shortened
from nrjax.datasets._columns import Columns

TEXTS, IMAGES = ("text", "sentence", "content"), ("image", "path", "file", "filename", "file_name", "image_path")
LABELS = ("label", "labels", "target", "class", "category")


class Roles(NamedTuple):
    """Names of columns; without texts and an image the other columns are numbers."""

    texts: list[str]
    image: str | None
    label: str


def choose_columns(
    who: str, columns: Columns, text: str | Sequence[str] | None, image: str | None, label: str | None
) -> Roles:
    """The columns that the user names, or those with usual names.

    Raises:
      ValueError: a column that is not there, or no column of labels.
    """
    texts = _split_names(text, columns)
    listed = ", ".join(printable(shortened(str(name), 60)) for name in list(columns)[:20])
    for role, names in (
        ("text", texts), ("image", _split_names(image, columns)), ("label", _split_names(label, columns)),
    ):  # fmt: skip
        for name in names:
            if name not in columns:
                raise ValueError(f"{who} has no column {name!r} for the {role}; it has {listed}.")
    label = label or next((name for name in LABELS if name in columns), None)
    if label is None:
        raise ValueError(
            f"{who} has no column of labels; name it: label=, on the command line --label. It has {listed}."
        )
    if not texts and image is None:
        texts = [name for name in TEXTS if name in columns and name != label][:1]
        image = next((name for name in IMAGES if name in columns and name != label), None)
        if texts and image is not None:  # pictures go before texts, and texts before paths
            texts, image = ([], image) if _holds_pictures(columns[image]) else (texts, None)
    return Roles(texts, image, label)


def _split_names(names: str | Sequence[str] | None, columns: Mapping[str, Any]) -> list[str]:
    """Names of columns: one, or several in a list or joined by commas."""
    if names is None:
        return []
    if not isinstance(names, str):
        return list(names)
    parts = [part.strip() for part in names.split(",")]
    are_several = names not in columns and len(parts) > 1 and all(part in columns for part in parts)
    return parts if are_several else [names]


def _holds_pictures(values: Sequence[Any]) -> bool:
    first = next((value for value in values if value is not None), None)
    return isinstance(first, (bytes, Mapping, Image.Image, np.ndarray))
