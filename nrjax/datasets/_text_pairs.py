"""Pairs of texts as samples, such as a premise and a hypothesis."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np

from nrjax.datasets._sample_sequence import SampleSequence


class Pair(NamedTuple):
    """Two texts."""

    first: str
    second: str


class Pairs(SampleSequence):
    """Pairs of texts, one sample each.

    Args:
      pairs: of two texts.
    """

    kind = "pair"
    batch_size = 32  # 64 texts

    def __init__(self, pairs: Iterable[tuple[str, str]]):
        self._pairs = [Pair(*map(str, pair)) for pair in pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        return self._pairs[index]

    def take(self, rows: np.ndarray) -> "Pairs":
        """The pairs at `rows`, in this order."""
        return Pairs([self._pairs[i] for i in rows])

    def content(self) -> Iterator[bytes]:
        """Both texts of every pair."""
        for pair in self._pairs:
            yield from (text.encode("utf-8", "surrogatepass") for text in pair)

    def batch_order(self) -> np.ndarray:
        """Pairs of most characters first, and those of one length together."""
        return np.argsort([-len(pair.first) - len(pair.second) for pair in self._pairs], kind="stable")


def pairs_of(columns: Sequence[Sequence[object]]) -> list[Pair | None]:
    """Pairs of the texts of two columns; None where one of a row is no text."""
    rows = zip(*columns, strict=True)
    return [Pair(*row) if all(isinstance(text, str) for text in row) else None for row in rows]  # pyright: ignore
