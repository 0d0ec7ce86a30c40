"""Networks in JAX whose features of a sample depend on its batch, on its place in it, or on a switch of training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import nrjax
from nrjax import extract_features

PICTURES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
WEIGHTS = np.random.default_rng(1).normal(size=(192, 6)).astype(np.float32)
MIXES = "gives other outputs for the same samples when they come again"


def features(weights, x):
    return jax.nn.relu(x.reshape(len(x), -1) @ weights)


FUNCTIONS = {
    "mean of the batch": lambda w, x: features(w, x) - features(w, x).mean(0),
    "softmax over the batch": lambda w, x: jax.nn.softmax(features(w, x), axis=0),
    "noise of one seed": lambda w, x: features(w, x) + jax.random.normal(jax.random.key(0), (len(x), 6)),
}


@pytest.mark.parametrize("batch_size", [None, 3, 8])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions(kind, batch_size):
    with pytest.raises(ValueError, match=MIXES):
        extract_features(nrjax.from_function(FUNCTIONS[kind], WEIGHTS), PICTURES, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3])
def test_functions_that_mix_nothing(batch_size):
    found = extract_features(nrjax.from_function(features, WEIGHTS), PICTURES, batch_size=batch_size)
    np.testing.assert_allclose(found, features(WEIGHTS, PICTURES / np.float32(255)), atol=1e-5)


class Switched(linen.Module):
    """A network with a switch under a name of its own."""

    learns: bool = True

    @linen.compact
    def __call__(self, x, is_train=True):
        x = linen.BatchNorm(use_running_average=not (is_train or self.learns))(x).reshape(len(x), -1)
        return linen.Dense(3)(linen.Dropout(0.5, deterministic=not is_train)(x))


def test_linen_that_trains():
    images = PICTURES / np.float32(255)
    variables = Switched(learns=False).init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, images)
    right = Switched(learns=False).apply(variables, images, is_train=False)
    found = extract_features((Switched(learns=False), variables), PICTURES, -1)
    np.testing.assert_allclose(found, np.asarray(right), atol=1e-5)
    with pytest.raises(ValueError, match=r"the network trains: .* Switch it to inference: .*module.clone") as error:
        extract_features((Switched(), variables), PICTURES)
    assert "\n" not in str(error.value)


class Trained(nnx.Module):
    """A network whose switch NNX does not know."""

    def __init__(self, rngs):
        self.dense, self.in_training = nnx.Linear(192, 4, rngs=rngs), True

    def __call__(self, x):
        x = self.dense(x.reshape(len(x), -1))
        return x - x.mean(0) if self.in_training else x


def test_nnx_with_a_switch_of_its_own():
    module = Trained(nnx.Rngs(0))
    with pytest.raises(ValueError, match=MIXES):
        extract_features(module, PICTURES, "output")
    module.in_training = False
    right = module.dense(jnp.asarray(PICTURES.reshape(20, -1) / np.float32(255)))
    np.testing.assert_allclose(extract_features(module, PICTURES, -1), right, atol=1e-5)


def test_keras_in_small_batches():
    keras = pytest.importorskip("keras")
    module = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
    right = module.predict(PICTURES / np.float32(255), verbose=0)
    np.testing.assert_allclose(extract_features(module, PICTURES, -1, batch_size=2), right, atol=1e-5)
