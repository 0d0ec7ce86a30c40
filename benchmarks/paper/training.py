"""Training one classifier, as the paper does: cross-entropy, learning rate 0.001, dropout 0.4."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nrjax.datasets import Dataset
from nrjax.models import PaperCNN, Preprocessing

_to_input = Preprocessing()  # pixels in [0, 1]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; saved beside its weights. The paper gives the learning rate only."""

    epochs: int = 2
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 0


def train(module: PaperCNN, data: Dataset, recipe: Recipe, on_step: Callable[[float], None] = lambda loss: None) -> Any:
    """Variables of `module` after training. The same recipe and data give the same weights on one machine.

    Args:
      module: the network; its outputs are the classes of `data` in ascending order.
      data: training images and labels.
      recipe: see `Recipe`.
      on_step: told of the loss after every step.
    """
    classes, targets = np.unique(data.labels, return_inverse=True)
    if len(classes) != module.classes:
        raise ValueError(f"The network has {module.classes} outputs, the data {len(classes)} classes.")
    init_key, dropout_key = jax.random.split(jax.random.key(recipe.seed))
    params = module.init(init_key, jnp.zeros((1, *data.images.shape[1:])))["params"]
    state = optax.adam(recipe.learning_rate).init(params)
    order = np.random.default_rng(recipe.seed)
    images, labels = jnp.asarray(data.images), jnp.asarray(targets)
    step = 0
    for _ in range(recipe.epochs):
        shuffled = order.permutation(len(labels))
        for start in range(0, len(labels) - recipe.batch_size + 1, recipe.batch_size):
            batch = shuffled[start : start + recipe.batch_size]
            params, state, loss = _step(
                params, state, images[batch], labels[batch], jax.random.fold_in(dropout_key, step),
                module=module, learning_rate=recipe.learning_rate,
            )  # fmt: skip
            on_step(float(loss))
            step += 1
    return {"params": params}


@functools.partial(jax.jit, static_argnames=("module", "learning_rate"), donate_argnums=(0, 1))
def _step(params, state, images, labels, dropout_key, *, module: PaperCNN, learning_rate: float):
    def loss_of(params):
        logits: Any = module.apply({"params": params}, _to_input(images), train=True, rngs={"dropout": dropout_key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, gradients = jax.value_and_grad(loss_of)(params)
    updates, state = optax.adam(learning_rate).update(gradients, state)
    return optax.apply_updates(params, updates), state, loss


def accuracy(module: PaperCNN, variables: Any, data: Dataset, batch_size: int = 500) -> float:
    """Share of images whose largest logit is their class."""
    targets = np.unique(data.labels, return_inverse=True)[1]
    predict = jax.jit(lambda v, x: jnp.argmax(module.apply(v, _to_input(x)), -1))  # pyright: ignore[reportArgumentType]
    starts = range(0, len(targets), batch_size)
    predicted = np.concatenate([predict(variables, data.images[i : i + batch_size]) for i in starts])
    return float((predicted == targets).mean())
