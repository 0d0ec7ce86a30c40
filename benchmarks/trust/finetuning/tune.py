"""Fine-tuning one candidate: all weights, cross-entropy, Adam.

A quarter of the labelled samples chooses the learning rate and the number of epochs; then all of them train it, once
for every seed of head, order and dropout. Every candidate has the same budget.
"""

import abc
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.trust.finetuning.targets import Target

SEEDS = (1, 2)
MANY, BATCH, LARGE_BATCH = 1000, 50, 100  # samples from which batches are large
EPOCHS, FEW_EPOCHS = 20, 10  # at most, of few samples and of many
PATIENCE = 3  # epochs without a better one


class Run(abc.ABC):
    """Training of one network that goes on, epoch by epoch."""

    def __init__(self, target: Target, samples: np.ndarray, seed: int):
        self._target, self._samples, self._rng = target, samples, np.random.default_rng(seed)

    def epoch(self) -> None:
        """Every sample once, in a new order."""
        size = min(LARGE_BATCH if len(self._samples) >= MANY else BATCH, len(self._samples))
        order = self._rng.permutation(self._samples)[: len(self._samples) // size * size].reshape(-1, size)
        for batch in order:
            self._step(batch)

    @abc.abstractmethod
    def _step(self, batch: np.ndarray) -> None:
        """One update of all weights on these samples."""

    @abc.abstractmethod
    def hits(self, samples: np.ndarray) -> np.ndarray:
        """Whether each sample is named rightly."""


Begin = Callable[[Target, np.ndarray, float, int], Run]  # on these samples, at a learning rate, with a seed


class Tuned(NamedTuple):
    """What came of it.

    Attributes:
      hits: `[seeds, judges]`, whether each was named rightly.
      rate: the learning rate that was chosen.
      epochs: how many were chosen.
    """

    hits: np.ndarray
    rate: float
    epochs: int


def fine_tuned(begin: Begin, rates: Sequence[float], target: Target, labelled: np.ndarray) -> Tuned:
    """A candidate on a budget of labelled samples, at the best of these learning rates."""
    fitted, held_out = np.split(labelled, [3 * len(labelled) // 4])
    epochs = FEW_EPOCHS if len(labelled) >= MANY else EPOCHS
    tried = {}
    for rate in rates:
        run = begin(target, fitted, rate, 0)
        best, at = -1.0, 0
        for epoch in range(1, epochs + 1):
            run.epoch()
            accuracy = float(run.hits(held_out).mean())
            if accuracy > best:
                best, at = accuracy, epoch
            elif epoch - at >= PATIENCE:
                break
        tried[rate] = best, at
    rate = max(tried, key=lambda rate: tried[rate][0])
    hits = []
    for seed in SEEDS:
        run = begin(target, labelled, rate, seed)
        for _ in range(tried[rate][1]):
            run.epoch()
        hits.append(run.hits(target.judges))
    return Tuned(np.stack(hits), rate, tried[rate][1])


def one_epoch(begin: Begin, rates: Sequence[float], target: Target, labelled: np.ndarray) -> float:
    """A cheap trial: one epoch on a tenth of the samples at the middle rate, judged by the other labelled ones."""
    few, others = np.split(labelled, [len(labelled) // 10])
    run = begin(target, few, rates[len(rates) // 2], 0)
    run.epoch()
    return float(run.hits(others).mean())
