"""What an answer is made of: one number and what changes it, heads beside each other, products of all kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nrjax import extract_features
from tests.models import sources  # noqa: F401  (Keras on JAX)
from tests.models.test_heads import BYTES, close

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(16, 12)).astype(np.float32)
SERIES, VOLUMES = (RNG.normal(size=(8, 4, *size)).astype(np.float32) for size in ((20,), (5, 6, 7)))


def torch_networks(torch):
    """Name: network from rows, and what its head reads."""
    torch.manual_seed(0)
    linear, functional = torch.nn.Linear, torch.nn.functional
    body = torch.nn.Sequential(linear(12, 16), torch.nn.ReLU(), linear(16, 8), torch.nn.ReLU())
    heads = torch.nn.ModuleList([linear(8, 1) for _ in range(4)] + [linear(8, 10)])
    weight = torch.nn.Parameter(torch.randn(5, 8))

    class Net(torch.nn.Module):
        def __init__(self, answer):
            super().__init__()
            self.body, self.heads, self.weight, self.answer = body, heads, weight, answer

        def forward(self, x):
            return self.answer(self.body(x))

    answers = {
        "sigmoid of a range": lambda x: 5 * torch.sigmoid(heads[0](x)) - 0.5,
        "tanh": lambda x: torch.tanh(heads[0](x)), "softplus": lambda x: functional.softplus(heads[0](x)),
        "exponential": lambda x: heads[0](x).exp()[:, 0], "ordinal": lambda x: heads[0](x) + torch.arange(4.0),
        "both probabilities": lambda x: torch.cat([1 - (p := torch.sigmoid(heads[0](x))), p], 1),
        "beside each other": lambda x: torch.cat([head(x) for head in heads[:4]], 1),
        "reshaped": lambda x: heads[4](x).reshape(-1, 2, 5), "shift": lambda x: 3 * heads[4](x) + 2,
        "einsum": lambda x: torch.einsum("bd,cd->bc", x, weight),
        "addmm": lambda x: torch.addmm(weight[:, 0], x, weight.T),
        "tensordot": lambda x: torch.tensordot(x, weight, dims=([1], [1])),
        "distances": lambda x: -torch.cdist(x, weight),
        "cosines": lambda x: functional.cosine_similarity(x[:, None], weight[None], dim=2),
        "directions": lambda x: 9 * (x / x.norm(dim=1, keepdim=True)) @ weight.T,
    }  # fmt: skip
    read = body(torch.tensor(ROWS)).detach()
    return {name: (Net(answer), read) for name, answer in answers.items()}


@pytest.mark.parametrize(
    "name",
    [
        "sigmoid of a range", "tanh", "softplus", "exponential", "ordinal", "both probabilities", "beside each other",
        "reshaped", "shift", "einsum", "addmm", "tensordot", "distances", "cosines", "directions",
    ],
)  # fmt: skip
def test_torch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    network, right = torch_networks(torch)[name]
    close(extract_features(network.eval(), ROWS), right)


@pytest.mark.parametrize("samples", [SERIES, VOLUMES], ids=["series", "volumes"])
def test_convolutions_as_heads_of_series_and_volumes(samples):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)
    kind = torch.nn.Conv1d if samples is SERIES else torch.nn.Conv3d
    body, head = torch.nn.Sequential(kind(4, 6, 3), torch.nn.ReLU()), kind(6, 3, 1)
    axes = tuple(range(2, samples.ndim))

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = body, head

        def forward(self, x):
            return self.head(self.body(x)).mean(axes)

    close(extract_features(Net().eval(), samples), body(torch.tensor(samples)).mean(axes).detach())


def test_steps_before_samples():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = torch.nn.GRU(4, 6), torch.nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.layer(x.permute(2, 0, 1))[0])[-1]

    network = Net().eval()
    close(extract_features(network, SERIES), network.layer(torch.tensor(SERIES).permute(2, 0, 1))[0][-1].detach())


@pytest.mark.parametrize(
    ("units", "activation"), [(1, "tanh"), (1, "softplus"), (1, "exponential"), (1, "relu"), (4, "softmax")]
)
def test_keras(units, activation):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 3))
    read = keras.layers.Dense(6, activation="relu")(keras.layers.Flatten()(given))
    network = keras.Model(given, keras.layers.Dense(units, activation=activation)(read))
    right = keras.Model(given, read).predict(BYTES / np.float32(255), verbose=0)
    close(extract_features(network, BYTES), right)


def test_keras_layer_that_answers_with_an_embedding():
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 3))
    network = keras.Model(given, keras.layers.Dense(6, activation="tanh")(keras.layers.Flatten()(given)))
    close(extract_features(network, BYTES), network.predict(BYTES / np.float32(255), verbose=0))


FLAX = {
    "sigmoid of a range": lambda dense, x: 5 * nn.sigmoid(dense(1)(x)) + 0.5,
    "tanh": lambda dense, x: jnp.tanh(dense(1)(x)),
    "softplus": lambda dense, x: nn.softplus(dense(1)(x)), "exponential": lambda dense, x: jnp.exp(dense(1)(x))[:, 0],
    "relu": lambda dense, x: nn.relu(dense(1)(x)), "elu": lambda dense, x: nn.elu(dense(1)(x)) + 1,
    "softmax": lambda dense, x: nn.softmax(dense(4)(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAX)
def test_linen(name):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            read = nn.relu(nn.Dense(8, name="read")(x))
            return FLAX[name](nn.Dense, read)

    network = Net()
    variables = network.init(jax.random.key(0), ROWS)
    layer = variables["params"]["read"]
    close(extract_features((network, variables), ROWS), nn.relu(ROWS @ layer["kernel"] + layer["bias"]))


def onnx_file(torch, path, answer):
    """A file of a network, and what its head reads."""
    torch.manual_seed(0)
    body, head = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.ReLU()), torch.nn.Linear(8, 5)
    number = torch.nn.Linear(8, 1)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head, self.number = body, head, number

        def forward(self, x):
            x = self.body(x)
            return answer(self.number(x) if answer in NUMBERS else self.head(x))

    torch.onnx.export(
        Net().eval(), (torch.tensor(ROWS),), str(path), dynamo=False, input_names=["x"],
        dynamic_axes={"x": {0: "samples"}},
    )  # fmt: skip
    return body(torch.tensor(ROWS)).detach()


def both(logits):
    return logits.argmax(1), logits.softmax(1)


def most_likely(logits):
    return logits.softmax(1).topk(3)


def tanh(number):
    return number.tanh()


NUMBERS = (tanh,)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("answer", [both, most_likely, tanh], ids=lambda answer: answer.__name__)
def test_onnx(answer, tmp_path):
    """An id of a class beside probabilities is no feature, and the most likely classes are chosen by a head."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    right = onnx_file(torch, tmp_path / "network.onnx", answer)
    close(extract_features(f"onnx:{tmp_path / 'network.onnx'}", ROWS), right)
