"""Which columns of a table are its labels, its texts, its images and its recordings."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nrjax._utils.messages import printable, shortened
from nrjax.datasets._columns import Columns
from nrjax.datasets._suffixes import kind_of_file

TEXTS, IMAGES = ("text", "sentence", "content"), ("image", "path", "file", "filename", "file_name", "image_path")
AUDIO, OF_IMAGES = ("audio", "audio_path"), ("image", "image_path")
LABELS = ("label", "labels", "target", "class", "category")
TOKENS, TAGS = ("tokens", "words"), ("ner_tags", "tags", "pos", "pos_tags")
Names = str | Sequence[str] | None  # of columns: one, several, or several joined by commas


@dataclasses.dataclass(frozen=True)
class ColumnChoice:
    """What a user says of the columns of a table; None leaves the choice to usual names.

    Attributes:
      text: texts, or several columns of them; two are pairs.
      image: paths of images, or pictures.
      label: labels, or several columns of numbers or of 0 and 1.
      groups: what samples that belong together have in common.
      tokens: lists of the words of sentences, whose labels are lists of a tag for each word.
      keep_prefixes: whether tags keep `B-`, `I-` and the like.
      audio: paths of recordings, or recordings.
      mask: masks beside the images, class ids for every pixel.
    """

    text: Names = None
    image: str | None = None
    label: Names = None
    groups: str | None = None
    tokens: str | None = None
    keep_prefixes: bool = False
    audio: str | None = None
    mask: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said, as of data that have no columns."""
        return self == ColumnChoice()


@dataclasses.dataclass(frozen=True)
class Roles:
    """Names of columns; without texts, an image and a recording the other columns are numbers."""

    texts: list[str]
    image: str | None
    audio: str | None
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
    image, audio, groups = (_split_names(n, columns)[:1] for n in (choice.image, choice.audio, choice.groups))
    for role, names in (("text", texts), ("image", image), ("audio", audio), ("label", labels), ("groups", groups)):
        for name in names:
            if name not in columns:
                raise ValueError(f"{who} has no column {name!r} for the {role}; it has {listed}.")
    labels = labels or [name for name in LABELS if name in columns][:1]
    if not labels:
        raise ValueError(
            f"{who} has no column of labels; name it: label=, on the command line --label. It has {listed}."
        )
    if audio and (texts or image):
        raise ValueError(f"{who}: audio={audio[0]!r} makes recordings the samples; leave text and image out.")
    if not texts and not image and not audio:
        others = [name for name in columns if name not in (*labels, *groups)]
        texts = [name for name in TEXTS if name in others][:1]
        image = [name for name in IMAGES if name in others][:1]
        if texts and image:  # pictures go before texts, and texts before paths
            texts, image = ([], image) if _holds_pictures(columns[image[0]]) else (texts, [])
        if not texts:
            image, audio = _image_or_audio(columns, image, others)
    return Roles(texts, next(iter(image), None), next(iter(audio), None), labels, next(iter(groups), None))


def _image_or_audio(columns: Columns, image: list[str], others: Sequence[str]) -> tuple[list[str], list[str]]:
    """The column of images or that of recordings: by their own names, else by the suffix of the first path."""
    if image and image[0] in OF_IMAGES:
        return image, []
    audio = [name for name in AUDIO if name in others][:1]
    if audio and isinstance(_first(columns[audio[0]]), (str, bytes, Path, Mapping)):
        return [], audio
    value = _first(columns[image[0]]) if image else None
    if isinstance(value, (str, Path)) and kind_of_file(str(value)) == "audio":
        return [], image
    return image, []


def choose_word_columns(who: str, columns: Columns, choice: ColumnChoice) -> tuple[str, str] | None:
    """The columns of words and of tags; None where the table has no words.

    Without a name from the user both must hold lists.

    Raises:
      ValueError: a column that is not there, words without tags, or words beside texts or images.
    """
    listed = ", ".join(printable(shortened(str(name), 60)) for name in list(columns)[:20])
    labels = _split_names(choice.label, columns)
    if choice.tokens is None:
        if choice.text is not None or choice.image is not None or len(labels) > 1:
            return None
        tokens = next((name for name in TOKENS if name in columns and _holds_lists(columns[name])), None)
        tags = labels or [name for name in (*LABELS, *TAGS) if name in columns][:1]
        if tokens is None or not tags or tags[0] not in columns or not _holds_lists(columns[tags[0]]):
            return None
        return tokens, tags[0]
    if choice.text is not None or choice.image is not None:
        raise ValueError(f"{who}: tokens names the samples, words; leave text and image out.")
    labels = labels or [name for name in (*LABELS, *TAGS) if name in columns][:1]
    if len(labels) != 1:
        raise ValueError(
            f"{who}: tokens needs one column of lists of tags; name it: label=, on the command line --label. It has "
            f"{listed}."
        )
    for role, name in (("tokens", choice.tokens), ("label", labels[0])):
        if name not in columns:
            raise ValueError(f"{who} has no column {name!r} for the {role}; it has {listed}.")
    return choice.tokens, labels[0]


def _split_names(names: Names, columns: Mapping[str, object]) -> list[str]:
    """Names of columns: one, or several in a list or joined by commas."""
    if names is None:
        return []
    if not isinstance(names, str):
        return list(names)
    parts = [part.strip() for part in names.split(",")]
    are_several = names not in columns and len(parts) > 1 and all(part in columns for part in parts)
    return parts if are_several else [names]


def _holds_lists(values: Sequence[object]) -> bool:
    first = next((value for value in values if value is not None), None)
    return isinstance(first, (list, tuple)) or (isinstance(first, np.ndarray) and first.ndim == 1)


def _holds_pictures(values: Sequence[object]) -> bool:
    return isinstance(_first(values), (bytes, Mapping, Image.Image, np.ndarray))


def _first(values: Sequence[object]) -> Any:
    return next((value for value in values if value is not None), None)
