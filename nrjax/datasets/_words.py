"""Words of sentences as samples: each is a sentence and a place in it."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np

from nrjax.datasets._sample_sequence import SampleSequence


class Word(NamedTuple):
    """A word of a sentence.

    Attributes:
      sentence: all words of the sentence, in order.
      place: of the word in the sentence, from 0.
    """

    sentence: tuple[str, ...]
    place: int

    @property
    def text(self) -> str:
        """The word alone."""
        return self.sentence[self.place]


class Words(SampleSequence):
    """Words of sentences, one sample each; `Words.of(sentences)` has all of them.

    Args:
      sentences: lists of words.
      sentence: the index of each sample's sentence, `[samples]`.
      place: of each sample in its sentence, `[samples]`.
    """

    kind = "words"
    batch_size = 1024  # about 64 sentences

    def __init__(self, sentences: Sequence[Sequence[str]], sentence: np.ndarray, place: np.ndarray):
        self.sentences = [tuple(words) for words in sentences]
        self.sentence, self.place = np.asarray(sentence, np.int64), np.asarray(place, np.int64)

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]]) -> "Words":
        """All words of sentences, in their order."""
        lengths = [len(words) for words in sentences]
        sentence = np.repeat(np.arange(len(lengths)), lengths)
        place = np.concatenate([np.zeros(0, int), *map(np.arange, lengths)])
        return cls(sentences, sentence, place)

    def __len__(self) -> int:
        return len(self.sentence)

    @overload
    def __getitem__(self, index: int) -> Word: ...
    @overload
    def __getitem__(self, index: slice) -> list[Word]: ...
    def __getitem__(self, index: int | slice) -> Word | list[Word]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Word(self.sentences[self.sentence[index]], int(self.place[index]))

    def take(self, rows: np.ndarray) -> "Words":
        """The words at `rows`, in this order, with their whole sentences."""
        used, sentence = np.unique(self.sentence[rows], return_inverse=True)
        return Words([self.sentences[i] for i in used], sentence.reshape(-1), self.place[rows])

    def content(self) -> Iterator[bytes]:
        """The place of every word, and before the first of each run of one sentence the sentence."""
        last = -1
        for sentence, place in zip(self.sentence.tolist(), self.place.tolist(), strict=True):
            if sentence != last:
                yield json.dumps(self.sentences[sentence]).encode()
                last = sentence
            yield str(place).encode()

    def batch_order(self) -> np.ndarray:
        """Sentences of most characters first, those of one length together, and the words of a sentence in order."""
        lengths = np.array([sum(map(len, words)) + len(words) for words in self.sentences], int)
        return np.lexsort((self.place, self.sentence, -lengths[self.sentence]))
