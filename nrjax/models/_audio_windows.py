"""Recordings in windows that a model takes, and the average of the windows' vectors."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nrjax.datasets import Recording

AHEAD = 2048.0  # seconds of sound of one batch that threads prepare before the model runs
Arrays = Mapping[str, np.ndarray]


class Window(NamedTuple):
    """A stretch of a recording: `row` of the batch, and its first and last sample at the recording's own rate."""

    row: int
    start: int
    stop: int


def split_evenly(recording: Recording, row: int, seconds: float) -> list[Window]:
    """Windows of equal length (but for one sample), none longer than `seconds`: as few as there can be."""
    length = len(recording)
    count = -(-length // max(1, round(seconds * recording.rate)))
    bounds = [length * i // count for i in range(count + 1)]
    return [Window(row, *pair) for pair in itertools.pairwise(bounds)]


class WindowBatch:
    """The windows of some recordings, in parts of at most as many windows as there are recordings.

    The first parts are prepared at once, by the thread that makes the batch; those of long recordings when their turn
    comes, so that hours of sound are never in memory together.

    Attributes:
      windows: number of windows of every recording.
    """

    def __init__(
        self, recordings: Sequence[Recording], seconds: float, rate: int,
        prepare: Callable[[list[np.ndarray]], Arrays],
    ):  # fmt: skip
        self._recordings, self._rate, self._prepare = recordings, rate, prepare
        windows = [
            window for row, recording in enumerate(recordings) for window in split_evenly(recording, row, seconds)
        ]
        self.windows = np.bincount([window.row for window in windows])
        windows.sort(key=self._seconds, reverse=True)  # a part is as long as its longest window
        self._parts = [windows[i : i + len(recordings)] for i in range(0, len(windows), len(recordings))]
        self._ready: list[Arrays] = []
        ahead = 0.0
        for part in self._parts:
            ahead += sum(map(self._seconds, part))
            if ahead > AHEAD:
                break
            self._ready.append(self._read(part))

    def __len__(self) -> int:
        return len(self._recordings)

    def parts(self) -> Iterator[tuple[list[Window], Arrays]]:
        """Windows, and what the model takes of them."""
        for i, part in enumerate(self._parts):
            yield part, self._ready[i] if i < len(self._ready) else self._read(part)

    def average(self, embed: Callable[[Arrays], Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Vectors `[recordings, dims]` of every layer: means over the windows of each, by their length.

        Args:
          embed: from what the model takes of some windows to `[windows, dims]` of every layer.
        """
        sums: list[np.ndarray] = []
        total = np.zeros((len(self), 1))
        for part, arrays in self.parts():
            rows = [window.row for window in part]
            weights = np.array([[self._seconds(window)] for window in part])
            layers = embed(arrays)
            if len(self._parts) == 1 and (self.windows == 1).all():
                return [vectors[np.argsort(rows)] for vectors in layers]
            sums = sums or [np.zeros((len(self), vectors.shape[1])) for vectors in layers]
            for sum_, vectors in zip(sums, layers, strict=True):
                np.add.at(sum_, rows, weights * vectors)
            np.add.at(total, rows, weights)
        return [(sum_ / total).astype(np.float32) for sum_ in sums]

    def _read(self, part: list[Window]) -> Arrays:
        return self._prepare([self._recordings[row].at_rate(self._rate, start, stop) for row, start, stop in part])

    def _seconds(self, window: Window) -> float:
        return (window.stop - window.start) / self._recordings[window.row].rate
