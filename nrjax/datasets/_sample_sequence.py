"""Samples that are neither an array nor plain texts: images of several sizes, words, pairs, recordings, positions."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np

Kind = Literal["image", "text", "array", "words", "pair", "audio", "position"]


class SampleSequence(Sequence[Any], abc.ABC):
    """One sample an index; a sample may share its text, picture or recording with others.

    Attributes:
      kind: of the samples.
      batch_size: samples that go through a model at once on a CPU; None goes by the size of one sample.
    """

    kind: Kind
    batch_size: int | None = None

    @abc.abstractmethod
    def take(self, rows: np.ndarray) -> Self:
        """The samples at `rows`, in this order."""

    @abc.abstractmethod
    def content(self) -> Iterator[bytes | np.ndarray]:
        """All that decides the features, sample by sample; for a fingerprint."""

    def batch_order(self) -> np.ndarray:
        """The order in which samples go through a model: those that share something, or are of one length, together."""
        return np.arange(len(self))
