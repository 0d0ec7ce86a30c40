"""One pass of all samples through a model: several layers at once, smaller batches where memory runs out."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from nrjax._utils.jax_config import neutral_config
from nrjax._utils.memory import is_out_of_memory
from nrjax._utils.messages import printable
from nrjax.errors import LayerError
from nrjax.models._batches import Batches
from nrjax.models._feature_storage import allocate_features
from nrjax.models._layer_choice import LAST, MEAN, LayerChoice
from nrjax.models._model import Model, Outputs, Precision
from nrjax.models._samples import Samples
from nrjax.models._steadiness import TOLERANCES, relative_difference

REPEATED = 4  # samples that run a second time
TIMED = 2  # batches that are fetched before the next one runs


class ForwardPass:
    """One pass of all samples through a model, in an order; it goes on from where the memory did not suffice."""

    def __init__(
        self, model: Model, samples: Samples, order: np.ndarray, layers: Sequence[LayerChoice], precision: Precision,
        on_batch: Callable[[int], None], on_widths: Callable[[list[int]], None],
    ):  # fmt: skip
        self._model, self._order = model, order
        self._are_texts = isinstance(samples, list)
        self._batches = Batches(model, samples, order)
        self._precision: Precision = precision
        self._sources = [_sources_of(model, layer) for layer in layers]
        self._outputs = tuple(dict.fromkeys(name for names in self._sources for name in names))
        self._on_batch, self._on_widths = on_batch, on_widths
        self._done, self._size = 0, 0
        self._features: list[np.ndarray] = []

    def run(self, size: int) -> list[np.ndarray]:
        """Features of every layer, `[samples, dims]`; starts with batches of `size`."""
        while self._done < len(self._order):
            self._size = size
            try:
                self._run_from(self._done, size)
            except Exception as error:
                if not is_out_of_memory(error) or size == 1 or self._model.batch:
                    raise
                self._model.fits = size = max(1, size // 2)
                self._model.release()
                warnings.warn(
                    f"a batch does not fit the memory; going on with {size} samples at once.",
                    RuntimeWarning,
                    stacklevel=3,
                )
        return self._features

    def check_steady(self) -> None:
        """Runs the first samples again, alone; of texts also the shortest one of the first batch, without any other.

        They come in reverse order, because random numbers of one seed are the same at the same place of a batch. The
        first texts are the longest, and hardly padded.

        Raises:
          ValueError: their features change, so the model is random, changes, or mixes the samples of a batch.
        """
        if self._model.pure:
            return
        count = min(REPEATED, len(self._order), max(1, self._size - 1))  # fewer than a batch, or nothing is mixed
        self._check_again(self._order[:count][::-1])
        if self._are_texts and self._size > 1 and not self._model.batch:
            shortest = min(self._size, len(self._order)) - 1
            self._check_again(self._order[shortest : shortest + 1])

    def _check_again(self, rows: np.ndarray) -> None:
        """Raises ValueError where samples alone have other features than among the others."""
        count = len(rows)
        size = self._size if self._model.compiled else self._model.batch or count
        outputs = self._model.outputs(self._batches.prepare(rows, size), self._outputs, self._precision)
        layers = self._layers(outputs, count)
        self._check_widths(layers)
        for names, features, again in zip(self._sources, self._features, layers, strict=True):
            difference = relative_difference(features[rows], again)
            if np.isfinite(difference) and difference > TOLERANCES[self._precision]:
                raise ValueError(
                    f"the model gives other outputs for the same samples when they come again (by {difference:.1g} of "
                    f"their size, {printable(str(names[0]))}): it is random, changes when it runs, or mixes the "
                    "samples of a batch, so nothing can be said of its features."
                )

    def _run_from(self, start: int, size: int) -> None:
        running: tuple[int, Outputs] | None = None
        with neutral_config():
            for number, (count, batch) in enumerate(self._batches.iterate(start, size)):
                outputs = self._model.outputs(batch, self._outputs, self._precision)  # may return before it has run
                if running:
                    self._store(*running)  # the batch before is fetched while this one runs
                running = count, outputs
                if number < TIMED:  # who listens learns what one batch takes
                    self._store(*running)
                    running = None
            if running:
                self._store(*running)

    def _store(self, count: int, outputs: Outputs) -> None:
        layers = self._layers(outputs, count)
        self._check_widths(layers)
        if not self._features:
            self._on_widths([batch.shape[1] for batch in layers])
            self._features = allocate_features(len(self._order), layers)
        rows = self._order[self._done : self._done + count]
        is_ascending = bool((np.diff(rows) == 1).all())
        for features, batch in zip(self._features, layers, strict=True):
            features[slice(rows[0], rows[-1] + 1) if is_ascending else rows] = batch
        self._done += count
        self._on_batch(count)

    def _check_widths(self, layers: Sequence[np.ndarray]) -> None:
        widths = [features.shape[1] for features in self._features] or [batch.shape[1] for batch in layers]
        for names, batch, width in zip(self._sources, layers, widths, strict=True):
            if batch.shape[1] == width > 0:
                continue
            layer = printable(str(names[0]))
            if not width:
                raise ValueError(f"the model gives no features: {layer} has shape {batch.shape}.")
            raise ValueError(
                f"the model gives {width} dims for one batch and {batch.shape[1]} for another ({layer}); every sample "
                "needs as many. Bring samples to one size, or pool them."
            )

    def _layers(self, outputs: Outputs, count: int) -> list[np.ndarray]:
        """Features of every requested layer in a batch, from the model's outputs; rows that fill up are dropped."""
        by_name = dict(zip(self._outputs, outputs, strict=True))
        return [_mean([np.asarray(by_name[name])[:count] for name in names]) for names in self._sources]


def _sources_of(model: Model, layer: LayerChoice) -> tuple[LayerChoice, ...]:
    """The model's layers whose mean is a requested layer: the layer itself, all blocks, or the last block."""
    if layer not in (MEAN, LAST) or layer in [known.name for known in model.layers()]:
        return (layer,)
    blocks = model.blocks()
    if not blocks:
        raise LayerError(f"The model has no blocks of one width, of which {layer!r} could be.")
    return tuple(blocks) if layer == MEAN else (blocks[-1],)


def _mean(outputs: list[np.ndarray]) -> np.ndarray:
    return outputs[0] if len(outputs) == 1 else np.asarray(np.mean(outputs, axis=0, dtype=np.float32))
