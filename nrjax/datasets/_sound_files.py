"""Encoded recordings: formats that are read, block by block, mixed to one channel."""

# pyright: reportMissingImports=false

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, shortened
from nrjax._utils.paths import check_regular
from nrjax.datasets._resample import MOST_TERMS, ratio
from nrjax.errors import BrokenRecording

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"})
FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF")  # others of libsndfile are rare and untested
BLOCK = 1 << 20  # numbers that are decoded at once, of all channels
SLOWEST, FASTEST = 1_000, 768_000  # samples a second


@contextlib.contextmanager
def open_sound(source: bytes | Path, who: str) -> Iterator[Any]:
    """A `soundfile.SoundFile` of the bytes of a file, or of its path.

    Raises:
      BrokenRecording: it is no regular file, or no recording of a known format.
      MissingFramework: soundfile is not installed.
    """
    soundfile: Any = framework("soundfile", who)
    try:
        given = io.BytesIO(source) if isinstance(source, bytes) else os.fsencode(check_regular(source, who))
        with soundfile.SoundFile(given) as file:
            if file.format not in FORMATS:
                raise BrokenRecording(f"{who} has format {file.format}, which is not read: {', '.join(FORMATS)}.")
            if not SLOWEST <= file.samplerate <= FASTEST:
                raise BrokenRecording(
                    f"{who} has {file.samplerate:,} samples a second; {SLOWEST:,} to {FASTEST:,} are read."
                )
            yield file
    except BrokenRecording:
        raise
    except (soundfile.SoundFileError, ValueError, OSError, RuntimeError, TypeError) as error:
        text = shortened(getattr(error, "error_string", first_line(error)), 200)  # libsndfile's, without the path
        text = text if text.startswith(who) else f"{who} cannot be read as a recording: {text}"
        raise BrokenRecording(text) from error


def blocks_of(file: Any, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Float32 blocks `[time]` of an open file: the mean of its channels, full scale is 1.

    A header decides no size: blocks are small, and the file ends where nothing more comes.
    """
    if start:
        file.seek(start)
    most = max(1, BLOCK // file.channels)
    left = most if stop is None else stop - start
    while left > 0:
        values = file.read(min(most, left), dtype="float32", always_2d=True)
        if not len(values):
            return
        yield values[:, 0] if values.shape[1] == 1 else values.mean(axis=1, dtype=np.float32)
        left -= 0 if stop is None else len(values)


def check_ratio(rate: int, to: int, who: str) -> None:
    """Raises BrokenRecording where a rate has no small ratio to that of a model, so that a filter would be enormous."""
    if max(ratio(rate, to)) > MOST_TERMS:
        raise BrokenRecording(f"{who} has {rate:,} samples a second, which cannot be brought to {to:,}; resample it.")
