"""A model with one layer: the embedding of each sample."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np

from nrjax.models._layer_choice import Layer, LayerChoice, layer_name
from nrjax.models._model import Model, Precision

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
