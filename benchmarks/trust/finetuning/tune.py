"""Fine-tuning one candidate: all weights, cross-entropy, Adam.

A quarter of the labelled samples chooses the learning rate and the number of epochs; then all of them train it, once
for every seed of head, order and dropout. Every candidate has the same budget.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.trust.finetuning.candidates import drawn, module
from benchmarks.trust.finetuning.targets import Target
from nrjax.models import Preprocessing

RATES = (3e-4, 1e-3, 3e-3)
SEEDS = (1, 2)
MANY, BATCH, LARGE_BATCH = 1000, 50, 100  # samples from which batches are large
EPOCHS, FEW_EPOCHS = 20, 10  # at most, of few samples and of many
PATIENCE = 3  # epochs without a better one
_to_input = Preprocessing()  # pixels in [0, 1]


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


def fine_tuned(params: Any, target: Target, labelled: np.ndarray) -> Tuned:
    """A candidate on a budget of labelled samples."""
    images, labels = jnp.asarray(target.images), jnp.asarray(target.labels)
    fitted, held_out = np.split(labelled, [3 * len(labelled) // 4])
    epochs = FEW_EPOCHS if len(labelled) >= MANY else EPOCHS
    tried = {}
    for rate in RATES:
        run = _Run(params, images, labels, fitted, rate, seed=0)
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
        run = _Run(params, images, labels, labelled, rate, seed)
        for _ in range(tried[rate][1]):
            run.epoch()
        hits.append(run.hits(target.judges))
    return Tuned(np.stack(hits), rate, tried[rate][1])


def one_epoch(params: Any, target: Target, labelled: np.ndarray) -> float:
    """A cheap trial: one epoch on a tenth of the samples, judged by the other labelled ones."""
    few, others = np.split(labelled, [len(labelled) // 10])
    run = _Run(params, jnp.asarray(target.images), jnp.asarray(target.labels), few, RATES[1], seed=0)
    run.epoch()
    return float(run.hits(others).mean())


class _Run:
    """Training that goes on, epoch by epoch."""

    def __init__(self, params: Any, images: jax.Array, labels: jax.Array, samples: np.ndarray, rate: float, seed: int):
        self._classes = int(labels.max()) + 1
        self._params = jax.tree.map(jnp.array, dict(params)) | {"logits": drawn(1000 + seed, self._classes)["logits"]}
        self._state = optax.adam(rate).init(self._params)
        self._images, self._labels, self._samples, self._rate = images, labels, samples, rate
        self._rng, self._key = np.random.default_rng(seed), jax.random.key(seed)

    def epoch(self) -> None:
        size = min(LARGE_BATCH if len(self._samples) >= MANY else BATCH, len(self._samples))
        order = self._rng.permutation(self._samples)[: len(self._samples) // size * size].reshape(-1, size)
        for batch in order:  # a scan over the batches takes ten times as long on a CPU
            self._key, key = jax.random.split(self._key)
            self._params, self._state = _step(
                self._params, self._state, self._images[batch], self._labels[batch], key, self._rate,
                classes=self._classes,
            )  # fmt: skip

    def hits(self, samples: np.ndarray) -> np.ndarray:
        """Whether each sample is named rightly."""
        return np.asarray(_hits(self._params, self._images[samples], self._labels[samples], classes=self._classes))


@functools.partial(jax.jit, static_argnames="classes", donate_argnums=(0, 1))
def _step(params, state, images, labels, key, rate, *, classes: int):
    def loss_of(params):
        logits: Any = module(classes).apply({"params": params}, _to_input(images), train=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    updates, state = optax.adam(rate).update(jax.grad(loss_of)(params), state)
    return optax.apply_updates(params, updates), state


@functools.partial(jax.jit, static_argnames="classes")
def _hits(params, images, labels, *, classes: int):
    logits: Any = module(classes).apply({"params": params}, _to_input(images))
    return jnp.argmax(logits, axis=1) == labels
