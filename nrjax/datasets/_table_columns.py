"""Which columns of a table are its labels, its texts and its images."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from nrjax._utils.messages import printable, shortened
from nrjax.datasets._columns import Columns

TEXTS, IMAGES = ("text", "sentence", "content"), ("image", "path", "file", "filename", "file_name", "image_path")
LABELS = ("label", "labels", "target", "class", "category")
Names = str | Sequence[str] | None  # of columns: one, several, or several joined by commas


@dataclasses.dataclass(frozen=True)
class ColumnChoice:
    """What a user says of the columns of a table; None leaves the choice to usual names.

    Attributes:
      text: texts, or several columns of them.
      image: paths of images, or pictures.
      label: labels, or several columns of numbers or of 0 and 1.
      groups: what samples that belong together have in common.
      tokens: lists of the words of sentences, whose labels are lists of a tag for each word.
      mask: masks beside the images, class ids for every pixel.
    """

    text: Names = None
    image: str | None = None
    label: Names = None
    groups: str | None = None
    tokens: str | None = None
    mask: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said, as of data that have no columns."""
        return self == ColumnChoice()


@dataclasses.dataclass(frozen=True)
class Roles:
    """Names of columns; without texts and an image the other columns are numbers."""

    texts: list[str]
    image: str | None
    labels: list[str]
    groups: str | None

    @property
    def of_target(self) -> list[str]:
        """The columns that are no features."""
        return self.labels + ([self.groups] if self.groups else [])


def choose_columns(who: str, columns: Columns, choice: ColumnChoice) -> Roles:
    """The columns that the user names, or those with usual names.

    Raises:
      ValueError: a column that is not there, or no column of labels.
    """
    texts, labels = _split_names(choice.text, columns), _split_names(choice.label, columns)
    listed = ", ".join(printable(shortened(str(name), 60)) for name in list(columns)[:20])
    image, groups = _split_names(choice.image, columns)[:1], _split_names(choice.groups, columns)[:1]
    for role, names in (("text", texts), ("image", image), ("label", labels), ("groups", groups)):
        for name in names:
            if name not in columns:
                raise ValueError(f"{who} has no column {name!r} for the {role}; it has {listed}.")
    labels = labels or [name for name in LABELS if name in columns][:1]
    if not labels:
        raise ValueError(
            f"{who} has no column of labels; name it: label=, on the command line --label. It has {listed}."
        )
    if not texts and not image:
        others = [name for name in columns if name not in (*labels, *groups)]
        texts = [name for name in TEXTS if name in others][:1]
        image = [name for name in IMAGES if name in others][:1]
        if texts and image:  # pictures go before texts, and texts before paths
            texts, image = ([], image) if _holds_pictures(columns[image[0]]) else (texts, [])
    return Roles(texts, next(iter(image), None), labels, next(iter(groups), None))


def _split_names(names: Names, columns: Mapping[str, Any]) -> list[str]:
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
