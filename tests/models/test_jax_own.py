"""Equinox modules, functions that Haiku has transformed, programs of jax.export: values by their own frameworks."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nrjax
from tests.models import sources

X, Y = sources.images(20), np.arange(20) % 4
FIRST = np.moveaxis(X.astype(np.float32) / 255, 3, 1)


@pytest.fixture(scope="module")
def equinox():
    return pytest.importorskip("equinox")


@functools.cache
def network_class():
    import equinox
    from equinox import nn

    class Net(equinox.Module):
        conv: nn.Conv2d
        norm: nn.LayerNorm
        drop: nn.Dropout
        head: nn.Linear

        def __call__(self, x, key=None):
            x = jax.nn.relu(self.conv(x)).mean((1, 2))
            return self.head(self.drop(self.norm(x), key=key))

    return Net


def network(equinox, seed=0):
    nn, keys = equinox.nn, jax.random.split(jax.random.key(seed), 2)
    parts = nn.Conv2d(3, 6, 3, key=keys[0]), nn.LayerNorm(6), nn.Dropout(0.5), nn.Linear(6, 4, key=keys[1])
    return network_class()(*parts)


def test_equinox(equinox):
    net = network(equinox)
    inference = equinox.nn.inference_mode(net)
    conv = jax.vmap(net.conv)(FIRST)
    hidden = jax.vmap(net.norm)(jax.nn.relu(conv).mean((2, 3)))
    model = nrjax.models.as_model(net)
    names = [layer.name for layer in nrjax.layers(model, (32, 32, 3))]
    assert names == ["input", "conv", "norm", "drop", "head", "output"]
    assert np.allclose(nrjax.extract_features(net, X), hidden, atol=1e-5)
    assert np.allclose(nrjax.extract_features(net, X, "conv"), conv.reshape(20, -1), atol=1e-5)
    assert np.allclose(nrjax.extract_features(net, X, "output"), jax.vmap(inference)(FIRST), atol=1e-5)
    assert not net.drop.inference  # the user's own stays as it is
    assert model.fingerprint == nrjax.models.as_model(network(equinox)).fingerprint
    assert model.fingerprint != nrjax.models.as_model(network(equinox, 1)).fingerprint


def test_equinox_with_a_state(equinox):
    class Net(equinox.Module):
        norm: Any
        head: Any

        def __init__(self, key):
            self.norm = equinox.nn.BatchNorm(3, "batch", mode="batch")
            self.head = equinox.nn.Linear(3, 2, key=key)

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return self.head(x.mean((1, 2))), state

    net, state = equinox.nn.make_with_state(Net)(jax.random.key(0))
    trained = jax.vmap(net, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    _, state = trained(jnp.asarray(FIRST), state)
    inference = equinox.nn.inference_mode(net)
    expected = jax.vmap(lambda x: inference(x, state)[0])(FIRST)
    assert np.allclose(nrjax.extract_features((net, state), X, "output"), expected, atol=1e-5)


def test_equinox_of_arrays(equinox):
    net = equinox.nn.MLP(5, 3, 8, 2, key=jax.random.key(0))
    samples = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    hidden = jax.vmap(lambda x: jax.nn.relu(net.layers[1](jax.nn.relu(net.layers[0](x)))))(samples)
    assert np.allclose(nrjax.extract_features(net, samples), hidden, atol=1e-5)
    assert np.allclose(nrjax.extract_features(net, samples, "layers.2"), jax.vmap(net)(samples), atol=1e-5)


@functools.cache
def answering_class():
    import equinox

    class Answering(equinox.Module):
        """Equinox as people write it: layers in a vmap over tokens, an MLP within, and answers of several kinds."""

        tokens: Any
        mlp: Any
        kind: str = equinox.field(static=True)

        def hidden(self, x):
            tokens = jax.vmap(self.tokens)(x.reshape(-1, 32))
            return (tokens + jax.nn.relu(tokens)).mean(0)

        def __call__(self, x):
            hidden = self.hidden(x)
            answer = self.mlp(hidden)
            return {
                "logits": answer, "softmax": jax.nn.softmax(answer), "mapping": {"logits": answer, "other": hidden},
                "residual": hidden + answer, "unit": answer / jnp.linalg.norm(answer),
                "gate": hidden * jax.nn.sigmoid(answer),
            }[self.kind]  # fmt: skip

    return Answering


@pytest.mark.parametrize("kind", ["logits", "softmax", "mapping", "residual", "unit", "gate"])
def test_equinox_answers(equinox, kind):
    keys = jax.random.split(jax.random.key(0), 2)
    parts = equinox.nn.Linear(32, 8, key=keys[0]), equinox.nn.MLP(8, 8, 6, 2, key=keys[1])
    net = answering_class()(*parts, kind)

    def read(x):
        for layer in net.mlp.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return x

    has_head = kind in ("logits", "softmax", "mapping")
    expected = jax.vmap((lambda x: read(net.hidden(x))) if has_head else net)(FIRST)
    assert np.allclose(nrjax.extract_features(net, X), expected, atol=1e-5)
    names = [layer.name for layer in nrjax.layers(net, (32, 32, 3))]
    assert names == ["input", "mlp.layers.0", "mlp.layers.1", "mlp.layers.2", "mlp", "output"]


@pytest.mark.parametrize("kind", ["tuple", "mapping", "softmax", "residual", "relu", "gate"])
def test_haiku_answers(kind):
    haiku = pytest.importorskip("haiku")

    def forward(x, hidden_alone=False):
        hidden = jax.nn.relu(haiku.Linear(8)(x.reshape(len(x), -1)))
        answer = haiku.Linear(8)(hidden)
        return hidden if hidden_alone else {
            "tuple": (answer, hidden), "mapping": {"logits": answer}, "softmax": jax.nn.softmax(answer),
            "residual": hidden + answer, "relu": jax.nn.relu(answer), "gate": hidden * jax.nn.sigmoid(answer),
        }[kind]  # fmt: skip

    images = X.astype(np.float32) / 255
    transformed = haiku.transform(forward)
    params = transformed.init(jax.random.key(0), images)
    has_head = kind in ("tuple", "mapping", "softmax")
    expected = transformed.apply(params, None, images, hidden_alone=has_head)
    assert np.allclose(nrjax.extract_features((transformed, params), X), expected, atol=1e-5)


@pytest.mark.parametrize("without_rng", [False, True])
def test_haiku(without_rng):
    haiku = pytest.importorskip("haiku")

    def forward(x):
        x = jax.nn.relu(haiku.Conv2D(5, 3, name="conv")(x)).mean((1, 2))
        return haiku.Linear(4, name="head")(x)

    transformed = haiku.transform(forward)
    images = X.astype(np.float32) / 255
    params = transformed.init(jax.random.key(0), images)
    logits = transformed.apply(params, None, images)
    net = haiku.without_apply_rng(transformed) if without_rng else transformed
    names = [layer.name for layer in nrjax.layers((net, params), (32, 32, 3))]
    assert names == ["input", "conv", "head", "output"]
    features = nrjax.extract_features((net, params), X)
    assert np.allclose(features @ params["head"]["w"] + params["head"]["b"], logits, atol=1e-5)
    assert features.shape == (20, 5)
    assert np.allclose(nrjax.extract_features((net, params), X, "output"), logits, atol=1e-5)


def test_haiku_with_a_state():
    haiku = pytest.importorskip("haiku")

    def forward(x, is_training=False):
        return haiku.Linear(4)(haiku.BatchNorm(True, True, 0.9)(x, is_training=is_training).mean((1, 2)))

    transformed, images = haiku.transform_with_state(forward), X.astype(np.float32) / 255
    params, state = transformed.init(jax.random.key(0), images, is_training=True)
    expected = transformed.apply(params, state, None, images)[0]
    assert np.allclose(nrjax.extract_features((transformed, params, state), X, "output"), expected, atol=1e-5)


def exported(batch="batch", sizes=(32, 32, 3)):
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(3, 7)), jnp.float32)
    apply = jax.jit(lambda x: jnp.tanh(x.mean((1, 2)) @ kernel))
    symbols = jax.export.symbolic_shape(", ".join(map(str, (batch, *sizes))))
    program = jax.export.export(apply)(jax.ShapeDtypeStruct(symbols, jnp.float32))
    return program, apply(X.astype(np.float32) / 255)


@pytest.mark.parametrize("batch", ["batch", 3])
def test_exported(batch, tmp_path):
    pytest.importorskip("flatbuffers", exc_type=ImportError)
    program, expected = exported(batch)
    (tmp_path / "net.jax").write_bytes(program.serialize())
    live, file = nrjax.models.as_model(program), nrjax.load_model(f"jax:{tmp_path / 'net.jax'}")
    for model in (live, file):
        assert np.allclose(nrjax.extract_features(model, X), expected, atol=1e-5)
        assert model.batch == (None if batch == "batch" else 3)
    assert live.fingerprint == file.fingerprint
    options = {"scores": "silhouette", "progress": False}
    swept = nrjax.sweep(f"jax:{tmp_path / 'net.jax'}", X, Y, engine="local", workers=1, **options).ranking
    here = nrjax.rank({"live": program}, X, Y, **options).scores["live"]
    assert list(swept.scores.values()) == pytest.approx([here], abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_penzai():
    pz = pytest.importorskip("penzai.pz")
    from penzai.models import simple_mlp

    def mlp(seed):
        sizes = [32 * 32 * 3, 8, 4]
        return pz.freeze_params(
            simple_mlp.MLP.from_config(name="mlp", init_base_rng=jax.random.key(seed), feature_sizes=sizes)
        )

    def hidden(network, batch):
        named = pz.nx.wrap(batch.reshape(len(batch), -1)).tag("batch", "features")
        return pz.nn.Sequential(network.sublayers[:-1])(named).unwrap("batch", "features")

    model, same, other = (nrjax.from_function(hidden, mlp(seed)) for seed in (0, 0, 1))
    expected = hidden(mlp(0), jnp.asarray(X.astype(np.float32) / 255))
    assert np.allclose(nrjax.extract_features(model, X), expected, atol=1e-5)
    assert model.fingerprint == same.fingerprint != other.fingerprint
    assert not nrjax.rank({"penzai": model}, X, Y, scores="silhouette", progress=False).failed


def test_one_ranking_of_all(equinox, tmp_path):
    haiku = pytest.importorskip("haiku")
    transformed = haiku.transform(lambda x: haiku.Linear(4)(x.reshape(len(x), -1)))
    params = transformed.init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    models = {"equinox": network(equinox), "haiku": (transformed, params), "exported": exported()[0]}
    ranking = nrjax.rank(models, X, Y, scores="silhouette", progress=False)
    assert not ranking.failed
    assert set(ranking.order) == set(models)


def test_nearly_right(equinox, tmp_path):
    haiku = pytest.importorskip("haiku")
    program = jax.export.export(jax.jit(lambda w, x: x @ w))(
        jax.ShapeDtypeStruct((3, 2), jnp.float32), jax.ShapeDtypeStruct((5, 3), jnp.float32)
    )
    (tmp_path / "damaged.jax").write_bytes(b"no program")
    transformed = haiku.transform(lambda x: x)
    cases = {
        "two": (program, r"it takes 2 arrays; expected one batch. Export it with its weights inside: jax.export"),
        "damaged": (f"jax:{tmp_path / 'damaged.jax'}", "it is damaged, or no program of jax.export"),
        "gone": ("jax:gone.jax", "is not there"),
        "no params": (transformed, r"a tuple \(transformed by Haiku, params\)"),
    }
    for name, (model, told) in cases.items():
        with pytest.raises((ValueError, TypeError), match=told) as error:
            nrjax.models.as_model(model)
        assert "\n" not in str(error.value), name


def scaled(make):
    """A network of Flax or a function, by the arithmetic that it does with images before its first weights."""
    from flax import linen, nnx

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(3)(linen.Conv(4, (3, 3))(make(x)).mean((1, 2)))

    class Nnx(nnx.Module):
        def __init__(self, rngs):
            self.dense, self.drop = nnx.Linear(3072, 3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dense(self.drop(make(x).reshape(len(x), -1)))

    module = Linen()
    weights = np.random.default_rng(0).normal(size=(3072, 3)).astype(np.float32)
    function = nrjax.from_function(lambda w, x: make(x).reshape(len(x), -1) @ w, weights)
    variables = module.init(jax.random.key(0), X[:1].astype(np.float32))
    return {"linen": (module, variables), "nnx": Nnx(nnx.Rngs(0)), "function": function}


@pytest.mark.parametrize("kind", ["linen", "nnx", "function"])
def test_networks_that_scale_images_say_so(kind):
    for make in (lambda x: x / 255, lambda x: x / 127.5 - 1, lambda x: x - 120):
        with pytest.warns(RuntimeWarning, match=r"as networks of images from 0 to 255 do.*Preprocessing\(scale=1\)"):
            nrjax.extract_features(scaled(make)[kind], X)
    for make in (lambda x: x, lambda x: 2 * x - 1, lambda x: (x - 0.45) / 0.22):
        nrjax.extract_features(scaled(make)[kind], X)
    module, variables = scaled(lambda x: x / 255)["linen"]
    told = nrjax.from_linen(module, variables, preprocessing=nrjax.Preprocessing(scale=1))
    expected = module.apply(variables, X.astype(np.float32))
    assert np.allclose(nrjax.extract_features(told, X, -1), expected, atol=1e-5)
