"""Models whose only layer is an embedding; one of them is any Python function from samples to features."""

import abc
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nrjax.datasets import Kind, Pair, Recording, Word
from nrjax.models._content import code_of
from nrjax.models._layer_choice import Layer, LayerChoice, layer_name
from nrjax.models._model import AnyKind, Inputs, Model, Precision
from nrjax.models._pairs import PairBatch, combine, prepare_apart

EMBEDDING = "embedding"


class EmbeddingModel(Model):
    """A model whose only layer is an embedding; its width is known once something was embedded."""

    _dims: int | None = None

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The embedding."""
        return [Layer(EMBEDDING, (self._dims,) if self._dims else ())]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """The embedding `[samples, dims]`, once for every requested layer."""
        for layer in layers:
            layer_name(layer, [EMBEDDING], has_penultimate=True)
        pairs = isinstance(batch, PairBatch)
        embedding = self._embed_batch(batch.inputs if pairs else batch, precision)
        embedding = combine(embedding) if pairs else embedding
        self._dims = embedding.shape[1]
        return [embedding] * len(layers)

    @abc.abstractmethod
    def _embed_batch(self, batch: Any, precision: Precision) -> np.ndarray:
        """`[samples, dims]` on the host."""


class EmbedderModel(EmbeddingModel):
    """A function that gets samples as they are; its features stay as they come."""

    def __init__(self, embed: Callable[[Any], Any], kind: AnyKind, version: str, rate: int | None = None):
        others: tuple[Kind, ...] = ("words", "pair") if kind in ("text", "any") else ()
        words = "none" if rate is None else f"{rate} samples a second"
        self.inputs: Inputs = Inputs(kind, None, words, functools.partial(self._prepare, rate=rate), others=others)
        self._embed, self._version, self._lost_sentences = embed, version, False

    def _prepare(self, samples: Any, rate: int | None) -> Any:
        """Samples as the function takes them; a function of texts gets words, and both texts of pairs, as texts."""
        if isinstance(samples[0], Word) and self.inputs.kind != "words":
            self._lost_sentences = True
            return [word.text for word in samples]
        if isinstance(samples[0], Pair) and self.inputs.kind != "pair":
            return prepare_apart(samples, lambda texts: texts)
        return _as_given(samples, rate=rate)

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """What the function returns, once for every requested layer."""
        if precision != "float32":
            raise ValueError("a function computes as it does; leave precision out.")
        return super().outputs(batch, layers, precision)

    def _embed_batch(self, batch: Any, precision: Precision) -> np.ndarray:
        features = self._embed(batch)
        features = np.asarray(features.toarray() if hasattr(features, "toarray") else features)
        if features.dtype.kind not in "biuf":
            raise ValueError(f"the function must return real numbers; got {features.dtype}.")
        is_single = np.result_type(features, np.float32).itemsize == 4
        features = features.astype(np.float32 if is_single else np.float64, copy=False)
        if features.ndim != 2 or len(features) != len(batch):
            raise ValueError(
                f"the function must return (samples, dims) for {len(batch)} samples; got {features.shape}."
            )
        return features

    def remarks(self) -> list[str]:
        """That words came without their sentences."""
        lost, self._lost_sentences = self._lost_sentences, False
        return ["the function gets words alone, without their sentences; kind='words' gives both."] if lost else []

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The version that the user gave; without one, the function's code and all that it holds."""
        name = getattr(self._embed, "__qualname__", type(self._embed).__name__)
        yield f"{getattr(self._embed, '__module__', '')} {name} {self._version}"
        if not self._version:
            yield from code_of(self._embed)


def _as_given(samples: Any, rate: int | None) -> Any:
    """Samples as they are; recordings as waveforms at a rate, or with their own.

    Arrays in a list are copies, for the function may change them in place.
    """
    if not len(samples) or not isinstance(samples[0], Recording):
        return [_copied(sample) for sample in samples] if isinstance(samples, list) else samples
    if rate is None:
        return [(_copied(recording.read()), recording.rate) for recording in samples]
    return [_copied(recording.at_rate(rate)) for recording in samples]


def _copied(sample: object) -> Any:
    return sample.copy() if isinstance(sample, np.ndarray) else sample


def from_embedder(
    embed: Callable[[Any], Any], kind: AnyKind = "any", *, version: str = "", rate: int | None = None
) -> EmbedderModel:
    """Makes a model of a Python function from samples to features, such as `encoder.encode` or `pipeline.transform`.

    Recordings come whole, in one channel, float32 `[time]`: a list of waveforms at `rate`, or without one a list of
    pairs of a waveform and its own rate.

    Args:
      embed: takes a list of texts, or of uint8 images `[height, width, channels]`, or an array, and returns
        `[samples, dims]`, dense or sparse. It is called batch by batch and must not depend on the batch.
      kind: of samples that it takes: `text`, `image`, `array` or `audio`; samples of another kind are then refused. A
        function of texts, or of any kind, gets words as texts, and of pairs both texts, u and v, whose features are
        `[u, v, abs(u - v), u * v]`. One of `words` gets `datasets.Word`, with their sentences, and one of `pair` pairs.
      version: part of the fingerprint, instead of the function's code and the objects that it uses.
      rate: samples a second of the waveforms that it takes.

    Examples:
      >>> pixels = nrjax.from_embedder(lambda batch: batch.reshape(len(batch), -1))
      >>> nrjax.rank({"pixels": pixels, "F10": zoo["F10"]}, images, labels).best
      'F10'
    """
    return EmbedderModel(embed, kind, version, rate)
