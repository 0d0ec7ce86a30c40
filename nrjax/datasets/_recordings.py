"""Recordings: files that are decoded when they are looked up, or waveforms in memory."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from nrjax.datasets._resample import ratio, reach, resample
from nrjax.datasets._sample_sequence import Kind, SampleSequence
from nrjax.datasets._sound_files import FASTEST, SLOWEST, blocks_of, check_ratio, open_sound
from nrjax.errors import BrokenRecording

LONG = 30.0  # seconds; models take longer recordings in windows
AT_ONCE = 8  # recordings that go through a model together on a CPU


class Waveform(NamedTuple):
    """A recording in memory: float32 `[time]`, and its rate."""

    values: np.ndarray
    rate: int


class Cell(NamedTuple):
    """A cell of a column with the bytes of files: looked up when it is read, so that no file stays in memory."""

    column: Sequence[Any]
    row: int

    def load(self) -> Any:
        """The bytes of the file."""
        value = self.column[self.row]
        return value["bytes"] if isinstance(value, Mapping) else value


Content = Path | bytes | Waveform | Cell


class Recording:
    """One recording; a file is decoded whenever it is read.

    Attributes:
      who: its name in errors.
      rate: samples a second.
    """

    def __init__(self, who: str, content: Content, length: int, rate: int):
        self.who: str = who
        self.rate: int = rate
        self._content, self._length = content, length

    def __len__(self) -> int:
        return self._length

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self._length / self.rate

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples `start` to `stop`, float32 `[time]`, one channel, at its own rate.

        Raises:
          BrokenRecording: the file has changed since it was checked.
        """
        stop = self._length if stop is None else stop
        if isinstance(self._content, Waveform):
            return self._content.values[start:stop]
        content = self._content.load() if isinstance(self._content, Cell) else self._content
        with open_sound(content, self.who) as file:
            blocks = list(blocks_of(file, start, stop))
        values = blocks[0] if len(blocks) == 1 else np.concatenate([np.zeros(0, np.float32), *blocks])
        if len(values) != stop - start:
            raise BrokenRecording(f"{self.who} has other content than when it was checked.")
        return values

    def at_rate(self, rate: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples `start` to `stop` (at its own rate) at another rate.

        What lies around them is read with them, so that a stretch is what it is within the whole recording.
        """
        stop = self._length if stop is None else stop
        if rate == self.rate:
            return self.read(start, stop)
        check_ratio(self.rate, rate, self.who)
        up, down = ratio(self.rate, rate)
        margin = reach(self.rate, rate)
        before = min(margin, start // down * down)
        waveform = resample(self.read(start - before, min(stop + margin, self._length)), self.rate, rate)
        first = before // down * up
        return waveform[first : first + -(-(stop - start) * up // down)]

    def content(self) -> bytes | np.ndarray:
        """What decides its waveform: the digest of the file, or the numbers."""
        if isinstance(self._content, Waveform):
            return self._content.values
        content = self._content.load() if isinstance(self._content, Cell) else self._content
        if isinstance(content, bytes):
            return hashlib.sha256(content).digest()
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()


class Recordings(SampleSequence):
    """Recordings of any length and rate; none is in memory before a model reads it, unless it was an array.

    Examples:
      >>> tones = [np.sin(np.arange(8000) * pitch) for pitch in (0.1, 0.2)]
      >>> recordings = nrjax.Recordings.of(tones, rate=16000)
      >>> len(recordings), recordings[0].rate
      (2, 16000)
    """

    kind: Kind = "audio"
    batch_size: int | None = AT_ONCE

    def __init__(self, recordings: Sequence[Recording]):
        self._recordings = list(recordings)

    @classmethod
    def of(cls, waveforms: Sequence[ArrayLike] | np.ndarray, rate: int | Sequence[int]) -> "Recordings":
        """Recordings that are arrays in memory.

        Args:
          waveforms: arrays `[time]` of one channel; floats with full scale 1, or int16 or int32.
          rate: samples a second, of all of them or of each.

        Raises:
          ValueError: one is empty, silent, not finite or of more than one channel.
        """
        rates = [rate] * len(waveforms) if isinstance(rate, (int, np.integer)) else list(rate)
        if len(rates) != len(waveforms) or not len(waveforms):
            raise ValueError(f"recordings need a rate each; got {len(waveforms)} waveforms and {len(rates)} rates.")
        return cls([recording_of(f"recording {i}", *pair) for i, pair in enumerate(zip(waveforms, rates, strict=True))])

    def __len__(self) -> int:
        return len(self._recordings)

    @overload
    def __getitem__(self, index: int) -> Recording: ...
    @overload
    def __getitem__(self, index: slice) -> list[Recording]: ...
    def __getitem__(self, index: int | slice) -> Recording | list[Recording]:
        return self._recordings[index]

    def take(self, rows: np.ndarray) -> "Recordings":
        """The recordings at `rows`, in this order."""
        return Recordings([self._recordings[i] for i in rows])

    def content(self) -> Iterator[bytes | np.ndarray]:
        """Rate and waveform of every recording."""
        for recording in self._recordings:
            yield f"{recording.rate}".encode()
            yield recording.content()

    def batch_order(self) -> np.ndarray:
        """The longest first, because what does not fit shows at once; of those in windows the shortest first."""
        seconds = np.array([recording.seconds for recording in self._recordings])
        return np.lexsort((seconds, -np.minimum(seconds, LONG)))


def recording_of(who: str, waveform: Any, rate: Any) -> Recording:
    """A recording of an array `[time]`; see `Recordings.of` for errors."""
    values = np.asarray(waveform)
    if values.ndim != 1:
        raise BrokenRecording(f"{who} must be an array (time,) of one channel; got shape {values.shape}.")
    if values.dtype.kind not in "if" or values.dtype.itemsize == 1:
        raise BrokenRecording(f"{who} must be floats with full scale 1, int16 or int32; got {values.dtype}.")
    if int(rate) != rate or not SLOWEST <= rate <= FASTEST:
        raise BrokenRecording(f"{who}: the rate must be {SLOWEST:,} to {FASTEST:,} samples a second; got {rate}.")
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (1 - 8 * values.dtype.itemsize)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32) if scale == 1.0 else values.astype(np.float32) * np.float32(scale)
    problem = problem_of(values)
    if problem:
        raise BrokenRecording(f"{who} {problem}")
    return Recording(who, Waveform(values, int(rate)), len(values), int(rate))


def problem_of(values: np.ndarray) -> str | None:
    """What is wrong with a whole waveform; None where nothing is."""
    if not len(values):
        return "has no samples."
    if not np.isfinite(values).all():
        return "has samples that are not finite."
    return None if values.any() else "is silent: all of its samples are 0."
