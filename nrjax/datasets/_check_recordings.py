"""Every recording of a data set is decoded once before any model runs; what cannot be used is named."""

import collections
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax.datasets._check_images import THREADS, WAY_OUT
from nrjax.datasets._recordings import Cell, Content, Recording, Recordings, Waveform, recording_of
from nrjax.datasets._sound_files import blocks_of, open_sound
from nrjax.errors import BrokenRecording

EXACT = ("WAV", "WAVEX", "RF64", "FLAC", "AIFF")  # formats whose header says how long a recording is


class RecordingSource(Protocol):
    """Labelled recordings by their index."""

    labels: np.ndarray
    class_names: list[str]

    def recordings(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of each: a path, the bytes of a file, a `Waveform`, or what is wrong with it."""
        ...


def check_all(
    source: RecordingSource, indices: np.ndarray, skip_broken: bool, who: str
) -> tuple[Recordings, np.ndarray, list[str]]:
    """The recordings that can be used, their indices, and what is wrong with the others.

    Raises:
      BrokenRecording: the first one that is silent, empty, not finite or cannot be read, unless such are left out.
      MissingFramework: soundfile is not installed.
    """
    framework("soundfile", who)
    recordings, good, left_out = [], [], []
    for index, checked in zip(indices, _in_threads(_attempt, source.recordings(indices)), strict=True):
        if isinstance(checked, Recording):
            recordings.append(checked)
            good.append(index)
        elif skip_broken:
            left_out.append(str(checked))
        else:
            raise BrokenRecording(f"{checked} {WAY_OUT}") from checked
    return Recordings(recordings), np.array(good, np.int64), left_out


def check_recording(who: str, content: Content | BrokenRecording) -> Recording:
    """Decodes a recording once, block by block.

    Raises:
      BrokenRecording: it cannot be used.
    """
    if isinstance(content, BrokenRecording):
        raise content
    if isinstance(content, Waveform):
        return recording_of(who, *content)
    length, is_silent = 0, True
    with open_sound(content.load() if isinstance(content, Cell) else content, who) as file:
        expected = file.frames if file.format in EXACT else None
        for block in blocks_of(file):
            if not np.isfinite(block).all():
                raise BrokenRecording(f"{who} has samples that are not finite.")
            length += len(block)
            is_silent = is_silent and not block.any()
        rate, channels = file.samplerate, file.channels
    if not length:
        raise BrokenRecording(f"{who} has no samples.")
    if expected is not None and length < expected:
        raise BrokenRecording(f"{who} is cut off: {length:,} of its {expected:,} samples are there.")
    if is_silent:
        mixed = f" (the means of {channels} channels)" * (channels > 1)
        raise BrokenRecording(f"{who} is silent: all of its samples{mixed} are 0.")
    return Recording(who, content, length, rate)


def _attempt(named: tuple[str, Any]) -> Recording | BrokenRecording:
    try:
        return check_recording(*named)
    except BrokenRecording as error:
        return error


def _in_threads(attempt: Callable[[Any], Any], items: Iterator[object]) -> Iterator[Any]:
    """Results in order; as many are worked on as there are threads."""
    waiting: collections.deque[Future] = collections.deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="nrjax-decode") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(attempt, item))
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
