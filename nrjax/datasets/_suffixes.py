"""What a file holds, by its name."""

import os
from typing import Literal

from nrjax.datasets._decode import image_suffixes
from nrjax.datasets._sound_files import SOUND_SUFFIXES

FileKind = Literal["image", "audio"]


def suffix_of(name: str) -> str:
    """The suffix of a file's name in lower case."""
    return os.path.splitext(name)[1].lower()


def kind_of_file(name: str) -> FileKind | None:
    """What a file holds that is a sample; None for any other file."""
    suffix = suffix_of(name)
    return "image" if suffix in image_suffixes() else "audio" if suffix in SOUND_SUFFIXES else None
