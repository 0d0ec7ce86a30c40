"""Words of sentences in models of Hugging Face: their pieces by the tokenizer's own map, and vectors of those."""

# pyright: reportMissingImports=false

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nrjax.datasets import Word

ROWS = 64  # sentences or windows that run at once


class WordBatch(NamedTuple):
    """Words of sentences as a model takes them.

    Attributes:
      tokens: arrays `[windows, tokens]` of the tokenizer. A sentence is one window, or several where it is long.
      windows: the window of every piece of the words, `[pieces]`, word by word.
      places: the token of every piece in its window, `[pieces]`.
      counts: pieces of every word, `[words]`.
      long: whether a word's sentence has several windows, `[words]`.
      words: the words as text.
    """

    tokens: dict[str, np.ndarray]
    windows: np.ndarray
    places: np.ndarray
    counts: np.ndarray
    long: np.ndarray
    words: list[str]


class _Pieces(NamedTuple):
    """The pieces of one sentence, in order.

    Attributes:
      words: the place of each piece's word in the sentence.
      windows: the window of each, among those of the batch.
      places: its token in the window.
      several: whether the sentence has several windows.
    """

    words: np.ndarray
    windows: np.ndarray
    places: np.ndarray
    several: bool


def word_tokenizer(tokenizer: Any, longest: int, lower: bool, who: str) -> Callable[[Sequence[Word]], WordBatch]:
    """A function from words to a batch; every distinct sentence is tokenized once.

    Args:
      tokenizer: of transformers.
      longest: number of tokens of a window; windows of a sentence overlap by half.
      lower: whether words become lower case first.
      who: what errors name.
    """
    if not tokenizer.is_fast:

        def refuse(words: Sequence[Word]) -> WordBatch:
            raise ValueError(
                f"{who}: its tokenizer does not say which word a piece belongs to (word_ids), as fast ones do; convert "
                "it to a tokenizer.json to have vectors of words."
            )

        return refuse
    tokenizer = copy.deepcopy(tokenizer)
    pre_tokenizer = tokenizer.backend_tokenizer.pre_tokenizer
    joins_spaces = pre_tokenizer is not None and b"ByteLevel" in pre_tokenizer.__getstate__()  # a space begins a word
    if joins_spaces:
        tokenizer.add_prefix_space = True  # else it refuses lists of words
    special = tokenizer.num_special_tokens_to_add()
    overlap = max(0, longest - special) // 2
    lock = threading.Lock()

    def encode(sentences: Sequence[tuple[str, ...]]) -> Any:
        texts = [[" " * joins_spaces + (word.lower() if lower else word) for word in words] for words in sentences]
        with lock:
            return tokenizer(
                texts, is_split_into_words=True, padding=True, truncation=True, max_length=longest, stride=overlap,
                return_overflowing_tokens=True, return_tensors="np",
            )  # fmt: skip

    def prepare(words: Sequence[Word]) -> WordBatch:
        sentences = list(dict.fromkeys(word.sentence for word in words))
        encoded = encode(sentences)
        owners = np.asarray(encoded.pop("overflow_to_sample_mapping"))
        pieces = [
            _pieces_of([encoded.encodings[row].word_ids for row in rows], rows, longest - special - overlap)
            for rows in (np.flatnonzero(owners == i) for i in range(len(sentences)))
        ]
        index = {sentence: i for i, sentence in enumerate(sentences)}
        chosen = [(pieces[index[word.sentence]], word.place) for word in words]
        spans = [np.flatnonzero(of_sentence.words == place) for of_sentence, place in chosen]
        arrays = {key: np.asarray(value, np.int64) for key, value in encoded.items()}
        return WordBatch(
            arrays,
            np.concatenate([part.windows[span] for (part, _), span in zip(chosen, spans, strict=True)]),
            np.concatenate([part.places[span] for (part, _), span in zip(chosen, spans, strict=True)]),
            np.array([len(span) for span in spans]),
            np.array([part.several for part, _ in chosen]),
            [word.text for word in words],
        )

    return prepare


def _pieces_of(word_ids: Sequence[Sequence[int | None]], rows: np.ndarray, step: int) -> _Pieces:
    """The pieces of a sentence, each in the window in which it is farthest from where the sentence is cut.

    Args:
      word_ids: of the tokens of each window; None for tokens that are no pieces.
      rows: the windows, among those of the batch.
      step: from the first piece of a window to that of the next.
    """
    best: dict[int, tuple[int, int, int, int]] = {}  # by the piece's place in the sentence
    for window, (row, ids) in enumerate(zip(rows.tolist(), word_ids, strict=True)):
        tokens = [(token, word) for token, word in enumerate(ids) if word is not None]
        for i, (token, word) in enumerate(tokens):
            left = i if window > 0 else len(ids)
            right = len(tokens) - 1 - i if window < len(rows) - 1 else len(ids)
            piece = (min(left, right), row, token, word)
            known = best.get(window * step + i)
            if known is None or piece[0] > known[0]:
                best[window * step + i] = piece
    ordered = np.array([best[i][1:] for i in sorted(best)], int).reshape(-1, 3)
    return _Pieces(ordered[:, 2], ordered[:, 0], ordered[:, 1], len(rows) > 1)


def word_vectors(
    batch: WordBatch, run: Callable[[dict[str, np.ndarray], np.ndarray, np.ndarray], Sequence[np.ndarray]], *,
    by_length: bool, rows: int = ROWS,
) -> list[np.ndarray]:  # fmt: skip
    """Vectors `[words, dims]` of every layer: the mean of the states of a word's pieces, 0 where it has none.

    Args:
      batch: the words.
      run: from tokens, and rows and places of pieces in them, to the states of the pieces `[pieces, dims]` by layer.
      by_length: whether windows of one length run together, without padding.
      rows: windows at once.
    """
    lengths = batch.tokens["attention_mask"].sum(axis=1)
    states: list[np.ndarray] = []
    for part in _parts(np.unique(batch.windows), lengths, rows, by_length):
        tokens = {name: value[part, : lengths[part].max()] for name, value in batch.tokens.items()}
        row_of = np.full(len(lengths), -1)
        row_of[part] = np.arange(len(part))
        pieces = np.flatnonzero(row_of[batch.windows] >= 0)
        layers = run(tokens, row_of[batch.windows[pieces]], batch.places[pieces])
        states = states or [np.empty((len(batch.windows), layer.shape[1]), np.float32) for layer in layers]
        for all_pieces, layer in zip(states, layers, strict=True):
            all_pieces[pieces] = layer
    if not states:  # no word has a piece: any window says how wide the layers are
        none = np.zeros(0, int)
        states = [np.asarray(layer) for layer in run({k: v[:1] for k, v in batch.tokens.items()}, none, none)]
    return [_means(layer, batch.counts) for layer in states]


def _parts(windows: np.ndarray, lengths: np.ndarray, rows: int, by_length: bool) -> Iterator[np.ndarray]:
    """Windows that run together: neighbours in length, or on request of one length."""
    ordered = windows[np.argsort(lengths[windows], kind="stable")]
    cuts = np.flatnonzero(np.diff(lengths[ordered])) + 1 if by_length else []
    for part in np.split(ordered, cuts):
        for start in range(0, len(part), rows):
            yield part[start : start + rows]


def _means(states: np.ndarray, counts: np.ndarray) -> np.ndarray:
    means = np.zeros((len(counts), states.shape[1]), np.float32)
    have_pieces = counts > 0
    if have_pieces.any():
        starts = (np.cumsum(counts) - counts)[have_pieces]
        means[have_pieces] = np.add.reduceat(states, starts, axis=0) / counts[have_pieces, None]
    return means


class WordRemarks:
    """Counts of words since the last remark: those in sentences of several windows, and those without a piece."""

    _long, _without, _words, _first = 0, 0, 0, ""

    def add(self, batch: WordBatch) -> None:
        """Counts the words of a batch."""
        without = np.flatnonzero(batch.counts == 0)
        self._first = self._first or (batch.words[without[0]] if len(without) else "")
        self._long += int(batch.long.sum())
        self._without += len(without)
        self._words += len(batch.words)

    def take(self) -> list[str]:
        """What there is to say; counts begin anew."""
        long, without, words, first = self._long, self._without, self._words, self._first
        self._long, self._without, self._words, self._first = 0, 0, 0, ""
        remarks = []
        if long:
            remarks.append(
                "Words in sentences longer than the model takes, which it read in windows that overlap by half: "
                f"{long:,} of {words:,}."
            )
        if without:
            remarks.append(
                f"Words without a piece in its tokenizer, whose vectors are 0: {without:,} of {words:,}, the first "
                f"{first[:40]!r}."
            )
        return remarks


def piece_states(state: Any, mask: Any, rows: np.ndarray, places: np.ndarray) -> Any:
    """States of pieces `[pieces, dims]` of a hidden state `[samples, tokens, dims]`.

    Raises:
      ValueError: the state is not one per token of the mask.
    """
    import torch

    if state.ndim != 3 or state.shape[:2] != mask.shape:
        raise ValueError(
            f"words need a state for every token; it has {tuple(state.shape)} for {tuple(mask.shape)} tokens. Take "
            "another layer."
        )
    row, place = (torch.as_tensor(index, device=state.device) for index in (rows, places))
    return state[row, place].float()
