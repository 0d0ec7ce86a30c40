"""The penultimate layer is what the head reads, and of a network without a head its own output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from nrjax import extract_features
from tests.models import sources  # noqa: F401  (Keras on JAX)

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 8, 8, 3)).astype(np.float32)
BYTES = RNG.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
ROWS = RNG.normal(size=(6, 12)).astype(np.float32)


def close(features, right):
    right = np.asarray(right)
    np.testing.assert_allclose(features, right.reshape(len(right), -1), atol=1e-5 * np.abs(right).max())


def torch_networks(torch):
    """Name: network from rows of 12, and what its head reads."""
    linear, flat = torch.nn.Linear, torch.nn.Flatten
    body = torch.nn.Sequential(linear(12, 16), torch.nn.ReLU(), linear(16, 8), torch.nn.ReLU())

    class Net(torch.nn.Module):
        def __init__(self, head, after=lambda x: x):
            super().__init__()
            self.body, self.head, self.after = body, head, after

        def forward(self, x):
            return self.after(self.head(self.body(x)))

    class Cosine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(5, 8))

        def forward(self, x):
            normalize = torch.nn.functional.normalize
            return 30 * normalize(x) @ normalize(self.weight).T

    class LowRank(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.base, self.down, self.up = linear(8, 5), linear(8, 2, bias=False), linear(2, 5, bias=False)

        def forward(self, x):
            return self.base(x) + self.up(self.down(x))

    class Convolution(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(8, 5, 1)

        def forward(self, x):
            return self.conv(x[:, :, None, None]).flatten(1)

    class Several(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head, self.aux = body, linear(8, 5), torch.nn.Sequential(linear(8, 3), linear(3, 1))

        def forward(self, x):
            x = self.body(x)
            logits = self.head(x)
            return {"value": self.aux(x), "logits": logits}

    class Gate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.squeeze, self.excite = body, linear(8, 2), linear(2, 8)

        def forward(self, x):
            x = self.body(x)
            return x * torch.sigmoid(self.excite(self.squeeze(x)))

    read = body(torch.tensor(ROWS)).detach()
    gate = Gate()
    return {
        "linear": (Net(linear(8, 5)), read),
        "dropout after it": (Net(torch.nn.Sequential(linear(8, 5), torch.nn.Dropout())), read),
        "two layers": (Net(torch.nn.Sequential(linear(8, 8), torch.nn.Tanh(), linear(8, 5))), None),
        "softmax": (Net(linear(8, 5), lambda x: x.softmax(1)), read),
        "logarithm": (Net(torch.nn.Sequential(linear(8, 5), torch.nn.LogSoftmax(1))), read),
        "temperature": (Net(linear(8, 5), lambda x: 7 * x), read),
        "cosine": (Net(Cosine()), read),
        "low rank": (Net(LowRank()), read),
        "convolution": (Net(Convolution()), read),
        "several": (Several(), read),
        "weight norm": (Net(torch.nn.utils.parametrizations.weight_norm(linear(8, 5))), read),
        "identity": (Net(torch.nn.Identity()), read),
        "gate": (gate, gate(torch.tensor(ROWS)).detach()),
        "unit length": (Net(torch.nn.Identity(), torch.nn.functional.normalize), torch.nn.functional.normalize(read)),
        "one layer": (torch.nn.Sequential(flat(), linear(12, 5)), ROWS),
        "quantised": (torch.ao.quantization.quantize_dynamic(Net(linear(8, 5)).eval(), {"head": torch.ao.quantization.
                      default_dynamic_qconfig}), read),
    }  # fmt: skip


TORCH = (
    "linear", "dropout after it", "two layers", "softmax", "logarithm", "temperature", "cosine", "low rank",
    "convolution", "several", "weight norm", "identity", "gate", "unit length", "one layer", "quantised",
)  # fmt: skip
ONNX = "linear", "two layers", "softmax", "logarithm", "low rank", "convolution", "identity"


@pytest.mark.filterwarnings("ignore")  # of quantised tensors
@pytest.mark.parametrize("name", TORCH)
def test_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    network, right = torch_networks(torch)[name]
    if right is None:
        right = torch.nn.Sequential(network.body, *network.head[:2])(torch.tensor(ROWS)).detach()
    close(extract_features(network.eval(), ROWS), right)


def test_torch_convolution_whose_answer_is_averaged():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 7, 3), torch.nn.ReLU())
    head = torch.nn.Sequential(torch.nn.Conv2d(7, 5, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))
    network = torch.nn.Sequential(body, head, torch.nn.Flatten()).eval()
    images = torch.tensor(IMAGES.transpose(0, 3, 1, 2))
    close(extract_features(network, IMAGES), body(images).detach().mean((2, 3)))


class Body(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(8)(x.reshape(len(x), -1)))


class LinenNet(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x):
        x = Body(name="body")(x)
        if self.kind == "none":
            return x
        if self.kind == "gate":
            return x * nn.sigmoid(nn.Dense(8)(nn.Dense(2)(x)))
        if self.kind == "low rank":
            return LinenLowRank(name="head")(x)
        if self.kind == "several":
            return {"logits": nn.Dense(5)(x), "value": nn.Dense(1)(nn.relu(nn.Dense(3)(x)))}
        logits = nn.remat(nn.Dense)(5)(x) if self.kind == "remat" else nn.Dense(5)(x)
        return nn.log_softmax(logits) if self.kind == "logarithm" else logits


class LinenLowRank(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(5)(x) + nn.Dense(5)(nn.Dense(2)(x))


@pytest.mark.parametrize("kind", ["dense", "none", "gate", "low rank", "several", "logarithm", "remat"])
def test_linen(kind):
    module = LinenNet(kind)
    variables = module.init(jax.random.key(0), IMAGES)
    right = Body().apply({"params": variables["params"]["body"]}, IMAGES)
    right = module.apply(variables, IMAGES) if kind == "gate" else right
    close(extract_features((module, variables), IMAGES), right)


class NnxNet(nnx.Module):
    def __init__(self, kind):
        rngs = nnx.Rngs(0)
        self.kind, self.body, self.head = kind, nnx.Linear(192, 8, rngs=rngs), nnx.Linear(8, 5, rngs=rngs)
        self.down, self.up = nnx.Linear(8, 2, rngs=rngs), nnx.Linear(2, 5, rngs=rngs)

    def read(self, x):
        return nnx.relu(self.body(x.reshape(len(x), -1)))

    def __call__(self, x):
        x = self.read(x)
        if self.kind == "none":
            return x
        if self.kind == "several":
            return self.head(x), self.up(self.down(x))
        return self.head(x)


@pytest.mark.parametrize("kind", ["linear", "none", "several"])
def test_nnx(kind):
    module = NnxNet(kind)
    close(extract_features(module, IMAGES), module.read(jnp.asarray(IMAGES)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["dense", "softmax", "none", "activated", "convolution", "nested", "custom", "pooled"])
def test_keras(kind):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    layers = keras.layers

    class Cosine(layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 5), initializer="glorot_uniform")

        def call(self, x):
            return keras.ops.matmul(x, self.kernel) / keras.ops.norm(x, axis=1, keepdims=True)

    given = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D(keepdims=kind == "convolution")(layers.Conv2D(6, 3, activation="relu")(given))
    heads = {
        "dense": lambda: layers.Dense(5)(x), "softmax": lambda: layers.Activation("softmax")(layers.Dense(5)(x)),
        "none": lambda: layers.Dropout(0.5)(x), "activated": lambda: layers.Dense(4, activation="relu")(x),
        "convolution": lambda: layers.Reshape((5,))(layers.Conv2D(5, 1)(x)), "custom": lambda: Cosine()(x),
        "nested": lambda: keras.Sequential([keras.Input((6,)), layers.Dropout(0.1), layers.Dense(5)])(x),
        "pooled": lambda: layers.GlobalAveragePooling2D()(layers.Conv2D(7, 3)(given)),
    }  # fmt: skip
    answer = heads[kind]()
    module = keras.Model(given, answer)
    right = keras.Model(given, answer if kind in ("activated", "pooled") else x)(IMAGES, training=False)
    close(extract_features(module, IMAGES), keras.ops.convert_to_numpy(right))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["linear", "two layers", "softmax", "logarithm", "low rank", "convolution", "identity"]
)
def test_onnx(name, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    torch.manual_seed(0)
    network, right = torch_networks(torch)[name]
    if right is None:
        right = torch.nn.Sequential(network.body, *network.head[:2])(torch.tensor(ROWS)).detach()
    path = tmp_path / "network.onnx"
    torch.onnx.export(network.eval(), (torch.tensor(ROWS[:2]),), str(path), dynamo=False, input_names=["x"],
                      dynamic_axes={"x": {0: "samples"}})  # fmt: skip
    close(extract_features(f"onnx:{path}", ROWS), right)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("factor", "offset", "right"),
    [(1 / 255, 0, 1.0), (1 / 127.5, -1, 1.0), (2, -1, 1 / 255), (4, -2, 1 / 255), (1, -120, 1.0), (1, 0, 1 / 255)],
)
def test_scale_of_the_input_is_seen_by_what_comes_out(factor, offset, right, tmp_path):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    import nrjax

    given = keras.Input((8, 8, 3))
    head = keras.layers.Dense(2)(
        keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(given * factor + offset))
    )
    assert nrjax.from_keras(keras.Model(given, head))._preprocessing.scale == pytest.approx(right)
