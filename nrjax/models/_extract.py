"""From a model and samples to features `[samples, dims]`: batched forward passes, several layers in one."""

import collections
import functools
import itertools
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, overload

import numpy as np
from threadpoolctl import ThreadpoolController

from nrjax._utils.jax_config import neutral_config
from nrjax._utils.memory import aligned_empty, is_out_of_memory, machine_memory
from nrjax._utils.messages import printable
from nrjax.datasets import without_news
from nrjax.models._live import as_model
from nrjax.models._model import LAST, MEAN, SAMPLES_OF, Kind, LayerChoice, LayerError, Model, Precision
from nrjax.models._samples import Samples, check_samples

BATCH_SIZE = 256  # at most, unless it is asked for
BATCH_BYTES, ACCELERATED = 1 << 24, 8  # of a batch's inputs: what caches of a CPU like, and times that on accelerators
SMALLEST_BATCH, TEXTS = 16, 64
THREADS = os.cpu_count() or 1  # that decode, resize and tokenize; all of it releases Python's lock
IN_MEMORY = machine_memory() // 4  # bytes of features of one model; beyond they lie in a temporary file
AGAIN = 4  # samples that go through a model once more
UNSTEADY = {"float32": 5e-3, "tensorfloat32": 5e-2, "bfloat16": 0.2}  # of the features' size; rounding is far below


@overload
def extract_features(
    model: Any, samples: Any, layer: LayerChoice = ..., *, batch_size: int | None = ..., precision: Precision = ...,
    on_batch: Callable[[int], None] = ...,
) -> np.ndarray: ...  # fmt: skip
@overload
def extract_features(
    model: Any, samples: Any, layer: list[LayerChoice], *, batch_size: int | None = ..., precision: Precision = ...,
    on_batch: Callable[[int], None] = ...,
) -> dict[LayerChoice, np.ndarray]: ...  # fmt: skip
def extract_features(
    model: Any,
    samples: Any,
    layer: LayerChoice | list[LayerChoice] = "penultimate",
    *,
    batch_size: int | None = None,
    precision: Precision = "float32",
    on_batch: Callable[[int], None] = lambda samples: None,
) -> np.ndarray | dict[LayerChoice, np.ndarray]:
    """Features of one model: the outputs of a layer for every sample.

    Args:
      model: whatever `nrjax.rank` takes as one model.
      samples: images, texts or arrays: `[samples, ...]`, a list of str, or `Dataset.samples`. uint8 images go through
        the model's own preprocessing and, where it knows its input, come to that size; arrays of other numbers enter
        as they are. They are made ready in threads while the model works on the batch before.
      layer: name, index (0 the input, -1 the last), `"penultimate"` (what the head reads), `"last"`
        (the last of the blocks that a network repeats), `"mean"` (their mean); or a list of them, all taken from one
        forward pass.
      batch_size: samples at once; None goes by their size, at most 256. What does not fit the memory is halved.
        Where a program is compiled for every size the last batch is filled up.
      precision: of the forward pass: `float32`; `tensorfloat32`, whose products are rounded to 10 bits where an
        accelerator has them, which is much faster there (frameworks take it without being asked); or `bfloat16`.
        Features are float32, those of a function that returns float64 are as they come.
      on_batch: told the number of samples after every batch.

    Returns:
      float32 `[samples, dims]` on the host, outputs of more than two axes flattened; for a list of
      layers a dict with one array per entry. Nothing else of the forward passes is kept.

    Raises:
      LayerError: the model has no such layer; lists those it has.
      ValueError: samples the network cannot take, or a module whose outputs for the same samples change.
    """
    wanted = tuple(layer) if isinstance(layer, list) else (layer,)
    kept = extract_layers(model, samples, wanted, batch_size, precision, on_batch)
    return dict(zip(wanted, kept, strict=True)) if isinstance(layer, list) else kept[0]


def extract_layers(
    model: Any, samples: Any, layers: Sequence[LayerChoice], batch_size: int | None, precision: Precision,
    on_batch: Callable[[int], None], on_widths: Callable[[list[int]], None] = lambda widths: None,
) -> list[np.ndarray]:  # fmt: skip
    """Features of several layers, as `extract_features`; `on_widths` is told their dims after the first batch."""
    model = as_model(model)
    kind, samples = check_samples(samples)
    check_kind(model, kind)
    size = model.batch or min(batch_size or _batch_size(model, kind, samples), len(samples), model.fits or len(samples))
    try:
        done = _Pass(model, samples, _order(kind, samples), layers, precision, on_batch, on_widths)
        with without_news():
            kept, remarks = done.run(size), model.remarks()
            done.check_steady()
    finally:
        model.release()
    for remark in remarks:
        warnings.warn(remark, RuntimeWarning, stacklevel=3)
    return kept


def check_kind(model: Model, kind: Kind) -> None:
    """Whether a model takes such samples. Raises ValueError."""
    if not model.inputs.takes(kind):
        raise ValueError(f"the model takes {SAMPLES_OF[model.inputs.kind]}; the samples are {SAMPLES_OF[kind]}.")


class _Layer(NamedTuple):
    """What is asked of the model for one layer that is wanted; the mean of them is kept."""

    names: tuple[LayerChoice, ...]


class _Pass:
    """One pass of all samples through a model, begun anew from where the memory did not suffice."""

    def __init__(
        self, model: Model, samples: Samples, order: np.ndarray, wanted: Sequence[LayerChoice], precision: Precision,
        on_batch: Callable[[int], None], on_widths: Callable[[list[int]], None],
    ):  # fmt: skip
        self._model, self._samples, self._order = model, samples, order
        self._precision: Precision = precision
        self._layers = [_of(model, layer) for layer in wanted]
        self._asked = tuple(dict.fromkeys(name for layer in self._layers for name in layer.names))
        self._on_batch, self._on_widths = on_batch, on_widths
        self._done, self._kept, self._size = 0, [], 0

    def run(self, size: int) -> list[np.ndarray]:
        while self._done < len(self._order):
            self._size = size
            try:
                self._from(self._done, size)
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
        return self._kept

    def _from(self, start: int, size: int) -> None:
        running: tuple[int, Sequence[Any]] | None = None
        with neutral_config():
            for count, batch in self._batches(start, size):
                outputs = self._model.outputs(batch, self._asked, self._precision)  # may return at once, on a device:
                if running:
                    self._store(*running)  # what ran before is fetched while this runs
                running = count, outputs
            if running:
                self._store(*running)

    def _batches(self, start: int, size: int) -> Iterator[tuple[int, Any]]:
        """Samples in order, made ready in threads; at most as many batches wait as there are threads, and one."""
        starts = iter(range(start, len(self._order), size))
        if isinstance(self._samples, np.ndarray) and self._model.inputs.ready(self._samples):
            for first in starts:  # nothing to do for threads
                count = min(size, len(self._order) - first)
                yield count, self._filled(self._samples[first : first + count], count, size)
            return
        with ThreadPoolExecutor(THREADS, thread_name_prefix="nrjax", initializer=_by_itself) as pool:
            waiting: collections.deque[Future] = collections.deque(
                pool.submit(self._ready, first, size) for first in itertools.islice(starts, THREADS + 1)
            )
            try:
                while waiting:
                    count, batch = waiting.popleft().result()
                    waiting.extend(pool.submit(self._ready, first, size) for first in itertools.islice(starts, 1))
                    yield count, batch
            finally:
                for future in waiting:
                    future.cancel()

    def _ready(self, first: int, size: int) -> tuple[int, Any]:
        rows = self._order[first : first + size]
        return len(rows), self._prepared(rows, size)

    def _prepared(self, rows: np.ndarray, size: int) -> Any:
        some = self._samples[rows] if isinstance(self._samples, np.ndarray) else [self._samples[i] for i in rows]
        return self._filled(self._model.inputs.prepare(some), len(rows), size)

    def _filled(self, batch: Any, count: int, size: int) -> Any:
        """Zeros up to `size`, where another number would compile again or is not taken."""
        short = size - count
        if not short or not (self._model.compiled or self._model.batch) or not isinstance(batch, np.ndarray):
            return batch
        return np.concatenate([batch, np.zeros((short, *batch.shape[1:]), batch.dtype)])

    def _store(self, count: int, outputs: Sequence[Any]) -> None:
        by_name = dict(zip(self._asked, outputs, strict=True))
        found = [_mean([np.asarray(by_name[name])[:count] for name in layer.names]) for layer in self._layers]
        if not self._kept:
            self._on_widths([one.shape[1] for one in found])
            types = [np.dtype(np.float64 if one.dtype == np.float64 else np.float32) for one in found]
            row = sum(dtype.itemsize * one.shape[1] for dtype, one in zip(types, found, strict=True))
            room = _Room(row * len(self._order))
            self._kept = [
                room((len(self._order), one.shape[1]), dtype) for dtype, one in zip(types, found, strict=True)
            ]
        rows = self._order[self._done : self._done + count]
        plain = bool((np.diff(rows) == 1).all())
        for features, one in zip(self._kept, found, strict=True):
            features[slice(rows[0], rows[-1] + 1) if plain else rows] = one
        self._done += count
        self._on_batch(count)

    def check_steady(self) -> None:
        """The first samples once more, alone: the same features again, whatever else was in their batch."""
        if self._model.pure:
            return
        count = min(AGAIN, len(self._order), self._model.batch or AGAIN)
        size = self._size if self._model.compiled else self._model.batch or count
        batch = self._prepared(self._order[:count], size)
        outputs = self._model.outputs(batch, self._asked, self._precision)
        by_name = dict(zip(self._asked, outputs, strict=True))
        for layer, kept in zip(self._layers, self._kept, strict=True):
            first, again = kept[self._order[:count]], _mean([np.asarray(by_name[name])[:count] for name in layer.names])
            with np.errstate(all="ignore"):
                off = np.abs(first - again).max() / max(np.abs(first).max(), 1e-30)
            if np.isfinite(off) and off > UNSTEADY[self._precision]:
                raise ValueError(
                    f"the model gives other outputs for the same samples when they come again (by {off:.1g} of their "
                    f"size, {printable(str(layer.names[0]))}): it is random, changes when it runs, or mixes the "
                    "samples of a batch, so nothing can be said of its features."
                )


def _by_itself() -> None:
    """A thread that prepares computes on one core: with teams of its own OpenMP would let those of the model sleep."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.get_num_threads()  # a thread's number is set at its first use of PyTorch, and stays what it is after that
        for library in _openmp().lib_controllers:
            library.set_num_threads(1)


@functools.cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


def _of(model: Model, layer: LayerChoice) -> _Layer:
    if layer not in (MEAN, LAST) or layer in [one.name for one in model.layers()]:
        return _Layer((layer,))
    blocks = model.blocks()
    if not blocks:
        raise LayerError(f"The model has no blocks of one width, of which {layer!r} could be.")
    return _Layer(tuple(blocks) if layer == MEAN else (blocks[-1],))


def _mean(outputs: list[np.ndarray]) -> np.ndarray:
    return outputs[0] if len(outputs) == 1 else np.asarray(np.mean(outputs, axis=0, dtype=np.float32))


class _Room:
    """Where features go: memory, or a temporary file that is gone with the arrays."""

    def __init__(self, total: int):
        self._in_memory = total <= IN_MEMORY

    def __call__(self, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        if self._in_memory:
            return aligned_empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="nrjax-") as file:
            return np.memmap(file, dtype, "w+", shape=shape)


def _order(kind: Kind, samples: Samples) -> np.ndarray:
    """Texts of one length together: a batch is as long as its longest."""
    if kind == "text":
        return np.argsort([len(text) for text in samples], kind="stable")[::-1]  # what does not fit shows at once
    return np.arange(len(samples))


def _batch_size(model: Model, kind: Kind, samples: Samples) -> int:
    if kind == "text":
        return TEXTS * (ACCELERATED if model.accelerated else 1)
    shape = np.shape(model.inputs.prepare(samples[:1]))[1:] if kind == "image" else np.shape(samples[0])
    room = BATCH_BYTES * (ACCELERATED if model.accelerated else 1)
    fit = room // (4 * max(1, math.prod(shape)))
    return min(BATCH_SIZE, max(SMALLEST_BATCH, 1 << max(0, fit.bit_length() - 1)))


class FeatureBatches:
    """Features and labels of a model, batch by batch; starts anew whenever it is iterated. For `score_stream`.

    Every pass runs the model again: the features of a data set that does not fit are not kept anywhere.

    Args:
      model: as for `extract_features`, and so is `layer`.
      source: pairs (samples, labels), iterable more than once: a list, a TFDS or grain loader.
      layer: name, index or `"penultimate"`.
      batch_size: samples at once in the forward pass.
    """

    def __init__(
        self,
        model: Any,
        source: Iterable[tuple[Any, Any]],
        layer: LayerChoice = "penultimate",
        *,
        batch_size: int | None = None,
    ):
        self._model, self._source, self._layer, self._batch_size = as_model(model), source, layer, batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, Any]]:
        for samples, labels in self._source:
            yield extract_features(self._model, samples, self._layer, batch_size=self._batch_size), labels
