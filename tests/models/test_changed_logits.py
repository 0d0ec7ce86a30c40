"""Networks that change their logits by themselves: what the head reads, or a remark that no head is known."""

import warnings

import numpy as np
import pytest

from nrjax import extract_features
from tests.models import sources  # noqa: F401  (Keras on JAX)

torch = pytest.importorskip("torch")

ROWS = np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)
functional = torch.nn.functional
MASK = torch.tensor([False, False, True, False, False])


class Network(torch.nn.Module):
    def __init__(self, answer):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))
        self.head, self.answer = torch.nn.Linear(8, 5), answer
        self.of_classes = torch.nn.Parameter(torch.rand(5) + 0.5)

    def forward(self, x):
        return self.answer(self, self.body(x).relu())


KNOWN = {
    "a prior": lambda net, x: net.head(x) + net.of_classes,
    "softmax of a prior": lambda net, x: (net.head(x) / 3 + net.of_classes).softmax(1),
    "factors": lambda net, x: net.head(x) * net.of_classes,
    "rates": lambda net, x: net.head(x).exp(),
    "masked": lambda net, x: net.head(x).masked_fill(MASK, -1e9),
    "masked probabilities": lambda net, x: net.head(x).masked_fill(MASK, -torch.inf).softmax(1),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_head_is_found(name):
    network = Network(KNOWN[name]).eval()
    right = network.body(torch.tensor(ROWS)).relu().detach().numpy()
    np.testing.assert_allclose(extract_features(network, ROWS), right, atol=1e-5)


def as_onnx(network, folder):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = str(folder / "network.onnx")
    options = {"dynamo": False, "dynamic_axes": {"x": {0: "b"}}, "input_names": ["x"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.tensor(ROWS),), path, **options)
    return f"onnx:{path}"


@pytest.mark.parametrize("name", KNOWN)
def test_the_head_of_an_onnx_file(name, tmp_path):
    network = Network(KNOWN[name]).eval()
    right = network.body(torch.tensor(ROWS)).relu().detach().numpy()
    np.testing.assert_allclose(extract_features(as_onnx(network, tmp_path), ROWS), right, atol=1e-5)


UNKNOWN = {
    "fewer classes": lambda net, x: net.head(x)[:, :3],
    "more classes": lambda net, x: functional.pad(net.head(x), (0, 3)),
    "in order": lambda net, x: net.head(x).cumsum(1),
    "largest of several": lambda net, x: net.head(x)[:, :4].reshape(-1, 2, 2).amax(2),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_taken_without_a_known_head_is_said(name, tmp_path):
    network = Network(UNKNOWN[name]).eval()
    with pytest.warns(RuntimeWarning, match="its output is made of what head answers, but not as a head's is"):
        features = extract_features(network, ROWS)
    right = network(torch.tensor(ROWS)).detach().numpy()
    np.testing.assert_allclose(features, right, atol=1e-5)
    with pytest.warns(RuntimeWarning, match="its output is made by [CGPRS][a-zA-Z]+, and is taken as it is"):
        np.testing.assert_allclose(extract_features(as_onnx(network, tmp_path), ROWS), right, atol=1e-5)


def test_embeddings_are_no_answers_of_heads():
    network = Network(lambda net, x: functional.normalize(net.head(x))).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = extract_features(network, ROWS)
    np.testing.assert_allclose(features, network(torch.tensor(ROWS)).detach().numpy(), atol=1e-5)


def keras_network(answer):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(0)
    given = keras.Input((20,))
    body = keras.layers.Dense(8, activation="relu")(given)
    logits = keras.layers.Dense(5)(body)
    return keras.Model(given, answer(keras, logits)), keras.Model(given, body)


KERAS = {
    "rates": lambda keras, x: keras.ops.exp(x),
    "activation": lambda keras, x: keras.layers.Activation("exponential")(x),
    "turned": lambda keras, x: -x,
    "masked": lambda keras, x: keras.ops.softmax(keras.ops.where(MASK.numpy(), -1e9, x)),
    "own softmax": lambda keras, x: keras.layers.Lambda(lambda logits: keras.ops.softmax(logits))(x),
}


@pytest.mark.parametrize("name", KERAS)
def test_the_head_of_a_keras_network(name):
    network, body = keras_network(KERAS[name])
    np.testing.assert_allclose(extract_features(network, ROWS), body.predict(ROWS, verbose=0), atol=1e-5)


def test_what_is_taken_of_a_keras_network_is_said():
    network, _ = keras_network(lambda keras, x: x[:, :3])
    with pytest.warns(RuntimeWarning, match="its output is made by GetItem, and is taken as it is"):
        features = extract_features(network, ROWS)
    np.testing.assert_allclose(features, network.predict(ROWS, verbose=0), atol=1e-5)
