"""Features of a data set that does not fit the memory, batch by batch."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nrjax.models._extract import extract_features
from nrjax.models._layer_choice import LayerChoice
from nrjax.models._live import as_model


class FeatureBatches:
    """Features and labels of a model, batch by batch; starts anew whenever it is iterated. For `score_stream`.

    Every pass runs the model again: the features are not kept anywhere.

    Args:
      model: as for `extract_features`, and so is `layer`.
      source: pairs (samples, labels), iterable more than once: a list, a TFDS or grain loader.
      layer: name, index or `"penultimate"`.
      batch_size: samples at once in the forward pass.

    Examples:
      >>> batches = [(images[:500], labels[:500]), (images[500:], labels[500:])]
      >>> features_of_batches = nrjax.FeatureBatches(zoo["F10"], batches, layer="dense")
      >>> round(nrjax.score_stream(features_of_batches), 2)
      0.49
    """

    def __init__(
        self, model: object, source: Iterable[tuple[object, object]], layer: LayerChoice = "penultimate", *,
        batch_size: int | None = None,
    ):  # fmt: skip
        self._model, self._source, self._layer, self._batch_size = as_model(model), source, layer, batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, Any]]:
        for samples, labels in self._source:
            yield extract_features(self._model, samples, self._layer, batch_size=self._batch_size), labels
