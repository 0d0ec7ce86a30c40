"""Fine-tuning a network of the bundled architecture, in JAX."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.paper.zoos import IMAGE_SIZE
from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.tune import Run
from nrjax.models import PaperCNN, Preprocessing

INPUT_SHAPE = (*IMAGE_SIZE, 1)
RATES = (3e-4, 1e-3, 3e-3)
_to_input = Preprocessing()  # pixels in [0, 1]


def module(classes: int) -> PaperCNN:
    """The architecture of the bundled networks."""
    return PaperCNN(classes, (8, 16), 128)


def drawn(seed: int, classes: int = 10) -> Any:
    """Parameters as they are before any training."""
    return dict(module(classes).init(jax.random.key(seed), np.zeros((1, *INPUT_SHAPE), np.float32))["params"])


class PaperCNNRun(Run):
    """From these parameters, with a new head."""

    def __init__(self, params: Any, target: Target, samples: np.ndarray, rate: float, seed: int):
        super().__init__(target, samples, seed)
        self._classes = int(target.labels.max()) + 1
        self._params = jax.tree.map(jnp.array, dict(params)) | {"logits": drawn(1000 + seed, self._classes)["logits"]}
        self._state, self._rate, self._key = optax.adam(rate).init(self._params), rate, jax.random.key(seed)

    def _step(self, batch: np.ndarray) -> None:  # a scan over the batches takes ten times as long on a CPU
        self._key, key = jax.random.split(self._key)
        self._params, self._state = _update(
            self._params, self._state, self._target.inputs[batch], self._target.labels[batch], key, self._rate,
            classes=self._classes,
        )  # fmt: skip

    def hits(self, samples: np.ndarray) -> np.ndarray:
        """Whether each sample is named rightly."""
        images, labels = self._target.inputs[samples], self._target.labels[samples]
        return np.asarray(_hits(self._params, images, labels, classes=self._classes))


@functools.partial(jax.jit, static_argnames="classes", donate_argnums=(0, 1))
def _update(params, state, images, labels, key, rate, *, classes: int):
    def loss_of(params):
        logits: Any = module(classes).apply({"params": params}, _to_input(images), train=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    updates, state = optax.adam(rate).update(jax.grad(loss_of)(params), state)
    return optax.apply_updates(params, updates), state


@functools.partial(jax.jit, static_argnames="classes")
def _hits(params, images, labels, *, classes: int):
    logits: Any = module(classes).apply({"params": params}, _to_input(images))
    return jnp.argmax(logits, axis=1) == labels
