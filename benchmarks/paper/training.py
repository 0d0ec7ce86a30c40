"""Training one classifier, as the paper does: cross-entropy, learning rate 0.001, dropout 0.4."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nrjax.datasets import Dataset
from nrjax.models import Preprocessing

_to_input = Preprocessing()  # pixels in [0, 1]


class Classifier(Protocol):
    """A linen module that knows how many classes it tells apart: `PaperCNN`, or a logits layer alone."""

    @property
    def classes(self) -> int: ...  # noqa: D102
    def init(self, rngs: Any, *args: Any) -> Any: ...  # noqa: D102
    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; saved beside its weights. The paper gives the learning rate only.

    Attributes:
      steps: of the optimiser, the same for every model: an epoch of half the classes is half the training.
      epochs: instead of steps.
    """

    steps: int | None = 1200
    epochs: int | None = None
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self):
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"a recipe has steps or epochs; got {self.steps} and {self.epochs}.")

    def steps_on(self, samples: int) -> int:
        """Steps that training on so many samples takes."""
        return self.steps if self.steps is not None else (self.epochs or 0) * (samples // self.batch_size)


def train(
    module: Classifier,
    data: Dataset,
    recipes: Sequence[Recipe],
    on_step: Callable[[], None] = lambda: None,
    *,
    together: bool | None = None,
) -> list[Any]:
    """Variables of `module` after training, for every recipe. Same recipe, data and machine: same weights.

    Args:
      module: the network; its outputs are the classes of `data` in ascending order.
      data: training images and labels.
      recipes: alike but for the seed.
      on_step: called after every step of every model.
      together: train the models as one, vmapped; None does so on accelerators, which one small network
        does not fill, and not on CPU, where the cores are busy with one.
    """
    together = jax.default_backend() != "cpu" if together is None else together
    if together:
        return _train_together(module, data, recipes, on_step)
    return [_train_one(module, data, recipe, on_step) for recipe in recipes]


def _train_one(module: Classifier, data: Dataset, recipe: Recipe, on_step: Callable[[], None]) -> Any:
    images, labels = jnp.asarray(data.images), _targets(module, data)
    (params, state), dropout_key = _start(module, data, recipe)
    for step, batch in enumerate(_batches(len(labels), recipe)):
        params, state, loss = _step(
            params, state, images[batch], labels[batch], jax.random.fold_in(dropout_key, step),
            module=module, learning_rate=recipe.learning_rate,
        )  # fmt: skip
        loss.block_until_ready()
        on_step()
    return {"params": params}


def _train_together(
    module: Classifier, data: Dataset, recipes: Sequence[Recipe], on_step: Callable[[], None]
) -> list[Any]:
    images, labels = jnp.asarray(data.images), _targets(module, data)
    starts = [_start(module, data, recipe) for recipe in recipes]
    params, state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(start for start, _ in starts))
    keys = jnp.stack([key for _, key in starts])
    fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
    for step, batches in enumerate(zip(*(_batches(len(labels), recipe) for recipe in recipes), strict=True)):
        batch = np.stack(batches)
        params, state, loss = _steps(
            params, state, images[batch], labels[batch], fold(keys, step),
            module=module, learning_rate=recipes[0].learning_rate,
        )  # fmt: skip
        loss.block_until_ready()
        for _ in recipes:
            on_step()
    return [{"params": jax.tree.map(lambda leaf, i=i: leaf[i], params)} for i in range(len(recipes))]


def _targets(module: Classifier, data: Dataset) -> jax.Array:
    classes, targets = np.unique(data.labels, return_inverse=True)
    if len(classes) != module.classes:
        raise ValueError(f"The network has {module.classes} outputs, the data {len(classes)} classes.")
    return jnp.asarray(targets)


def _start(module: Classifier, data: Dataset, recipe: Recipe):
    """Initial parameters and optimiser state, and the key of the dropout."""
    init_key, dropout_key = jax.random.split(jax.random.key(recipe.seed))
    params = module.init(init_key, jnp.zeros((1, *data.images.shape[1:])))["params"]
    return (params, optax.adam(recipe.learning_rate).init(params)), dropout_key


def _batches(samples: int, recipe: Recipe) -> Iterator[np.ndarray]:
    """Indices of every batch, epoch after epoch; the last, smaller batch of an epoch is left out."""
    rng = np.random.default_rng(recipe.seed)
    per_epoch = samples // recipe.batch_size
    shuffled = np.empty(0, int)
    for step in range(recipe.steps_on(samples)):
        if step % per_epoch == 0:
            shuffled = rng.permutation(samples)
        start = step % per_epoch * recipe.batch_size
        yield shuffled[start : start + recipe.batch_size]


def _update(params, state, images, labels, dropout_key, *, module: Classifier, learning_rate: float):
    def loss_of(params):
        logits: Any = module.apply({"params": params}, _to_input(images), train=True, rngs={"dropout": dropout_key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, gradients = jax.value_and_grad(loss_of)(params)
    updates, state = optax.adam(learning_rate).update(gradients, state)
    return optax.apply_updates(params, updates), state, loss


def _update_all(params, state, images, labels, dropout_keys, *, module: Classifier, learning_rate: float):
    update = functools.partial(_update, module=module, learning_rate=learning_rate)
    return jax.vmap(update)(params, state, images, labels, dropout_keys)


_step = jax.jit(_update, static_argnames=("module", "learning_rate"), donate_argnums=(0, 1))
_steps = jax.jit(_update_all, static_argnames=("module", "learning_rate"), donate_argnums=(0, 1))


def accuracy(module: Classifier, variables: Any, data: Dataset, batch_size: int = 500) -> float:
    """Share of images whose largest logit is their class."""
    targets = np.unique(data.labels, return_inverse=True)[1]
    predict = jax.jit(lambda v, x: jnp.argmax(module.apply(v, _to_input(x)), -1))  # pyright: ignore[reportArgumentType]
    starts = range(0, len(targets), batch_size)
    predicted = np.concatenate([predict(variables, data.images[i : i + batch_size]) for i in starts])
    return float((predicted == targets).mean())
