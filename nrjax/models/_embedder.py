"""Models whose only layer is an embedding; one of them is any Python function from samples to features."""

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nrjax.models._content import code_of
from nrjax.models._layer_choice import Layer, LayerChoice, layer_name
from nrjax.models._model import AnyKind, Inputs, Model, Precision

EMBEDDING = "embedding"


class EmbeddingModel(Model):
    """A model whose only layer is an embedding; its width is known once something was embedded."""

    _dims: int | None = None

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The embedding."""
        return [Layer(EMBEDDING, (self._dims,) if self._dims else ())]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """The embedding `[samples, dims]`, once for every requested layer."""
        for layer in layers:
            layer_name(layer, [EMBEDDING], has_penultimate=True)
        embedding = self._embed_batch(batch, precision)
        self._dims = embedding.shape[1]
        return [embedding] * len(layers)

    @abc.abstractmethod
    def _embed_batch(self, batch: Any, precision: Precision) -> np.ndarray:
        """`[samples, dims]` on the host."""


class EmbedderModel(EmbeddingModel):
    """A function that gets samples as they are; its features stay as they come."""

    def __init__(self, embed: Callable[[Any], Any], kind: AnyKind, version: str):
        self.inputs = Inputs(kind, None, "none", lambda samples: samples)
        self._embed, self._version = embed, version

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
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

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The version that the user gave; without one, the function's code and all that it holds."""
        name = getattr(self._embed, "__qualname__", type(self._embed).__name__)
        yield f"{getattr(self._embed, '__module__', '')} {name} {self._version}"
        if not self._version:
            yield from code_of(self._embed)


def from_embedder(embed: Callable[[Any], Any], kind: AnyKind = "any", *, version: str = "") -> EmbedderModel:
    """Any Python function from samples to features, such as `encoder.encode` or the `transform` of a pipeline.

    Args:
      embed: takes a list of texts, or of uint8 images `[height, width, channels]`, or an array, and returns
        `[samples, dims]`, dense or sparse. It is called batch by batch and must not depend on the batch.
      kind: of samples that it takes: `text`, `image` or `array`; samples of another kind are then refused.
      version: part of the fingerprint, instead of the function's code and all that it holds.
    """
    return EmbedderModel(embed, kind, version)
