"""Candidates from everywhere in one ranking; lists, filters, layers that are averaged."""

import json
import re
import time

import numpy as np
import pytest

import nrjax
from nrjax.models import load_candidates
from nrjax.models._where import parse_where, split_where
from tests.models import sources

X, Y = sources.images(40), np.arange(40) % 4


@pytest.fixture
def zoo(tmp_path, save_tiny):
    for seed, name in enumerate("ab"):
        save_tiny(tmp_path / "zoo", name, seed, tags={"family": "tiny", "size": seed}, license="apache-2.0")
    return tmp_path / "zoo"


def embedder(scale):
    return nrjax.from_embedder(lambda images: np.stack([scale * image.mean((0, 1)) for image in images]), "image")


def test_mixtures_of_all(zoo):
    demo = nrjax.load_demo().zoo
    ranking = nrjax.rank({"zoo": str(zoo), "F10": demo["F10"], "own": embedder(1), "gone": "onnx:gone.onnx"},
                         X, Y, progress=False)  # fmt: skip
    assert set(ranking.order) == {"zoo/a", "zoo/b", "F10", "own"}
    assert "is not there" in ranking.failed["gone"] or "needs onnx" in ranking.failed["gone"]
    assert set(nrjax.rank([str(zoo), str(demo.path)], X, Y, progress=False).order) == {"a", "b", *demo}
    assert ranking.settings["preprocessing"]["F10"] == "28x28x1 bilinear, /255"
    with pytest.raises(ValueError, match="Two models are called a, b"):
        load_candidates([str(zoo), str(zoo)])
    with pytest.raises(TypeError, match="needs a name: pass a mapping"):
        load_candidates([embedder(1)])
    with pytest.raises(TypeError, match="models must be a mapping, a name"):
        load_candidates(3)


def test_a_folder_of_pictures_is_no_folder_of_models(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"images or recordings, and no models. .* --data"):
        nrjax.rank(tmp_path, X, Y, progress=False)


def test_a_file_or_folder_of_one_model_needs_no_prefix(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    sources.save_onnx(tmp_path / "net.onnx")
    path = str(tmp_path / "net.onnx")
    scores = nrjax.rank([path, f"onnx:{path}"], X, Y, progress=False).scores
    assert scores[path] == scores[f"onnx:{path}"]


def test_a_condition_names_fields_that_there_are(zoo):
    with pytest.raises(ValueError, match=r"no model has a field 'params'; there are .*family.*parameters.*, ms\. Text"):
        load_candidates(str(zoo), where="params < 10 or name == 'a'")
    assert set(load_candidates(str(zoo), where="size < 1 and ms < 20")) == {"a"}


def test_a_device_that_is_not_there_is_refused_for_a_zoo_in_memory_too():
    zoo = nrjax.load_demo().zoo
    with pytest.raises(ValueError, match="JAX has no device 'tpuu' here"):
        nrjax.rank(zoo, X, Y, device="tpuu", progress=False)


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_lists(tmp_path, zoo, suffix):
    path = tmp_path / f"list{suffix}"
    if suffix == ".toml":
        path.write_text(
            '[[models]]\nmodel = "zoo"\nlicense = "mit"\n[[models]]\nname = "net"\nmodel = "onnx:net.onnx"\n'
            'tags = {family = "hand"}\npreprocessing = {mean = [0.5], std = [0.5]}\n'
        )
    else:
        net = {"name": "net", "model": "onnx:net.onnx", "tags": {"family": "hand"}}
        net["preprocessing"] = {"mean": [0.5], "std": [0.5]}
        path.write_text(json.dumps([{"model": "zoo", "license": "mit"}, net]))
    candidates = load_candidates(path)
    assert list(candidates) == ["a", "b", "net"]
    assert candidates.known("a")["license"] == "mit"
    assert candidates.known("net") == {"name": "net", "source": "onnx:net.onnx", "family": "hand"}
    assert list(load_candidates(path, where="family == 'hand'")) == ["net"]
    assert load_candidates(path)["a"].description.license == "mit"
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    sources.save_onnx(tmp_path / "net.onnx")
    ranking = nrjax.rank(path, X, Y, progress=False)
    assert set(ranking.order) == {"a", "b", "net"}
    assert ranking.settings["preprocessing"]["net"] == "32x32x3 bilinear, /255, mean 0.5 std 0.5"


@pytest.mark.parametrize(("text", "message"), [
    ("[[models]]\nname = 'x'", "model 1 must be a table with model ="), ("models = 3", 'expected a list "models"'),
    ("[[models]]\nmodel = 'zoo'\ncolour = 1", "'colour', which is no field"), ("[[", "is not TOML"),
    ("[[models]]\nmodel = 'zoo'\ntags = 1", "tags must be a dict"),
    ("[[models]]\nmodel = 'list.toml'", "a list cannot name another list"),
    ("[[models]]\nmodel = 'zoo'\npreprocessing = {mean = [0]}", "a zoo has the preprocessing of its models"),
    ("[[models]]\nmodel = 'onnx:x'\npreprocessing = {std = [0]}", "std must be positive"),
    ("[[models]]\nmodel = 'onnx:x'\npreprocessing = {size = 3}", "preprocessing: .*size"),
])  # fmt: skip
def test_lists_that_are_refused(tmp_path, text, message):
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_candidates(tmp_path / "list.toml")


def test_one_entry_that_is_none_costs_the_others_nothing(tmp_path, zoo):
    (tmp_path / "list.json").write_text(json.dumps(["zoo", "nowhere", "onnx:gone.onnx"]))
    ranking = nrjax.rank(tmp_path / "list.json", X, Y, progress=False)
    assert set(ranking.order) == {"a", "b"}
    assert "no such folder" in ranking.failed["nowhere"]


def test_filters(zoo):
    assert list(load_candidates(zoo, where="size > 0 and license == 'apache-2.0'")) == ["b"]
    assert list(load_candidates(zoo, where="family in ['tiny', 'large'] and not name == 'a'")) == ["b"]
    assert list(load_candidates(zoo, where="parameters < 10e6")) == ["a", "b"]
    candidates = load_candidates(zoo, where="bytes < 1e9 and size < 1")
    assert candidates.known("a")["parameters"] > 100
    with pytest.raises(ValueError, match="holds of none of 2 models"):
        load_candidates(zoo, where="parameters < 10")
    assert set(nrjax.rank(zoo, X, Y, where="size == 1", progress=False).order) == {"b"}


def test_broken_models_pass_every_filter_and_are_told(zoo):
    (zoo / "a" / "weights.safetensors").write_bytes(b"broken")
    ranking = nrjax.rank(zoo, X, Y, where="parameters < 10e6", progress=False)
    assert (ranking.order, list(ranking.failed)) == (["b"], ["a"])
    (zoo / "b" / "model.json").write_text("?")
    assert list(load_candidates(zoo, where="size == 0")) == ["a", "b"]


@pytest.mark.parametrize(("text", "holds"), [
    ("a < 2", True), ("1 < a < 2", False), ("-1 < a and b == 'x'", True), ("nothing > 3", False),
    ("not nothing > 3", True), ("a < 'x'", False), ("b in ('x', 'y')", True), ("b not in ['x']", False), ("c", True),
    ("a == 1 or nothing", True),
])  # fmt: skip
def test_expressions(text, holds):
    assert parse_where(text)({"a": 1, "b": "x", "c": True}) is holds


@pytest.mark.parametrize("text", [
    "", "open('x')", "a.b", "__import__('os')", "a + 1", "lambda: 1", "[x for x in a]", "a[0]", "(" * 5000, "a;b",
    "None == a", "f'{a}'", "a := 3", "x" * 2000,
])  # fmt: skip
def test_what_is_no_expression(text):
    with pytest.raises(ValueError, match="where must be an expression such as"):
        parse_where(text)


def test_layers_that_are_averaged():
    def apply(params, x):
        layers = {f"block{i}": x.mean((1, 2)) * w for i, w in enumerate(params)}
        return layers | {"wide": x.reshape(len(x), -1)}

    params = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model = nrjax.from_function(apply, params, input_shape=(32, 32, 3))
    assert model.blocks() == [f"block{i}" for i in range(4)]
    names = ["mean", "last", "block3", *model.blocks()[:3]]
    features = nrjax.extract_features(model, X, names, batch_size=7)
    np.testing.assert_allclose(
        features["mean"], np.mean([features[name] for name in model.blocks()], axis=0), atol=1e-6
    )
    np.testing.assert_array_equal(features["last"], features["block3"])
    for layer in ("mean", "last", "best"):
        assert nrjax.rank({"m": model}, X, Y, layer=layer, progress=False).settings["layer"] == layer
    every = nrjax.rank({"m": model}, X, Y, layers="all", progress=False)
    assert list(every.by_layer["m"]) == ["input", *model.blocks(), "wide"]


def test_features_beyond_the_memory_lie_in_a_file(monkeypatch):
    from nrjax.models import _feature_storage

    zoo, layers = nrjax.load_demo().zoo, ["penultimate", -1]
    expected = nrjax.rank(zoo, X, Y, layers=layers, progress=False).by_layer
    monkeypatch.setattr(_feature_storage, "IN_MEMORY", 1000)
    assert isinstance(nrjax.extract_features(zoo["F10"], X), np.memmap)
    assert nrjax.rank(zoo, X, Y, layers=layers, progress=False).by_layer == expected


def test_precision(zoo):
    whole, half = (nrjax.rank(zoo, X, Y, precision=p, progress=False) for p in ("float32", "bfloat16"))
    assert half.settings["precision"] == "bfloat16"
    assert half.scores != whole.scores
    assert all(abs(half.scores[name] - whole.scores[name]) < 0.05 for name in whole.order)
    with pytest.raises(ValueError, match="precision must be of float32, tensorfloat32, bfloat16"):
        nrjax.rank(zoo, X, Y, precision="float16")


def slow(scale, ms):
    def embed(images):
        time.sleep(ms / 1e3 * len(images))
        return np.stack([scale * image.mean((0, 1)) for image in images])

    return nrjax.from_embedder(embed, "image", version=f"{scale} {ms}")


def test_what_a_model_costs_is_known_when_it_runs(tmp_path):
    models = {"fast": slow(1, 0), "slow": slow(2, 20), "slower": slow(3, 60)}
    ranking = nrjax.rank(models, X, Y, where="ms < 10 and not name == 'slower'", progress=False, scores="knn")
    assert (ranking.order, ranking.failed) == (["fast"], {})
    assert list(ranking.settings["left_out"]) == ["slow"]  # the other one never ran
    words = re.search(r"slow is left out: it takes ([\d.]+) ms a sample on this machine, and where asks for ms < 10\.",
                      " ".join(str(ranking).split()))  # fmt: skip
    assert words is not None
    assert 20 <= float(words[1]) < 60
    with pytest.raises(ValueError, match="where leaves out all models; fast: it takes"):
        nrjax.rank(models, X, Y, where="ms < 1e-9", progress=False, scores="knn")
    candidates = load_candidates(models, where="ms < 40 or name == 'slower'")
    assert nrjax.rank(candidates, X, Y, where="ms > 10", progress=False, scores="knn").order == ["slow", "slower"]
    options = {"store": tmp_path / "r.db", "progress": False, "scores": "knn", "batch_size": 20}
    swept = [nrjax.sweep(models, X, Y, where=where, **options) for where in ("ms < 40", None, "ms < 10", "ms < 40")]
    assert [sweep.computed for sweep in swept] == [3, 1, 0, 0]  # the one that was left out is computed when it may
    assert [sweep.ranking.order for sweep in swept] == [["fast", "slow"], [*models], ["fast"], ["fast", "slow"]]


@pytest.mark.parametrize(("text", "parts"), [
    ("ms < 20", ("", "ms < 20")), ("a < 2 or b == 'x'", ("a < 2 or b == 'x'", "")),
    ("a < 2 and ms < 3 and (b == 1 or ms < 1) and c", ("a < 2 and c", "ms < 3 and (b == 1 or ms < 1)")),
    ("a < 2 or ms < 3", ("", "(a < 2 or ms < 3)")),
])  # fmt: skip
def test_conditions_are_split(text, parts):
    assert split_where(text) == parts


def test_milliseconds_are_those_of_the_batches_that_are_counted():
    for batch_size in (5, 10, 20):
        ranking = nrjax.rank({"a": slow(1, 10)}, X, Y, batch_size=batch_size, progress=False, scores="knn")
        assert 10 <= ranking["a"].ms < 20
