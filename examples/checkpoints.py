"""Which checkpoint of a training run should I start from?

A small network learns five classes of Fashion-MNIST from 500 images; its checkpoints are kept as a zoo. Then they are
ranked on 500 images that it has not seen.

    python examples/checkpoints.py
"""

import tempfile

import jax
import jax.numpy as jnp
import optax
from flax import linen

import nrjax

KEPT = (0, 30, 100)  # steps


class Network(linen.Module):
    """Two convolutions and a dense layer below the head."""

    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.Conv(8, (3, 3), strides=2)(x))
        x = linen.relu(linen.Conv(16, (3, 3), strides=2)(x)).reshape(len(x), -1)
        return linen.Dense(5)(linen.relu(linen.Dense(64, name="dense")(x)))


@jax.jit
def train_step(variables, state, batch, targets):
    """One step of Adam on a batch."""

    def loss_of(variables):
        return optax.softmax_cross_entropy_with_integer_labels(network.apply(variables, batch), targets).mean()

    updates, state = adam.update(jax.grad(loss_of)(variables), state)
    return optax.apply_updates(variables, updates), state


network, adam = Network(), optax.adam(1e-3)
nrjax.register_architecture("small", lambda: network)
_, images, labels = nrjax.load_demo()
learned, targets = jnp.asarray(images[:500] / 255.0, jnp.float32), jnp.asarray(labels[:500])
variables = network.init(jax.random.key(0), learned[:1])
state = adam.init(variables)
with tempfile.TemporaryDirectory() as zoo:
    for step in range(max(KEPT) + 1):
        if step in KEPT:
            nrjax.save_model(zoo, f"step {step:3}", variables, architecture="small", config={}, input_shape=(28, 28, 1))
        batch = jax.random.randint(jax.random.key(step), (64,), 0, len(targets))
        variables, state = train_step(variables, state, learned[batch], targets[batch])
    print(nrjax.rank(zoo, images[500:], labels[500:], scores="silhouette", progress=False))
