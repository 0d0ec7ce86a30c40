"""A model that is nothing but a Python function from samples to features: TF-IDF, an encoder's `encode`, a service."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nrjax.models._content import code_of
from nrjax.models._model import AnyKind, Inputs, Layer, LayerChoice, Model, Precision, named_layer

EMBEDDING = "embedding"


class EmbedderModel(Model):
    """Samples as they are to features as they come."""

    def __init__(self, embed: Callable[[Any], Any], kind: AnyKind, version: str):
        self.inputs = Inputs(kind, None, "none", lambda samples: samples)
        self._embed, self._version = embed, version
        self._dims: int | None = None

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """One, whose width is known once something was embedded."""
        return [Layer(EMBEDDING, (self._dims,) if self._dims else ())]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """What the function returns, once for every layer that is asked for."""
        if precision != "float32":
            raise ValueError("a function computes as it does; leave precision out.")
        for layer in layers:
            named_layer(layer, [EMBEDDING], has_penultimate=True)
        found = self._embed(batch)
        found = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
        if found.dtype.kind not in "biuf":
            raise ValueError(f"the function must return real numbers; got {found.dtype}.")
        found = found.astype(np.float32 if np.result_type(found, np.float32).itemsize == 4 else np.float64, copy=False)
        if found.ndim != 2 or len(found) != len(batch):
            raise ValueError(f"the function must return (samples, dims) for {len(batch)} samples; got {found.shape}.")
        self._dims = found.shape[1]
        return [found] * len(layers)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The version that was given; without one, the function's code and all that it holds."""
        named = getattr(self._embed, "__qualname__", type(self._embed).__name__)
        yield f"{getattr(self._embed, '__module__', '')} {named} {self._version}"
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
