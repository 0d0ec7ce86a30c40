"""Features of many models, one after another; what fails is a reason, and the next one is loaded meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy import special

from nrjax.datasets import BrokenImage
from nrjax.files import reason_of
from nrjax.models._candidates import Candidates
from nrjax.models._extract import check_kind, extract_features
from nrjax.models._jax import JaxModel
from nrjax.models._live import as_model
from nrjax.models._model import Kind, LayerChoice, LayerError, Model, Precision
from nrjax.models._samples import Samples
from nrjax.models._zoo import Zoo

_LAST = -1
NO_CLASSES = "it needs the probabilities of the model's own classes, and the model has none"


class Features:
    """Features of many models, one model after another; iterates over (model, layer, features, probabilities).

    Features are a reason, a string, where a model fails, whatever it does: the others go on. Models of one
    input shape share the resized images, and nothing is kept of a model when the next one comes.

    Args:
      models: by name, as for `extract_features`.
      kind: of the samples.
      samples: that `check_samples` has seen.
      layers: of every model, all from one forward pass; None takes every layer.
      batch_size: samples at once; None goes by their size.
      precision: of the forward pass.
      advance: told the number of samples that are done with.
      probabilities: give also those of the model's own classes, the softmax of its last layer; else None.

    Attributes:
      preprocessing: what was done to the samples, by model.
    """

    def __init__(
        self, models: Mapping[str, Any], kind: Kind, samples: Samples, layers: list[LayerChoice] | None,
        batch_size: int | None, precision: Precision, advance: Callable[[int], None], probabilities: bool = False,
    ):  # fmt: skip
        self._models, self._samples, self._layers, self._batch_size = models, samples, layers, batch_size
        self._kind: Kind = kind
        self._precision: Precision = precision
        self._advance, self._probabilities = advance, probabilities
        self._fitted: dict[str, np.ndarray] = {}
        self.preprocessing: dict[str, str] = {}

    def __iter__(self) -> Iterator[tuple[str, str, np.ndarray | str, np.ndarray | str | None]]:
        for name, loaded in self._loaded():
            done = 0

            def on_batch(samples: int) -> None:
                nonlocal done
                done += samples
                self._advance(samples)

            try:
                model = as_model(loaded())
                del loaded
                check_kind(model, self._kind)
                samples = self._fit(model)
                self.preprocessing[name] = model.inputs.preprocessing
                shape = None if model.inputs.shape or self._kind == "text" else np.shape(samples[0])
                chosen = self._layers or [layer.name for layer in model.layers(shape)]
                found = self._extract(model, samples, chosen, on_batch)
                classifies = model.classifies
                del model, samples
            except BrokenImage:
                raise  # of the data, not of this model
            except Exception as error:
                chosen, classifies = self._layers or ["best"], True
                found = dict.fromkeys(chosen, reason_of(error))
            self._advance(len(self._samples) - done)
            logits = found.get(_LAST) if self._probabilities and classifies else None
            theta = _softmax(logits) if isinstance(logits, np.ndarray) else None if classifies else NO_CLASSES
            for layer in chosen:
                yield name, str(layer), found[layer], theta
            del found, logits, theta  # before the next model's are made

    def _loaded(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """What gives each model; of those that lie on disk the next one is read while this one runs."""
        names = list(self._models)
        if not isinstance(self._models, (Zoo, Candidates)):
            for name in names:
                yield name, lambda name=name: self._models[name]
            return
        with ThreadPoolExecutor(1, thread_name_prefix="nrjax-load") as pool:
            waiting = [pool.submit(self._models.__getitem__, name) for name in names[:1]]
            for i, name in enumerate(names):
                future = waiting.pop()
                future.exception()  # is there, with or without one
                waiting += [pool.submit(self._models.__getitem__, following) for following in names[i + 1 : i + 2]]
                yield name, future.result
                del future

    def _extract(self, model: Model, samples: Samples, chosen: list[LayerChoice], on_batch) -> dict[Any, Any]:
        last: list[LayerChoice] = [_LAST] if self._probabilities and model.classifies else []
        options: dict[str, Any] = {"batch_size": self._batch_size, "precision": self._precision}
        try:
            return extract_features(model, samples, chosen + last, on_batch=on_batch, **options)
        except LayerError as error:
            if len(chosen) == 1:
                return {chosen[0]: reason_of(error)}
            found = {}
            for layer in chosen:  # some may be there
                found |= self._extract(model, samples, [layer], lambda samples: None)
            return found

    def _fit(self, model: Model) -> Samples:
        """Images resized once for all models of one preprocessing."""
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
