"""Heads that are no dense layer of their own: products, sums, tokens, whole maps; and blocks that are no heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import nrjax
from nrjax import extract_features
from tests.models import sources  # noqa: F401  (Keras on JAX)
from tests.models.test_heads import BYTES, ROWS, Body, close

IMAGES = np.random.default_rng(1).normal(size=(6, 16, 16, 3)).astype(np.float32)
PICTURES = IMAGES.transpose(0, 3, 1, 2)


def torch_networks(torch):
    """Name: network, what enters it and what its head reads, or the network's output."""
    linear, functional = torch.nn.Linear, torch.nn.functional
    torch.manual_seed(0)
    body = torch.nn.Sequential(linear(12, 16), torch.nn.ReLU(), linear(16, 8), torch.nn.ReLU())
    maps = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 4, 4), torch.nn.ReLU())
    heads = torch.nn.ModuleList([linear(8, 5), linear(8, 5), linear(8, 2), linear(2, 5), linear(2, 8), linear(6, 5)])
    weight = torch.nn.Parameter(torch.randn(5, 8))
    rows, pictures = torch.tensor(ROWS), torch.tensor(PICTURES)

    class Net(torch.nn.Module):
        def __init__(self, body, answer):
            super().__init__()
            self.body, self.answer, self.heads, self.weight = body, answer, heads, weight

        def forward(self, x):
            return self.answer(self.body(x))

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.squeeze, self.excite = heads[2], heads[4]

        def forward(self, x):
            return x + self.excite(functional.relu(self.squeeze(x)))

    def tokens(x):
        return heads[5](x.flatten(2).transpose(1, 2))

    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.maps, self.pool = maps, torch.nn.MultiheadAttention(6, 2, batch_first=True)
            self.query = torch.nn.Parameter(torch.randn(1, 1, 6))

        def forward(self, x):
            x = self.maps(x).flatten(2).transpose(1, 2)
            return self.pool(self.query.expand(len(x), -1, -1), x, x)[0][:, 0]

    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.LSTM(4, 8, batch_first=True)

        def forward(self, x):
            return self.layer(x.reshape(len(x), 3, 4))[0][:, -1]

    attention, recurrent = Attention(), Recurrent()
    block, whole = Block(), torch.nn.Sequential(torch.nn.Conv2d(6, 5, 4), torch.nn.Flatten())
    read, cells = body(rows).detach(), maps(pictures).detach()
    answers = {
        "cosine": lambda x: 64 * functional.linear(functional.normalize(x), functional.normalize(weight)),
        "product": lambda x: x @ weight.T,
        "own weights": lambda x: functional.linear(x, heads[0].weight, heads[0].bias),
        "mean of heads": lambda x: torch.stack([heads[0](x), heads[1](x)]).mean(0),
        "low rank": lambda x: heads[0](x) + heads[3](heads[2](x)),
        "one number": lambda x: functional.linear(x, weight[:1])[:, 0],
        "second by name": lambda x: {"aux": heads[3](heads[2](x)), "out": heads[0](x)},
        "loss before it": lambda x: (heads[0](x).mean(), heads[0](x)),
    }
    networks = {name: (Net(body, answer), ROWS, read) for name, answer in answers.items()}
    return networks | {
        "block": (torch.nn.Sequential(body, block), ROWS, block(read).detach()),
        "attention": (attention, IMAGES, attention.eval()(pictures).detach()),
        "recurrent": (recurrent, ROWS, recurrent(rows).detach()),
        "whole map": (torch.nn.Sequential(maps, whole), IMAGES, cells.flatten(1)),
        "mean of tokens": (Net(maps, lambda x: tokens(x).mean(1)), IMAGES, cells.mean((2, 3))),
        "first token": (Net(maps, lambda x: tokens(x)[:, 0]), IMAGES, cells[:, :, 0, 0]),
    }


NAMES = (
    "cosine", "product", "own weights", "mean of heads", "low rank", "one number", "second by name", "loss before it",
    "block", "whole map", "mean of tokens", "first token",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:it has several heads")
@pytest.mark.parametrize("name", [*NAMES, "attention", "recurrent"])
def test_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    network, samples, right = torch_networks(torch)[name]
    close(extract_features(network.eval(), samples), right)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_onnx(name, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    network, samples, right = torch_networks(torch)[name]
    given = torch.tensor(ROWS if samples is ROWS else PICTURES)
    path = str(tmp_path / "network.onnx")
    outputs = ["aux", "out"] if name == "second by name" else None
    torch.onnx.export(network.eval(), (given[:2],), path, dynamo=False, input_names=["x"], output_names=outputs,
                      dynamic_axes={"x": {0: "samples"}})  # fmt: skip
    close(extract_features(f"onnx:{path}", samples), right)


class Net(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x):
        x = Body(name="body")(x)
        tokens = x.reshape(len(x), 4, 2)
        if self.kind == "cosine":
            return Cosine()(x)
        if self.kind == "normalised weights":
            return nn.WeightNorm(nn.Dense(5))(x)
        if self.kind == "product":
            return x @ self.param("weight", nn.initializers.normal(), (8, 5))
        if self.kind == "mean of heads":
            return (nn.Dense(5)(x) + nn.Dense(5)(x)) / 2
        if self.kind == "low rank":
            return nn.Dense(5)(x) + nn.Dense(5)(nn.Dense(2)(x))
        if self.kind == "one number":
            return nn.Dense(1)(x)[:, 0]
        if self.kind == "convolution":
            return nn.Conv(5, (1, 1))(x[:, None, None])[:, 0, 0]
        if self.kind == "mean of tokens":
            return nn.Dense(5)(tokens).mean(1)
        if self.kind == "first token":
            return nn.Dense(5)(tokens)[:, 0]
        return Residual()(x)


class Cosine(nn.Module):
    @nn.compact
    def __call__(self, x):
        weight = self.param("weight", nn.initializers.normal(), (8, 5))
        return x / jnp.linalg.norm(x, axis=1, keepdims=True) @ (weight / jnp.linalg.norm(weight, axis=0))


class Residual(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + nn.Dense(8)(nn.relu(nn.Dense(4)(x)))


@pytest.mark.parametrize("kind", [
    "cosine", "normalised weights", "product", "mean of heads", "low rank", "one number", "convolution",
    "mean of tokens", "first token", "block",
])  # fmt: skip
def test_linen(kind):
    module = Net(kind)
    variables = module.init(jax.random.key(0), IMAGES)
    right = np.asarray(Body().apply({"params": variables["params"]["body"]}, IMAGES))
    tokens = right.reshape(6, 4, 2)
    right = {"mean of tokens": tokens.mean(1), "first token": tokens[:, 0]}.get(kind, right)
    right = module.apply(variables, IMAGES) if kind == "block" else right
    close(extract_features((module, variables), IMAGES), right)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["factor", "rescaled", "mean of heads", "pooled", "whole map", "mean of tokens"])
def test_keras(kind):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    layers = keras.layers
    given = keras.Input((16, 16, 3))
    maps = layers.Conv2D(6, 4, 4, activation="relu")(given)
    x, tokens = layers.GlobalAveragePooling2D()(maps), layers.Reshape((16, 6))(maps)
    answer, read = {
        "factor": lambda: (layers.Lambda(lambda t: 3 * t)(layers.Dense(5)(x)), x),
        "rescaled": lambda: (layers.Rescaling(0.1)(layers.Dense(5)(x)), x),
        "mean of heads": lambda: (layers.Average()([layers.Dense(5)(x), layers.Dense(5)(x)]), x),
        "pooled": lambda: (layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1)(maps))), x),
        "whole map": lambda: (layers.Flatten()(layers.Conv2D(5, 4)(maps)), layers.Flatten()(maps)),
        "mean of tokens": lambda: (layers.GlobalAveragePooling1D()(layers.Dense(5)(tokens)), x),
    }[kind]()
    right = keras.Model(given, read)(IMAGES, training=False)
    close(extract_features(keras.Model(given, answer), IMAGES), keras.ops.convert_to_numpy(right))


@pytest.mark.parametrize("answer", ["two", "sum"])
def test_several_heads_are_said(answer):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Deep(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.early, self.late = torch.nn.Linear(12, 8), torch.nn.Linear(8, 8)
            self.head, self.aux = torch.nn.Linear(8, 5), torch.nn.Linear(8, 5)

        def forward(self, x):
            early = self.early(x).relu()
            main, aux = self.head(self.late(early).relu()), self.aux(early)
            return (main, aux) if answer == "two" else (main + aux) / 2

    words = (
        "what head reads is taken; aux read something else" if answer == "two" else "the sum of what head, aux answer"
    )
    with pytest.warns(RuntimeWarning, match=words):
        extract_features(Deep().eval(), ROWS)


def test_network_of_timm_without_a_head_whose_last_block_does_nothing_yet():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    network = timm.create_model("resnet18", num_classes=0).eval()
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        right = network(torch.tensor(images)).numpy()
    close(extract_features(network, images), right)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["colours turned", "resized", "clipped"])
def test_scale_of_an_onnx_file_is_seen_by_what_comes_out(kind, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = torch.nn.Conv2d(3, 6, 4, 4), torch.nn.Linear(6, 2)

        def forward(self, x):
            if kind == "colours turned":
                x = x[:, [2, 1, 0]] - 120
            if kind == "resized":
                x = torch.nn.functional.interpolate(x, size=(8, 8)) / 255
            if kind == "clipped":
                x = (x / 255).clamp(0, 1) * 2
            return self.head(self.body(x).mean((2, 3)))

    path = str(tmp_path / "network.onnx")
    torch.onnx.export(Net().eval(), (torch.zeros(2, 3, 8, 8),), path, dynamo=False, input_names=["x"],
                      dynamic_axes={"x": {0: "samples"}})  # fmt: skip
    assert nrjax.load_model(f"onnx:{path}").inputs.prepare(BYTES).max() > 200
