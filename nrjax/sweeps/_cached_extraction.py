"""Features that may be in the cache already: only what is missing there needs a forward pass."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nrjax.models import Extracted, Model
from nrjax.ranking import Extraction, ExtractionSpec, Job, LabelledSamples
from nrjax.ranking import rows_of as rows
from nrjax.sweeps._feature_cache import FeatureCache


class CachedExtraction(Extraction):
    """As `Extraction`; features of models that have a fingerprint are kept in a cache.

    Args:
      target: the samples.
      spec: what is taken of every model.
      cache: where features are kept.
    """

    def __init__(self, target: LabelledSamples, spec: ExtractionSpec, cache: FeatureCache):
        super().__init__(target, spec)
        self._cache = cache

    def needs_model(self, job: Job, samples: int) -> bool:
        """Whether the model has to be loaded."""
        return not job.fingerprint or self._cache.samples(job.fingerprint) < samples

    def __call__(
        self, job: Job, samples: int, model: Callable[[], Model], on_batch: Callable[[int], None],
        on_widths: Callable[[list[int]], None],
    ) -> Extracted:  # fmt: skip
        """Features of the first samples of the target's order, in the order in which they lie."""
        if not job.fingerprint:
            return super().__call__(job, samples, model, on_batch, on_widths)
        prefix = self._cache.read(job.fingerprint)
        if prefix is not None and prefix.samples >= samples:
            return self._as_they_lie(rows(prefix.extracted, slice(samples)), samples)
        part = prefix.samples if prefix else 0, samples
        extracted = self._forward(model(), part, on_batch, on_widths)
        if part == (0, len(self._target)):  # which came as they lie
            self._cache.write(job.fingerprint, samples, rows(extracted, self._target.order))
            return extracted
        extracted = _joined(prefix.extracted, extracted) if prefix else extracted
        self._cache.write(job.fingerprint, samples, extracted)
        return self._as_they_lie(extracted, samples)


def _joined(first: Extracted, second: Extracted) -> Extracted:
    """Features of some samples and of those that follow."""

    def both(before: Any, after: Any) -> Any:
        are_arrays = isinstance(before, np.ndarray) and isinstance(after, np.ndarray)
        return np.concatenate([before, after]) if are_arrays else after

    layers = {layer: both(first.layers[layer], features) for layer, features in second.layers.items()}
    return Extracted(layers, both(first.probabilities, second.probabilities))


def extraction_of(target: LabelledSamples, spec: ExtractionSpec, cache: FeatureCache | None) -> Extraction:
    """With a cache or without."""
    return Extraction(target, spec) if cache is None else CachedExtraction(target, spec, cache)
