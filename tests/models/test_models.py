import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import nrjax
from nrjax.models import LayerError
from tests.conftest import tiny_variables


class Residual(nn.Module):
    """Batch norm, dropout, a layer that runs twice, a submodule, rematerialisation."""

    @nn.compact
    def __call__(self, x, train: bool):
        shared = nn.Conv(4, (3, 3), name="shared")
        x = shared(nn.BatchNorm(use_running_average=not train, name="norm")(shared(x)))
        x = nn.remat(Head, static_argnums=(2,))(name="head")(x.mean((1, 2)), train)
        return nn.softmax(x)


class Head(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.relu(nn.Dense(6, name="hidden")(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(3, name="logits")(x)


class Block(nnx.Module):
    def __init__(self, dims, rngs):
        self.linear = nnx.Linear(dims, dims, rngs=rngs)
        self.norm = nnx.BatchNorm(dims, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(nnx.relu(self.norm(self.linear(x))))


class NNXNet(nnx.Module):
    def __init__(self, rngs, dims=6, classes=3):
        self.conv = nnx.Conv(1, dims, (3, 3), rngs=rngs)
        self.blocks = nnx.List([Block(dims, rngs) for _ in range(2)])
        self.logits = nnx.Linear(dims, classes, rngs=rngs)

    def __call__(self, x):
        x = self.conv(x).mean((1, 2))
        for block in self.blocks:
            x = block(x)
        return self.logits(x)


IMAGES = np.random.default_rng(0).random((9, 8, 8, 1), np.float32)


def linen_model():
    module = Residual()
    return module, module.init(jax.random.key(0), jnp.ones((1, 8, 8, 4)), train=False)


def test_paper_cnn_layers_have_the_papers_indices():
    module, variables = tiny_variables()
    listed = nrjax.layers((module, variables), (8, 8, 1))
    assert [(layer.name, layer.shape) for layer in listed] == [
        ("input", (8, 8, 1)),
        ("conv1", (8, 8, 2)),
        ("pool1", (4, 4, 2)),
        ("conv2", (4, 4, 3)),
        ("pool2", (2, 2, 3)),
        ("dense", (8,)),
        ("logits", (3,)),
    ]
    lite = tiny_variables(conv_features=[2])
    assert [layer.name for layer in nrjax.layers(lite, (8, 8, 1))] == ["input", "conv1", "pool1", "dense", "logits"]


def test_linen_layers_in_order_of_execution():
    names = [layer.name for layer in nrjax.layers(linen_model(), (8, 8, 4))]
    assert names == ["input", "shared", "norm", "shared:2", "head/hidden", "head/logits", "head", "output"]


def test_nnx_layers_in_order_of_execution():
    listed = nrjax.layers(NNXNet(nnx.Rngs(0)), (8, 8, 1))
    assert [layer.name for layer in listed] == [
        "input", "conv",
        "blocks/0/linear", "blocks/0/norm", "blocks/0",
        "blocks/1/linear", "blocks/1/norm", "blocks/1",
        "logits",
    ]  # fmt: skip
    assert dict(listed)["conv"] == (8, 8, 6)


def test_linen_outputs_are_those_of_the_model():
    module, variables = linen_model()
    images = np.repeat(IMAGES, 4, axis=-1)
    expected, state = module.apply(variables, images, train=False, capture_intermediates=True)
    intermediates = state["intermediates"]
    wanted = ["output", "shared", "head/hidden", "penultimate", 0, -1]
    ours = nrjax.extract_features((module, variables), images, wanted, batch_size=4)
    np.testing.assert_allclose(ours["output"], expected, atol=1e-6)
    np.testing.assert_allclose(ours[-1], expected, atol=1e-6)
    np.testing.assert_allclose(ours["shared"], intermediates["shared"]["__call__"][0].reshape(9, -1), atol=1e-5)
    hidden = np.asarray(intermediates["head"]["hidden"]["__call__"][0])
    np.testing.assert_allclose(ours["head/hidden"], hidden, atol=1e-5)
    np.testing.assert_allclose(ours["penultimate"], jax.nn.relu(hidden), atol=1e-5)  # dropout is off
    np.testing.assert_array_equal(ours[0], images.reshape(9, -1))


def test_nnx_outputs_are_those_of_the_model_which_stays_as_it_is():
    module = NNXNet(nnx.Rngs(0))
    module(IMAGES)  # training mode: running statistics have moved
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat)))
    ours = nrjax.extract_features(module, IMAGES, ["logits", "penultimate", "blocks/1"], batch_size=4)
    assert not module.blocks[0].dropout.deterministic
    after = nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))
    jax.tree.map(np.testing.assert_array_equal, before, after)
    module.eval()
    np.testing.assert_allclose(ours["logits"], module(IMAGES), atol=1e-5)
    np.testing.assert_allclose(ours["penultimate"], ours["blocks/1"])


def test_subclass_calling_super_is_one_layer():
    class ReLUConv(nn.Conv):
        def __call__(self, x):
            return nn.relu(super().__call__(x))

    class ReLULinear(nnx.Linear):
        def __call__(self, *inputs):
            return nnx.relu(super().__call__(*inputs))

    class Linen(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3, name="logits")(ReLUConv(2, (3, 3), name="conv")(x).reshape(len(x), -1))

    class NNX(nnx.Module):
        def __init__(self, rngs):
            self.hidden, self.logits = ReLULinear(64, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x):
            return self.logits(self.hidden(x.reshape(len(x), -1)))

    module = Linen()
    linen = module, module.init(jax.random.key(0), IMAGES)
    assert [layer.name for layer in nrjax.layers(linen, (8, 8, 1))] == ["input", "conv", "logits"]
    assert (nrjax.extract_features(linen, IMAGES, "conv") >= 0).all()
    assert [layer.name for layer in nrjax.layers(NNX(nnx.Rngs(0)), (8, 8, 1))] == ["input", "hidden", "logits"]
    assert (nrjax.extract_features(NNX(nnx.Rngs(0)), IMAGES, "hidden") >= 0).all()
    assert nnx.Linear(64, 4, rngs=nnx.Rngs(0))(jnp.ones((1, 64))).shape == (1, 4)  # classes are put back
    assert "__wrapped__" not in vars(nnx.Linear.__call__)


def test_batches_and_padding_change_nothing():
    model = tiny_variables()
    whole = nrjax.extract_features(model, IMAGES, "dense", batch_size=100)
    for batch_size in (1, 4, 9):
        np.testing.assert_allclose(
            nrjax.extract_features(model, IMAGES, "dense", batch_size=batch_size), whole, atol=1e-6
        )


def test_models_of_one_definition_share_a_program():
    from nrjax.models._jax import _forward as forward

    nrjax.extract_features(tiny_variables(seed=1), IMAGES, "dense")
    before = forward._cache_size()
    nrjax.extract_features(tiny_variables(seed=2), IMAGES, "dense")
    assert forward._cache_size() == before


def test_modules_that_cannot_be_hashed():
    class Sizes(nn.Module):
        sizes: list

        @nn.compact
        def __call__(self, x):
            x = x.reshape(len(x), -1)
            for size in self.sizes:
                x = nn.Dense(size)(x)
            return x

    class Options(nnx.Module):
        def __init__(self, rngs):
            self.options, self.linear = {"deep": [1, 2]}, nnx.Linear(64, 3, rngs=rngs)

        def __call__(self, x):
            return self.linear(x.reshape(len(x), -1))

    module = Sizes([5, 4])
    assert nrjax.extract_features((module, module.init(jax.random.key(0), IMAGES)), IMAGES).shape == (9, 5)
    assert nrjax.extract_features(Options(nnx.Rngs(0)), IMAGES, "linear").shape == (9, 3)


@pytest.mark.parametrize("layer", ["nonsense", 7, -8])
def test_a_layer_that_is_not_there(layer):
    with pytest.raises(LayerError, match=r"no layer .*it has input \(0\), conv1 \(1\).*logits \(6\)"):
        nrjax.extract_features(tiny_variables(), IMAGES, layer)


def test_no_dense_layer():
    class Convolutions(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(2, (3, 3), name="only")(x)

    module = Convolutions()
    model = module, module.init(jax.random.key(0), IMAGES)
    with pytest.raises(LayerError, match=r"no dense layer.*choose one of input \(0\), only \(1\)"):
        nrjax.extract_features(model, IMAGES)
    assert nrjax.extract_features(model, IMAGES, "only").shape == (9, 128)


def test_preprocessing():
    module, variables = tiny_variables()
    images = np.arange(9 * 64, dtype=np.uint8).reshape(9, 8, 8, 1)
    plain = nrjax.from_linen(module, variables)
    np.testing.assert_allclose(nrjax.extract_features(plain, images, 0), images.reshape(9, -1) / 255, atol=1e-7)
    normalised = nrjax.from_linen(module, variables, preprocessing=nrjax.Preprocessing((0.5,), (0.25,)))
    expected = (images.reshape(9, -1) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(nrjax.extract_features(normalised, images, 0), expected, atol=1e-5)


def test_token_ids_are_not_scaled():
    class Embedding(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            return nn.Dense(3, name="logits")(nn.Embed(50, 4, name="embed")(tokens).mean(1))

    tokens = np.random.default_rng(0).integers(0, 50, (6, 7)).astype(np.int32)
    module = Embedding()
    variables = module.init(jax.random.key(0), tokens)
    expected = variables["params"]["embed"]["embedding"][tokens].mean(1)
    np.testing.assert_allclose(nrjax.extract_features((module, variables), tokens), expected, atol=1e-6)


def test_images_are_resized_to_the_models_input():
    module, variables = tiny_variables()
    colour = np.random.default_rng(0).integers(0, 255, (5, 16, 12, 3)).astype(np.uint8)
    model = nrjax.from_linen(module, variables, input_shape=(8, 8, 1))
    assert nrjax.extract_features(model, colour, "input").shape == (5, 64)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros(5), "at least one sample; got shape"),
        (np.zeros((0, 8, 8, 1)), "at least one sample"),
        (np.zeros((3, 8, 8, 1), np.int64), "uint8 .0 to 255. or floating point; got int64"),
        (np.zeros((3, 9, 9, 1)), r"takes inputs of shape \(8, 8, 1\); got float64"),
    ],
)
def test_images_that_do_not_fit(images, words):
    module, variables = tiny_variables()
    with pytest.raises(ValueError, match=words):
        nrjax.extract_features(nrjax.from_linen(module, variables, input_shape=(8, 8, 1)), images, "dense")


def test_what_is_not_a_model():
    with pytest.raises(TypeError, match=r"nnx\.Module, a pair"):
        nrjax.layers(50)
    with pytest.raises(ValueError, match="Model 'resnet50': expected timm:"):
        nrjax.layers("resnet50")
    with pytest.raises(ValueError, match="give input_shape"):
        nrjax.layers(tiny_variables())


def test_rank_from_live_models():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    images = (rng.random((60, 8, 8, 1)) + labels[:, None, None, None]).astype(np.float32)
    zoo = {"linen": tiny_variables(), "nnx": NNXNet(nnx.Rngs(0)), "not a model": 3}
    ranked = nrjax.rank(zoo, images, labels)
    assert set(ranked.order) == {"linen", "nnx"}
    assert "pair (linen module, variables)" in ranked.failed["not a model"]
    assert ranked.settings["layer"] == "penultimate"
    expected = nrjax.rank_batch({"linen": nrjax.extract_features(zoo["linen"], images, "dense")}, labels).scores[
        "linen"
    ]
    assert ranked.scores["linen"] == pytest.approx(expected, abs=1e-6)
    by_index = nrjax.rank(zoo, images, labels, layer=0)
    assert by_index.scores["linen"] == pytest.approx(by_index.scores["nnx"])
