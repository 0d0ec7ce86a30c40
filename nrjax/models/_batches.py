"""Batches of samples for one model: their size, their order, and threads that prepare them ahead."""

import collections
import functools
import itertools
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from nrjax.datasets import Kind, SampleSequence
from nrjax.models._model import Model
from nrjax.models._samples import Samples

BATCH_SIZE = 256  # at most, unless the user asks for more
BATCH_BYTES, ACCELERATED = 1 << 24, 8  # inputs of a batch: what fits caches of a CPU, and times that on accelerators
SMALLEST_BATCH, TEXTS = 16, 64
THREADS = os.cpu_count() or 1  # that decode, resize and tokenize; all of it releases Python's lock


def choose_batch_size(model: Model, kind: Kind, samples: Samples) -> int:
    """Samples at once, by the size of one: a power of two."""
    if isinstance(samples, SampleSequence) and samples.batch_size:
        return samples.batch_size * (ACCELERATED if model.accelerated else 1)
    if kind == "text":
        return TEXTS * (ACCELERATED if model.accelerated else 1)
    shape = np.shape(model.inputs.prepare(samples[:1]))[1:] if kind == "image" else np.shape(samples[0])
    available = BATCH_BYTES * (ACCELERATED if model.accelerated else 1)
    fitting = available // (4 * max(1, math.prod(shape)))
    return min(BATCH_SIZE, max(SMALLEST_BATCH, 1 << max(0, fitting.bit_length() - 1)))


def choose_order(kind: Kind, samples: Samples) -> np.ndarray:
    """Indices of all samples. Texts of one length come together, because a batch is as long as its longest text."""
    if isinstance(samples, SampleSequence):
        return samples.batch_order()
    if kind == "text":
        return np.argsort([len(text) for text in samples], kind="stable")[::-1]  # what does not fit shows at once
    return np.arange(len(samples))


class Batches:
    """Batches of samples in an order, prepared as a model takes them."""

    def __init__(self, model: Model, samples: Samples, order: np.ndarray):
        self._model, self._samples, self._order = model, samples, order

    def iterate(self, start: int, size: int) -> Iterator[tuple[int, Any]]:
        """Number of samples and batch, from a position on. Threads prepare one batch each ahead, and one more."""
        starts = iter(range(start, len(self._order), size))
        if isinstance(self._samples, np.ndarray) and self._model.inputs.ready(self._samples):
            for first in starts:  # nothing to do for threads
                count = min(size, len(self._order) - first)
                yield count, self._fill(self._samples[first : first + count], count, size)
            return
        with ThreadPoolExecutor(THREADS, thread_name_prefix="nrjax", initializer=_use_one_core) as pool:
            waiting: collections.deque[Future] = collections.deque(
                pool.submit(self._prepare_next, first, size) for first in itertools.islice(starts, THREADS + 1)
            )
            try:
                while waiting:
                    count, batch = waiting.popleft().result()
                    following = itertools.islice(starts, 1)
                    waiting.extend(pool.submit(self._prepare_next, first, size) for first in following)
                    yield count, batch
            finally:
                for future in waiting:
                    future.cancel()

    def prepare(self, rows: np.ndarray, size: int) -> Any:
        """The samples at `rows` as a batch."""
        chosen = self._samples[rows] if isinstance(self._samples, np.ndarray) else [self._samples[i] for i in rows]
        return self._fill(self._model.inputs.prepare(chosen), len(rows), size)

    def _prepare_next(self, first: int, size: int) -> tuple[int, Any]:
        rows = self._order[first : first + size]
        return len(rows), self.prepare(rows, size)

    def _fill(self, batch: Any, count: int, size: int) -> Any:
        """Adds zeros up to `size` samples, where another number would compile again or is not taken."""
        lacking = size - count
        if not lacking or not (self._model.compiled or self._model.batch) or not isinstance(batch, np.ndarray):
            return batch
        return np.concatenate([batch, np.zeros((lacking, *batch.shape[1:]), batch.dtype)])


def _use_one_core() -> None:
    """Limits a thread that prepares batches to one core: with OpenMP teams of its own it would slow the model's."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.get_num_threads()  # fixes the thread's number at its first use of PyTorch, so it comes before the limit
        for library in _openmp().lib_controllers:
            library.set_num_threads(1)


@functools.cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
