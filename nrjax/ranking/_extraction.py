"""Features of a target's first samples, of one model after another."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nrjax.models import Extracted, Features, Model
from nrjax.ranking._jobs import ExtractionSpec, Job
from nrjax.ranking._samples import LabelledSamples


class Extraction:
    """Extracts features; models that see the same samples share what was made of those.

    Args:
      target: the samples.
      spec: what is taken of every model.
    """

    def __init__(self, target: LabelledSamples, spec: ExtractionSpec):
        self._target, self._spec = target, spec
        self._part: tuple[int, int] | None = None
        self._features: Features | None = None

    def needs_model(self, job: Job, samples: int) -> bool:
        """Whether the model has to be loaded."""
        return True

    def __call__(
        self, job: Job, samples: int, model: Callable[[], Model], on_batch: Callable[[int], None],
        on_widths: Callable[[list[int]], None],
    ) -> Extracted:  # fmt: skip
        """Features of the first samples of the target's order, in the order in which they lie.

        Args:
          job: the candidate.
          samples: how many.
          model: gives the model.
          on_batch: is told the number of samples after every batch.
          on_widths: is told the dims of the layers after the first batch.
        """
        extracted = self._forward(model(), (0, samples), on_batch, on_widths)
        return extracted if samples == len(self._target) else self._as_they_lie(extracted, samples)

    def _forward(
        self, model: Model, part: tuple[int, int], on_batch: Callable[[int], None],
        on_widths: Callable[[list[int]], None],
    ) -> Extracted:  # fmt: skip
        """Features of a part of the target's order, in that order; of the whole target as its samples lie."""
        if self._features is None or part != self._part:
            spec = self._spec
            self._part, self._features = part, Features(
                self._target.kind, self._target.some(*part), spec.layers, spec.batch_size, spec.precision,
                spec.probabilities, spec.pooling, spec.batches,
            )  # fmt: skip
        try:
            return self._features(model, on_batch, on_widths)
        finally:
            model.release()

    def _as_they_lie(self, extracted: Extracted, samples: int) -> Extracted:
        return rows_of(extracted, np.argsort(self._target.order[:samples]))


def rows_of(extracted: Extracted, rows: np.ndarray | slice) -> Extracted:
    """The same of some of the samples."""

    def taken(array: Any) -> Any:
        return array[rows] if isinstance(array, np.ndarray) else array

    layers = {layer: taken(features) for layer, features in extracted.layers.items()}
    return Extracted(layers, taken(extracted.probabilities), taken(extracted.predictions))
