"""Features of many models of the same samples: layers that some lack, the probabilities of their own classes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from nrjax._utils.messages import reason_of
from nrjax.datasets import Kind
from nrjax.errors import LayerError
from nrjax.models._extract import check_kind, extract_layers
from nrjax.models._jax import JaxModel
from nrjax.models._layer_choice import LayerChoice
from nrjax.models._model import Model, Precision
from nrjax.models._samples import Samples

_LAST = -1  # index of the layer whose softmax are the probabilities
NO_CLASSES = "it needs the probabilities of the model's own classes, and the model has none"


class Extracted(NamedTuple):
    """Features of one model.

    Attributes:
      layers: features `[samples, dims]` by requested layer, or the reason why there are none.
      probabilities: of the model's own classes `[samples, source_classes]`, or why there are none; None where they
        were not requested.
      predictions: the class of every sample by a zero-shot classifier; None of other models, and where features were
        stored before.
    """

    layers: dict[str, np.ndarray | str]
    probabilities: np.ndarray | str | None
    predictions: np.ndarray | None = None


class Features:
    """Features of any number of models; those of one input shape share the resized images.

    Args:
      kind: of the samples.
      samples: that `check_samples` returned.
      layers: of every model, all from one forward pass; None takes every layer.
      batch_size: samples at once; None goes by their size.
      precision: of the forward pass.
      probabilities: whether to add those of the model's own classes, the softmax of its last layer.
      pooling: of layers that are maps or tokens; None is each model's own.
      batches: at least so many, if `batch_size` is None.
    """

    def __init__(
        self, kind: Kind, samples: Samples, layers: Sequence[LayerChoice] | None, batch_size: int | None,
        precision: Precision, probabilities: bool = False, pooling: str | None = None, batches: int = 1,
    ):  # fmt: skip
        self._kind: Kind = kind
        self._samples, self._layers, self._batch_size = samples, layers, batch_size
        self._precision: Precision = precision
        self._probabilities, self._pooling, self._batches = probabilities, pooling, batches
        self._fitted: dict[str, np.ndarray] = {}

    def __call__(
        self, model: Model, on_batch: Callable[[int], None] = lambda samples: None,
        on_widths: Callable[[list[int]], None] = lambda widths: None,
    ) -> Extracted:  # fmt: skip
        """Features of one model; `on_batch` and `on_widths` as for `extract_layers`.

        Raises:
          Exception: whatever a model raises that cannot take the samples; a `LayerError` is the reason of its layer.
        """
        check_kind(model, self._kind)
        model = model.pooled_by(self._pooling)
        samples = self._fit(model)
        if self._kind == "position":
            chosen = list(self._layers or model.map_layers(model.inputs.prepare(samples[:1])))
        else:
            shape = np.shape(samples[0]) if self._kind in ("image", "array") and not model.inputs.shape else None
            chosen: list[LayerChoice] = list(self._layers or (layer.name for layer in model.layers(shape)))
        features = self._extract(model, samples, chosen, on_batch, on_widths)
        probabilities: np.ndarray | str | None = None
        if self._probabilities:
            logits = features.get(_LAST) if model.classifies else NO_CLASSES
            probabilities = _softmax(logits) if isinstance(logits, np.ndarray) else logits
        own = features.get(_LAST) if model.zero_shot else None
        predictions = own.argmax(axis=1) if isinstance(own, np.ndarray) else None
        return Extracted({str(layer): features[layer] for layer in chosen}, probabilities, predictions)

    def _extract(
        self, model: Model, samples: Samples, chosen: list[LayerChoice], on_batch: Any, on_widths: Any
    ) -> dict[LayerChoice, np.ndarray | str]:
        has_last = model.zero_shot or (self._probabilities and model.classifies)
        last: list[LayerChoice] = [_LAST] if has_last else []
        try:
            layers = chosen + last
            arrays = extract_layers(
                model, samples, layers, self._batch_size, self._precision, on_batch,
                lambda widths: on_widths(widths[: len(chosen)]), batches=self._batches,
            )  # fmt: skip
            return dict(zip(layers, arrays, strict=True))
        except LayerError as error:
            if len(chosen) == 1:
                return {chosen[0]: reason_of(error)}
            features = {}
            for layer in chosen:  # the model may have some of them
                features |= self._extract(model, samples, [layer], lambda samples: None, on_widths)
            return features

    def _fit(self, model: Model) -> Samples:
        """The samples; images resized once for all models of one preprocessing."""
        if not isinstance(model, JaxModel) or not isinstance(self._samples, np.ndarray):
            return self._samples
        if model.inputs.ready(self._samples):
            return self._samples
        key = f"{model.inputs.shape} {model.preprocessing.interpolation} {model.preprocessing.crop}"
        if key not in self._fitted:
            self._fitted[key] = model.inputs.prepare(self._samples)
        return self._fitted[key]


def _softmax(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of a model's own classes; outputs that are probabilities already stay as they are."""
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs
    return special.softmax(outputs, axis=1)
