import json
import os
import pickle

import jax
import numpy as np
import pytest
from flax import nnx

import nrjax
from nrjax.models import CheckpointError, ZooError, load_variables, save_variables
from tests.conftest import tiny_variables
from tests.models.test_models import NNXNet

FORMATS = ["weights.safetensors", "weights.msgpack", "weights.orbax"]


@pytest.mark.parametrize("weights", FORMATS)
def test_linen_round_trip(tmp_path, save_tiny, weights):
    save_tiny(tmp_path, "one", weights=weights, tags={"training_data": "noise"}, license="MIT", source="here")
    zoo = nrjax.load_zoo(tmp_path)
    info = zoo.info("one")
    assert (info.architecture, info.tags, info.license, info.source) == (
        "paper_cnn", {"training_data": "noise"}, "MIT", "here",
    )  # fmt: skip
    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(
        nrjax.extract_features(zoo["one"], images, "logits"), nrjax.extract_features(tiny_variables(), images, "logits")
    )


@pytest.mark.parametrize("weights", FORMATS)
def test_nnx_round_trip(tmp_path, weights):
    nrjax.register_architecture("nnx_net", NNXNet)
    module = NNXNet(nnx.Rngs(7), dims=4)
    _, _, state = nnx.split(module, nnx.RngState, ...)
    nrjax.save_model(
        tmp_path, "net", nnx.to_pure_dict(state), architecture="nnx_net", config={"dims": 4}, input_shape=(8, 8, 1),
        weights=weights,
    )  # fmt: skip
    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    ours = nrjax.extract_features(nrjax.load_zoo(tmp_path)["net"], images, "logits")
    np.testing.assert_array_equal(ours, nrjax.extract_features(module, images, "logits"))


def test_float16_weights_are_taken_at_the_architectures_dtype(tmp_path):
    _, variables = tiny_variables()
    save_variables(tmp_path / "w.safetensors", jax.tree.map(lambda x: x.astype(np.float16), variables))
    loaded = load_variables(tmp_path / "w.safetensors", variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), loaded, variables)
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype(np.float32)}


def test_every_mismatch_at_once(tmp_path):
    _, variables = tiny_variables()
    params = dict(variables["params"])
    params["logits"] = {"kernel": np.zeros((9, 3), np.float32), "bias": params["logits"]["bias"].astype(np.int32)}
    params["conv9"] = params.pop("conv1")
    save_variables(tmp_path / "w.safetensors", {"params": params})
    with pytest.raises(CheckpointError) as raised:
        load_variables(tmp_path / "w.safetensors", variables)
    message = str(raised.value)
    assert "\n" not in message
    for words in (
        "missing params/conv1/kernel (5, 5, 1, 2)",
        "missing params/conv1/bias (2,)",
        "extra params/conv9/kernel (5, 5, 1, 2)",
        "params/logits/kernel has shape (9, 3), expected (8, 3)",
        "params/logits/bias is int32, expected float32",
    ):
        assert words in message


def test_names_separated_by_dots(tmp_path):
    import safetensors.numpy

    _, variables = tiny_variables()
    flat = {
        ".".join(k.key for k in path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]
    }
    safetensors.numpy.save_file(flat, tmp_path / "w.safetensors")
    loaded = load_variables(tmp_path / "w.safetensors", variables)
    jax.tree.map(np.testing.assert_array_equal, loaded, variables)


def damage_truncate(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:300])


def damage_pickle(folder):
    (folder / "weights.safetensors").write_bytes(pickle.dumps({"params": 1}))


def damage_pickle_file(folder):
    (folder / "weights.pkl").write_bytes(pickle.dumps({"params": 1}))
    edit(folder, weights="weights.pkl")


def damage_msgpack(folder):
    (folder / "w.msgpack").write_bytes(b"\x93\x01\x02")
    edit(folder, weights="w.msgpack")


def damage_orbax(folder):
    (folder / "w.orbax").mkdir()
    edit(folder, weights="w.orbax")


def damage_link(folder):
    target = folder.parent.parent / "secret.safetensors"
    os.replace(folder / "weights.safetensors", target)
    (folder / "weights.safetensors").symlink_to(target)


def damage_folder_link(folder):
    target = folder.parent.parent / "elsewhere"
    os.replace(folder, target)
    folder.symlink_to(target)


def edit(folder, **changes):
    path = folder / "model.json"
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in fields.items() if v is not None}))


DAMAGES = {
    "truncated weights": (damage_truncate, "weights.safetensors cannot be read, it is corrupt"),
    "pickle in safetensors": (damage_pickle, "weights.safetensors cannot be read, it is corrupt"),
    "pickle file": (damage_pickle_file, "weights.pkl: unknown weights format; it must be one of .safetensors"),
    "corrupt msgpack": (damage_msgpack, "w.msgpack cannot be read, it is corrupt"),
    "empty orbax": (damage_orbax, "w.orbax is no checkpoint of Orbax: it has no _METADATA"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "there is no weights.safetensors"),
    "no description": (lambda f: (f / "model.json").unlink(), "there is no model.json"),
    "not JSON": (lambda f: (f / "model.json").write_text("{"), "model.json is not JSON"),
    "not text": (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"), "model.json is not JSON"),
    "deep JSON": (lambda f: (f / "model.json").write_text("[" * 100_000), "model.json is not JSON"),
    "JSON list": (lambda f: (f / "model.json").write_text("[]"), "must be an object with architecture, config"),
    "huge JSON": (lambda f: (f / "model.json").write_text(" " * (1 << 21)), "larger than 1048576 bytes"),
    "field missing": (lambda f: edit(f, architecture=None), "architecture is missing"),
    "field unknown": (lambda f: edit(f, hook="os:system"), "hook is not a field"),
    "field of another type": (lambda f: edit(f, config=[]), "config must be a dict"),
    "bad input shape": (lambda f: edit(f, input_shape=[8, -1, 1]), "input_shape must hold positive integers"),
    "bad preprocessing": (lambda f: edit(f, preprocessing={"std": [0]}), "std positive"),
    "unknown architecture": (
        lambda f: edit(f, architecture="os.system"),
        "unknown architecture 'os.system'; registered",
    ),
    "config it does not take": (lambda f: edit(f, config={"classes": 3, "x": 1}), "cannot be built from config"),
    "another architecture": (
        lambda f: edit(f, config={"classes": 4}),
        "does not fit the architecture: params/conv1/bias has shape (2,), expected (32,)",
    ),
    "parent directory": (lambda f: edit(f, weights="../b/weights.safetensors"), "leaves the model's folder"),
    "absolute path": (lambda f: edit(f, weights="/etc/passwd"), "leaves the model's folder"),
    "the folder itself": (lambda f: edit(f, weights="."), "leaves the model's folder"),
    "link out of the folder": (damage_link, "leaves the model's folder"),
    "folder is a link out": (damage_folder_link, "link that leaves the zoo"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_bad_model_is_reported_and_the_others_go_on(tmp_path, save_tiny, tiny_images, damage):
    zoo_path = tmp_path / "zoo"
    for seed, name in enumerate("abc"):
        save_tiny(zoo_path, name, seed)
    harm, words = DAMAGES[damage]
    harm(zoo_path / "a")
    zoo = nrjax.load_zoo(zoo_path)
    with pytest.raises(ZooError) as raised:
        zoo["a"]
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    ranked = nrjax.rank(zoo, *tiny_images)
    assert sorted(ranked.order) == ["b", "c"]
    assert words in ranked.failed["a"]


def test_no_zoo_and_empty_zoo(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such directory"):
        nrjax.load_zoo(tmp_path / "none")
    with pytest.raises(ValueError, match=r"is empty: expected one folder per model, each with a model.json"):
        nrjax.load_zoo(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../x"}, "expected a plain folder name"),
        ({"name": ".hidden"}, "expected a plain folder name"),
        ({"weights": "../w.safetensors"}, "expected a plain file name"),
        ({"weights": "w.pkl"}, "suffix must be one of"),
    ],
)
def test_what_cannot_be_saved(tmp_path, save_tiny, changes, words):
    with pytest.raises(ValueError, match=words):
        save_tiny(tmp_path / "zoo", **({"name": "x"} | changes))
    assert not (tmp_path / "zoo").exists() or list((tmp_path / "zoo").iterdir()) == []


def test_an_interrupted_save_leaves_the_old_model(tmp_path, save_tiny, monkeypatch):
    save_tiny(tmp_path, "a", seed=1)
    before = (tmp_path / "a" / "weights.safetensors").read_bytes()

    def disk_full(path, variables):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nrjax.models._zoo.save_variables", disk_full)
    with pytest.raises(OSError, match="No space"):
        save_tiny(tmp_path, "a", seed=2)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "weights.safetensors").read_bytes() == before


def test_registered_architecture_of_ones_own(tmp_path, save_tiny):
    from nrjax.models import PaperCNN

    with pytest.raises(ValueError, match=r"nrjax.register_architecture\(name, factory\)"):
        save_tiny(tmp_path, "mine", architecture="mine")
    assert not any(tmp_path.iterdir())
    nrjax.register_architecture("mine", lambda classes, conv_features, dense_features: PaperCNN(
        classes, tuple(conv_features), dense_features
    ))  # fmt: skip
    save_tiny(tmp_path, "mine", architecture="mine")
    assert nrjax.layers(nrjax.load_zoo(tmp_path)["mine"])[-1].name == "logits"
