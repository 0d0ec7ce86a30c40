"""How models run: how maps and tokens are pooled, on which device, at which size."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import nrjax
from nrjax.cli import main
from nrjax.models import load_candidates
from tests.models import sources

X, Y, T = sources.images(16), np.arange(16) % 4, sources.texts(16)
REDUCE = {"flatten": lambda x: x.reshape(len(x), -1), "mean": lambda x: x.mean((1, 2)), "max": lambda x: x.max((1, 2))}


def maps(source, folder):
    """A model, one of its layers that is a map, and the map `[samples, height, width, channels]` by its framework."""
    if source == "torch":
        torch = pytest.importorskip("torch", exc_type=ImportError)

        network = sources.torch_network().eval()
        with torch.no_grad():
            return network, "0", network[0](sources.channels_first(X)).permute(0, 2, 3, 1).numpy()
    if source == "onnx":
        made = sources.onnx(folder)
        found = nrjax.extract_features(made.model, X, "conv")
        return made.model, "conv", found.reshape(16, 6, 30, 30).transpose(0, 2, 3, 1)
    if source == "keras":
        made = sources.keras(folder)
        keras = made.model._keras
        lower = keras.Model(made.model.module.inputs[0], made.model.module.get_layer("conv").output)
        return made.model, "conv", np.asarray(lower(X.astype(np.float32), training=False))
    if source == "timm":
        timm = pytest.importorskip("timm", exc_type=ImportError)
        import torch

        torch.manual_seed(0)
        network = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, img_size=32, window_size=4,
                                    embed_dim=8, depths=(1, 1), num_heads=(1, 1),
                                    pretrained_cfg_overlay={"input_size": (3, 32, 32)}).eval()  # fmt: skip
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
        from PIL import Image

        batch = torch.stack([transform(Image.fromarray(image)) for image in X])
        with torch.no_grad():
            return network, "layers.0", network.layers[0](network.patch_embed(batch)).numpy()
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(3)(linen.Conv(5, (3, 3), name="conv")(x).mean((1, 2)))

    import jax

    module = Net()
    variables = module.init(jax.random.key(0), X[:1] / 255)
    conv = linen.Conv(5, (3, 3)).apply({"params": variables["params"]["conv"]}, X / 255)
    return nrjax.from_linen(module, variables), "conv", np.asarray(conv)


@pytest.mark.parametrize("pooling", REDUCE)
@pytest.mark.parametrize("source", ["torch", "onnx", "keras", "timm", "linen"])
def test_maps(source, pooling, tmp_path):
    for package in {"torch": "torch", "onnx": "onnxruntime", "keras": "keras", "timm": "timm"}.get(
        source, "jax"
    ).split():
        pytest.importorskip(package, exc_type=ImportError)
    model, layer, of_framework = maps(source, tmp_path)
    model = nrjax.models.as_model(model)
    model.pool_by(pooling)
    features = nrjax.extract_features(model, X, layer)
    expected = REDUCE[pooling](of_framework)
    if pooling == "flatten":  # channels first or last: the same numbers in another order
        features, expected = np.sort(features, axis=1), np.sort(expected, axis=1)
    assert np.allclose(features, expected, atol=1e-4)


def test_rank_pools_live_models_and_names_alike(tmp_path):
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    made = sources.onnx(tmp_path)
    name, scores = f"onnx:{tmp_path / 'net.onnx'}", {}
    for pooling in ("flatten", "mean", "max"):
        ranking = nrjax.rank({"name": name, "live": made.model}, X, Y, layer="conv", pooling=pooling, progress=False,
                             scores="silhouette")  # fmt: skip
        assert ranking.scores["name"] == pytest.approx(ranking.scores["live"], abs=1e-6)
        assert ranking.settings["pooling"] == pooling
        scores[pooling] = ranking.scores["name"]
        pooled = REDUCE[pooling](maps("onnx", tmp_path)[2])
        assert scores[pooling] == pytest.approx(nrjax.rank_batch({"x": pooled}, Y).scores["x"], abs=1e-4)
    assert len({round(score, 4) for score in scores.values()}) == 3
    alone = nrjax.load_model(name, pooling="max")
    assert np.allclose(nrjax.extract_features(alone, X, "conv"), maps("onnx", tmp_path)[2].max((1, 2)), atol=1e-5)


def test_tokens_of_hugging_face(tmp_path):
    pytest.importorskip("transformers", exc_type=ImportError)
    sources.save_bert(tmp_path / "bert", 0)
    sources.vit(tmp_path)
    for name, samples in ((f"hf:{tmp_path / 'bert'}", T), (f"hf:{tmp_path / 'vit0'}", X)):
        for pooling in ("mean", "cls", "max"):
            wide = nrjax.rank({"m": name}, samples, Y, pooling=pooling, progress=False, scores="silhouette")
            features = nrjax.extract_features(nrjax.load_model(name, pooling=pooling), samples)
            assert wide.scores["m"] == pytest.approx(nrjax.rank_batch({"m": features}, Y).scores["m"], abs=1e-4)


def test_a_sweep_tells_poolings_apart(tmp_path):
    pytest.importorskip("torch", exc_type=ImportError)
    network = sources.torch_network()
    options = {"layer": "0", "scores": "silhouette", "store": tmp_path / "r.db", "progress": False}
    first = nrjax.sweep({"net": network}, X, Y, **options)
    second = nrjax.sweep({"net": network}, X, Y, pooling="mean", **options)
    again = nrjax.sweep({"net": network}, X, Y, pooling="mean", **options)
    assert [first.computed, second.computed, again.computed] == [1, 1, 0]
    assert first.ranking.scores != second.ranking.scores == again.ranking.scores


def test_the_command(tmp_path):
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    sources.onnx(tmp_path)
    np.savez(tmp_path / "data.npz", images=X, labels=Y)
    name = f"onnx:{tmp_path / 'net.onnx'}"
    words = f"--data {tmp_path / 'data.npz'} --layer conv --pooling mean --device cpu --scores silhouette --format json"
    done = CliRunner().invoke(main, ["rank", name, *words.split()])
    assert done.exit_code == 0, done.output
    expected = nrjax.rank(name, X, Y, layer="conv", pooling="mean", scores="silhouette", progress=False)
    assert json.loads(done.stdout)["models"][0]["score"] == pytest.approx(expected.scores[name], abs=1e-6)


def test_poolings_that_are_refused():
    pytest.importorskip("torch", exc_type=ImportError)
    network = sources.torch_network()
    with pytest.raises(ValueError, match=r"rank: pooling must be of mean, cls, .*got 'sum'"):
        nrjax.rank({"net": network}, X, Y, pooling="sum")
    model = nrjax.from_torch(network)
    model.pool_by("cls")
    with pytest.raises(ValueError, match="pooling 'cls' is of tokens, and the layer is a map; take mean"):
        nrjax.extract_features(model, X, "0")
    with pytest.raises(ValueError, match="pooling must be of flatten, mean, max, cls, last; got 'weightedmean'"):
        model.pool_by("weightedmean")


@pytest.fixture
def everywhere(tmp_path):
    """Names of models of every framework, and what loads them."""
    pytest.importorskip("torch", exc_type=ImportError)
    found = {"zoo": str(nrjax.load_demo().zoo.path)}
    for make, name in ((sources.timm, "timm:{}/timm0"), (sources.vit, "hf:{}/vit0"), (sources.onnx, "onnx:{}/net.onnx"),
                       (sources.keras, "keras:{}/net0.keras")):  # fmt: skip
        make(tmp_path)
        found[make.__name__] = name.format(tmp_path)
    return found


def test_devices(everywhere):
    """On the CPU, where they are by themselves here, nothing changes; what is not here is refused model by model."""
    plain, chosen = (nrjax.rank(everywhere, X, Y, scores="silhouette", progress=False, **options) for options in
                     ({}, {"device": "cpu"}))  # fmt: skip
    assert not chosen.failed
    assert chosen.scores == pytest.approx(plain.scores, abs=1e-6)
    models = load_candidates(everywhere, device="cuda:7")
    for name in models:
        with pytest.raises(ValueError, match=r"(PyTorch|JAX|onnxruntime) has no device 'cuda:7' here") as error:
            models[name]
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="device: these candidates are named already"):
        nrjax.rank(models, X, Y, device="cpu")


def test_a_size_that_a_file_does_not_say(tmp_path):
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    import onnx

    sources.save_onnx(tmp_path / "net.onnx", size=32)
    model = onnx.load(tmp_path / "net.onnx")
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    onnx.save(model, tmp_path / "any.onnx")
    name = f"onnx:{tmp_path / 'any.onnx'}"
    with pytest.raises(ValueError, match=r"does not know its input shape; give input_shape"):
        nrjax.layers(nrjax.load_model(name))
    sized = nrjax.load_model(name, image_size=32)
    assert nrjax.layers(sized)[1].shape == (6, 30, 30)
    listed = CliRunner().invoke(main, ["layers", name, "--image-size", "32", "--format", "csv"])
    assert "1,conv,6x30x30,5400" in listed.stdout
    photographs = [np.random.default_rng(i).integers(0, 256, (40 + i, 50, 3)).astype(np.uint8) for i in range(8)]
    fixed = nrjax.load_model(f"onnx:{tmp_path / 'net.onnx'}")
    assert np.allclose(
        nrjax.extract_features(sized, photographs), nrjax.extract_features(fixed, photographs), atol=1e-6
    )
    larger = nrjax.load_model(f"onnx:{tmp_path / 'net.onnx'}", image_size=48)  # the file says its own
    np.testing.assert_array_equal(nrjax.extract_features(larger, X), nrjax.extract_features(fixed, X))
    ranking = nrjax.rank({"any": name, "fixed": f"onnx:{tmp_path / 'net.onnx'}"}, photographs, [0, 1] * 4,
                         image_size=(32, 32), scores="silhouette", progress=False)  # fmt: skip
    assert ranking.scores["any"] == pytest.approx(ranking.scores["fixed"], abs=1e-6)
    with pytest.raises(ValueError, match=r"image_size is of models of onnx:, .*keras:; leave it out"):
        nrjax.load_model("timm:resnet18", image_size=32)


def test_a_program_of_a_file_of_keras_is_compiled_once(tmp_path):
    pytest.importorskip("keras", exc_type=ImportError)
    model = sources.keras(tmp_path).model
    first = nrjax.extract_features(model, X)
    programs = dict(model._compiled)
    assert len(programs) == 1
    assert np.array_equal(nrjax.extract_features(model, X), first)
    assert model._compiled == programs  # the same object
    live = nrjax.from_keras(model.module)  # its layers may be changed by whoever has it
    nrjax.extract_features(live, X)
    assert not live._compiled


def test_pooling_leaves_the_model_of_the_user_as_it_was(tmp_path):
    zoo, images, labels = nrjax.load_demo()
    model, images, labels = zoo["F10"], images[:40], labels[:40]
    options = {"layer": "conv2", "scores": "silhouette", "progress": False}
    before = nrjax.fit_head(model, images, labels, layer="conv2")
    pooled = nrjax.fit_head(model, images, labels, layer="conv2", pooling="mean")
    ranked = [nrjax.rank({"m": model}, images, labels, pooling=pooling, **options) for pooling in ("mean", None)]
    assert [ranking.models[0].dims for ranking in ranked] == [16, 3136]
    assert [len(ranking.head().weights) for ranking in ranked] == [16, 3136]
    assert nrjax.fit_head(model, images, labels, layer="conv2").predict(images).shape == (40,)
    assert (before.predict_proba(images) != pooled.predict_proba(images)).any()
    pooled.save(tmp_path)
    again = nrjax.load_head(tmp_path, model)
    np.testing.assert_array_equal(again.predict_proba(images), pooled.predict_proba(images))
    assert nrjax.extract_features(model, images, "conv2").shape == (40, 3136)


def test_a_model_that_pools_is_another_for_a_store(tmp_path):
    zoo, images, labels = nrjax.load_demo()
    plain, pools = zoo["F10"], zoo["F10"]
    pools.pool_by("mean")
    options = {"layer": "conv2", "store": tmp_path / "s.db", "engine": "inline", "progress": False}
    dims = [nrjax.sweep({"m": m}, images[:40], labels[:40], **options).ranking.models[0].dims for m in (plain, pools)]
    assert dims == [3136, 16]


def test_a_head_on_pooled_tokens_is_read_again(tmp_path):
    pytest.importorskip("torch", exc_type=ImportError)
    pytest.importorskip("transformers")
    sources.save_bert(tmp_path / "bert", 0)
    name = f"hf:{tmp_path / 'bert'}"
    head = nrjax.rank(name, T, Y, pooling="max", progress=False).head()
    head.save(tmp_path / "head")
    np.testing.assert_array_equal(nrjax.load_head(tmp_path / "head", name).predict(T), head.predict(T))


@pytest.mark.parametrize("batch_size", [0, -3, 2.5])
def test_batch_sizes_that_are_refused(batch_size):
    zoo, images, labels = nrjax.load_demo()
    with pytest.raises(ValueError, match=f"batch_size must be an integer of at least 1, or None.*got {batch_size}"):
        nrjax.rank(zoo, images, labels, batch_size=batch_size, progress=False)
    with pytest.raises(ValueError, match="batch_size must be"):
        nrjax.extract_features(zoo["F10"], images[:4], "dense", batch_size=batch_size)


def test_layer_and_layers_exclude_each_other():
    zoo, images, labels = nrjax.load_demo()
    with pytest.raises(ValueError, match="layer and layers exclude each other"):
        nrjax.rank(zoo, images, labels, layer="dense", layers="all")


def test_a_function_is_told_how_it_becomes_a_model():
    with pytest.raises(TypeError, match=r"got function\. A function is passed as from_embedder\(function\)"):
        nrjax.layers(lambda images: images)
