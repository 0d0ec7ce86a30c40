"""One name for many models: patterns, the hub's cache, folders; what is known of them before anything is loaded."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import nrjax
from nrjax.cli import main
from nrjax.models import _load_candidates as loading
from nrjax.models import load_candidates
from tests.models import sources

X, Y = sources.images(24), np.arange(24) % 4
T = sources.texts(24)


@pytest.fixture
def timm():
    return pytest.importorskip("timm", exc_type=ImportError)


@pytest.fixture
def nothing_loaded(monkeypatch):
    def load(name, *arguments, **options):
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(loading, "load_applicable", load)


@pytest.mark.usefixtures("nothing_loaded")
def test_patterns_of_timm(timm):
    architectures = timm.list_models("resnet1*", pretrained=True, include_tags=False)
    assert list(load_candidates("timm:resnet1*")) == [f"timm:{name}" for name in architectures]
    assert list(load_candidates("timm:resnet1*@pretrained")) == [
        f"timm:{name}" for name in timm.list_pretrained("resnet1*")
    ]
    weights = [name for name in timm.list_pretrained() if name.startswith("resnet18.")]
    assert list(load_candidates("timm:resnet18@pretrained")) == [f"timm:{name}" for name in weights]
    assert len(weights) > 3


@pytest.mark.usefixtures("nothing_loaded")
def test_sizes_and_licences_before_anything_is_loaded(timm):
    everything = load_candidates("timm:test_*")
    real = {name: sum(p.numel() for p in timm.create_model(name.removeprefix("timm:")).parameters())
            for name in everything}  # fmt: skip
    known = {name: everything.known(name, look=True) for name in everything}
    assert {name: fields["parameters"] for name, fields in known.items()} == real
    assert {name: fields["bytes"] for name, fields in known.items()} == {name: 4 * n for name, n in real.items()}
    limit = sorted(real.values())[len(real) // 2]
    chosen = load_candidates("timm:test_*", where=f"parameters < {limit} and family != 'resnet'")
    families = {name: timm.model_entrypoint(name.removeprefix("timm:")).__module__ for name in real}
    assert set(chosen) == {n for n in real if real[n] < limit and families[n] != "timm.models.resnet"} != set()
    licences = {timm.get_pretrained_cfg(name.removeprefix("timm:")).license for name in real}
    assert licences == {"apache-2.0"}
    with pytest.raises(ValueError, match="holds of none of"):
        load_candidates("timm:test_*", where="license == 'mit'")


def test_the_command_lists_them(timm):
    done = CliRunner().invoke(main, ["zoo", "timm:test_res*", "--where", "parameters > 1", "--format", "json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert {row["model"] for row in rows} == {f"timm:{n}" for n in timm.list_models("test_res*", pretrained=True,
                                                                                     include_tags=False)}  # fmt: skip
    assert all(row["parameters"] * 4 == row["bytes"] and row["family"] for row in rows)


NEARLY = {
    "timm:resnte*": "no model of timm fits that has weights; near it are .*resne",
    "timm:resnet18@best": "behind @ stands pretrained or cached; got 'best'",
    "timm:test_*@cached": "its cache of the hub has none",
    "hf:google/*": "the hub is not searched; hf:google/.@cached are models in its cache, and hf:FOLDER",
    "onnx:nowhere/*.onnx": "onnx:nowhere/.*: no file or folder fits in ",
}


@pytest.mark.parametrize("name", NEARLY)
def test_patterns_that_nothing_fits(name, tmp_path, monkeypatch):
    pytest.importorskip("timm", exc_type=ImportError)
    pytest.importorskip("transformers", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=NEARLY[name]) as error:
        load_candidates(name)
    assert "\n" not in str(error.value)
    assert list(load_candidates([name, "onnx:x.onnx"])) == [name, "onnx:x.onnx"]  # and costs the others nothing
    Path("list.toml").write_text(f"[[models]]\nmodel = '{name}'\n[[models]]\nmodel = 'onnx:x.onnx'")
    assert list(load_candidates("list.toml")) == [name, "onnx:x.onnx"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of models of three frameworks and of nrjax, and one that holds none."""
    for name in ("timm", "transformers", "onnx"):
        pytest.importorskip(name, exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "models"
    place.mkdir()
    for make in (sources.vit, sources.timm, sources.onnx):
        make(place)
    shutil.copytree(nrjax.load_demo().zoo.path / "F10", place / "F10")
    (place / "notes").mkdir()
    return place


def test_a_folder_of_models(folder):
    with pytest.warns(RuntimeWarning, match="models: no model that is known in notes; left out"):
        ranking = nrjax.rank("models", X, Y, scores="silhouette", progress=False)
    assert set(ranking.order) == {"vit0", "timm0", "net.onnx", "F10"}
    apart = {"vit0": "hf:models/vit0", "timm0": "timm:models/timm0", "net.onnx": "onnx:models/net.onnx",
             "F10": nrjax.load_demo().zoo["F10"]}  # fmt: skip
    assert nrjax.rank(apart, X, Y, scores="silhouette", progress=False).scores == pytest.approx(ranking.scores)


def test_patterns_of_files_and_what_headers_say(folder):
    assert list(load_candidates("onnx:models/*.onnx")) == ["onnx:models/net.onnx"]
    (folder / "vit0" / "README.md").write_text("---\ntags: [x]\nlicense: mit\n---\n# A card\nlicense: gpl\n")
    (folder / "vit0.log").write_text("no folder, so no model")
    assert list(load_candidates("hf:models/vit*")) == ["hf:models/vit0"]
    known = load_candidates("hf:models/vit*").known("hf:models/vit0", look=True)
    model = nrjax.load_model("hf:models/vit0")
    assert known["parameters"] == model.description.parameters
    assert (known["license"], known["family"]) == ("mit", "vit")
    assert known["bytes"] == (folder / "vit0" / "model.safetensors").stat().st_size
    tags = {"name": "both", "model": "hf:models/v*"}
    (folder.parent / "list.json").write_text(json.dumps([tags | {"tags": {"family": "mine"}}]))
    listed = load_candidates("list.json", where="family == 'mine' and license == 'mit'")
    assert list(listed) == ["both"]  # what a list says stands above what files say


def test_a_name_with_signs_of_a_pattern_that_is_there(folder):
    shutil.copy(folder / "net.onnx", folder / "net[1].onnx")
    assert nrjax.extract_features("onnx:models/net[1].onnx", X).shape == (24, 6)
    assert list(load_candidates("onnx:models/net[1].onnx")) == ["onnx:models/net[1].onnx"]


def test_the_cache_of_the_hub(tmp_path):
    """All models in it that take the data; the command has the values that directories give."""
    pytest.importorskip("transformers", exc_type=ImportError)
    sources.save_bert(tmp_path / "one", 0)
    sources.save_bert(tmp_path / "two", 1)
    sources.vit(tmp_path)
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(f"{t},c{y}" for t, y in zip(T, Y, strict=True)))
    hub = tmp_path / "home" / "hub"
    for owner, name, place in (("a", "one", "one"), ("b", "two", "two"), ("a", "vit", "vit0")):
        repository = hub / f"models--{owner}--{name}"
        shutil.copytree(tmp_path / place, repository / "snapshots" / "1234")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("1234")

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "nrjax", *words], capture_output=True, text=True, cwd=tmp_path,
            env=os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_CACHE": str(hub)},
        )  # fmt: skip

    words = ("--data", "data.csv", "--scores", "silhouette", "--format", "json")
    done = run("rank", "hf:cached", *words)
    assert done.returncode == 0, done.stderr
    scores = {model["name"]: model["score"] for model in json.loads(done.stdout)["models"]}
    models = {f"hf:{owner}/{name}": f"hf:{tmp_path / name}" for owner, name in (("a", "one"), ("b", "two"))}
    assert scores == pytest.approx(nrjax.rank(models, T, Y, scores="silhouette", progress=False).scores, abs=1e-5)
    done = run("rank", "hf:a/v*@cached", *words)
    assert done.returncode == 1
    assert "none of 1 models takes texts: hf:a/vit" in done.stderr
    assert fnmatch.fnmatch(run("zoo", "hf:cached").stdout, "*hf:a/one*bert*hf:a/vit*vit*hf:b/two*bert*")
