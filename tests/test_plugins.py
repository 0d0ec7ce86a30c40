"""Plug-ins: a package that is installed adds a source, a score and an architecture, here and in other processes."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import nrjax
from nrjax._utils.plugins import plugins
from nrjax.models import load_candidates, load_model
from nrjax.models._sources import prefixes

PACKAGE = Path(__file__).parent / "plugin"
ZOO, IMAGES, LABELS = nrjax.load_demo()


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder in which the example is installed, as pip does it, from a copy: builds leave files behind."""
    pytest.importorskip("setuptools", minversion="70.1")
    copy, folder = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("packages")
    shutil.copytree(PACKAGE, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
         "--target", folder, copy], check=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def here(installed, monkeypatch):
    """The example is installed in this process, too."""
    add_folder(monkeypatch, installed)


def add_folder(monkeypatch, folder):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(folder)]))
    monkeypatch.syspath_prepend(folder)


def run(folder, *words, cwd=None):
    paths = [str(PACKAGE.parents[1]), *([str(folder)] if folder else [])]
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_package(folder, name, module, code=None, **groups):
    """A package as installers leave it, by hand."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = [f"[nrjax.{group}]\n{point} = {module}:{value}\n" for group, (point, value) in groups.items()]
    (about / "entry_points.txt").write_text("\n".join(points))
    if code is not None:
        (folder / f"{module}.py").write_text(code)


def fisher(features, labels):
    """The example's score in NumPy."""
    means = np.stack([features[labels == label].mean(0) for label in np.unique(labels)])
    return means.var(axis=0).mean() / ((features - means[labels]) ** 2).mean()


def tile_means(side):
    tiles = [np.array_split(row, side, axis=2) for row in np.array_split(IMAGES.astype(float), side, axis=1)]
    return np.stack([tile.mean(axis=(1, 2, 3)) for row in tiles for tile in row], axis=1)


def test_the_command(installed):
    printed = run(installed, "-m", "nrjax", "rank", "pixels:4", "pixels:7", "--scores", "fisher", "--format", "json")
    scores = {model["name"]: model["score"] for model in json.loads(printed)["models"]}
    for side in (4, 7):
        assert scores[f"pixels:{side}"] == pytest.approx(fisher(tile_means(side), LABELS), rel=1e-4)
    assert re.search(r"^fisher +variance of class means", run(installed, "-m", "nrjax", "rank", "--scores", "help"),
                     re.MULTILINE)  # fmt: skip
    about = run(installed, "-m", "nrjax", "doctor", "--format", "csv")
    assert "wide (nrjax.architectures),nrjax-example 1.0," in about


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_other_processes(installed, engine, tmp_path):
    """Sources, scores and architectures are found where the candidates run."""
    if engine == "ray":
        pytest.importorskip("ray", reason="ray is not installed: pip install 'nrjax[ray]'")
    variables = wide(installed)
    script = tmp_path / "sweep.py"
    save = "nrjax.save_model('zoo', 'mine', variables, architecture='wide', config={'width': 6, 'classes': 5}, "
    script.write_text(
        "import json, pickle, sys, nrjax\n"
        "if __name__ == '__main__':\n"
        "    _, images, labels = nrjax.load_demo()\n"
        "    variables = pickle.load(open('variables', 'rb'))\n"
        f"    {save}input_shape=(28, 28, 1))\n"
        "    swept = nrjax.sweep(['pixels:4', 'zoo'], images, labels, scores='fisher', workers=1, progress=False,\n"
        f"        engine={engine!r})\n"
        "    print(json.dumps([swept.ranking.scores, swept.failed]))\n"
    )

    (tmp_path / "variables").write_bytes(pickle.dumps(jax.tree.map(np.asarray, variables)))
    scores, failed = json.loads(run(installed, script, cwd=tmp_path).splitlines()[-1])
    assert failed == {}
    hidden = np.maximum(IMAGES.reshape(len(IMAGES), -1) / 255 @ variables["params"]["Dense_1"]["kernel"], 0)
    expected = {"pixels:4": fisher(tile_means(4), LABELS), "mine": fisher(np.asarray(hidden, float), LABELS)}
    assert scores == pytest.approx(expected, rel=1e-3)


def wide(installed):
    """The example's architecture with random weights; biases are 0."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("nrjax_example", installed / "nrjax_example.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    module = example.Wide(6, 5)
    return module.init(jax.random.key(0), np.zeros((1, 28, 28, 1), np.float32))


@pytest.mark.usefixtures("here")
def test_in_python(monkeypatch):
    assert prefixes()[-1] == "pixels"
    assert list(nrjax.available_scores())[-1] == "fisher"
    assert "wide" in nrjax.models.architectures()
    features = nrjax.extract_features(load_model("pixels:5"), IMAGES[:50])
    assert np.allclose(features, tile_means(5)[:50], atol=1e-3)
    assert load_candidates("pixels:5").key("pixels:5") == load_candidates("pixels:5").key("pixels:5") != ""
    with pytest.raises(ValueError, match=r"^pixels:5: image_size is of models of .*; leave it out\.$"):
        load_model("pixels:5", image_size=(8, 8))
    with pytest.raises(ValueError, match="'fisher' is registered already"):
        nrjax.register_score("fisher", lambda features, labels, *, n_classes: features.mean())


BROKEN = {
    "no module": (None, {"sources": ("lost", "load")}, r"plug-in 'lost' \(nrjax.sources, broken 1.0\) cannot be loaded:"
                  r" ModuleNotFoundError: .*Mend or uninstall it\."),
    "no function": ("x = 1", {"sources": ("lost", "load")}, "cannot be loaded: AttributeError: .*load"),
    "exit": ("raise RuntimeError('no licence')", {"sources": ("lost", "load")}, "RuntimeError: no licence"),
    "a number": ("load = 3", {"sources": ("lost", "load")}, "lost: the plug-in must be a function of a name; got int"),
    "no model": ("def load(where):\n    return 3", {"sources": ("lost", "load")}, "A model is .*got int"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_its_models_one_sentence(case, tmp_path, monkeypatch):
    code, groups, told = BROKEN[case]
    write_package(tmp_path, "broken", f"broken_{case.replace(' ', '_')}", code, **groups)
    add_folder(monkeypatch, tmp_path)
    ranking = nrjax.rank({"F10": ZOO["F10"], "lost": "lost:x"}, IMAGES[:60], LABELS[:60], progress=False)
    assert ranking.order == ["F10"]
    assert re.search(told, ranking.failed["lost"])
    assert "\n" not in ranking.failed["lost"]


@pytest.mark.parametrize(("value", "told"), [
    ("kernel", "must be a nrjax.ScoreKind called 'mine'; it is function"),
    ("other", "must be a nrjax.ScoreKind called 'mine'; it is a ScoreKind called 'other'"),
])  # fmt: skip
def test_scores_that_are_none(value, told, tmp_path, monkeypatch):
    code = "import nrjax\ndef kernel(features, labels, *, n_classes): ...\nother = nrjax.ScoreKind('other', kernel, '')"
    write_package(tmp_path, "broken", f"scores_{value}", code, scores=("mine", value))
    add_folder(monkeypatch, tmp_path)
    assert "mine" not in nrjax.available_scores()
    with pytest.raises(ValueError, match=told):
        nrjax.rank_batch({"a": np.eye(6)}, [0, 1] * 3, scores="mine")


def test_two_packages_of_one_name_and_names_of_our_own(tmp_path, monkeypatch):
    for name in ("b", "a"):
        write_package(tmp_path, name, f"twice_{name}", f"def load(where): return {name!r}", sources=("twice", "load"))
    write_package(tmp_path, "c", "ours", "def load(where): raise AssertionError", sources=("onnx", "load"))
    add_folder(monkeypatch, tmp_path)
    assert plugins("nrjax.sources")["twice"].dist.name == "a"
    with pytest.raises(ValueError, match=r"onnx:gone.onnx (is not there|needs onnx)"):
        load_model("onnx:gone.onnx")


def test_a_zoo_brings_no_plugins(tmp_path):
    """What looks like a package in the current folder, which may be somebody's zoo, is not installed."""
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w').close()\ndef net(**config): ..."
    write_package(tmp_path, "evil", "evil", code, architectures=("evil", "net"), sources=("evil", "net"))
    shutil.copytree(ZOO.path / "F10", tmp_path / "F10")
    shutil.copytree(ZOO.path / "F10", tmp_path / "other")
    info = json.loads((tmp_path / "other" / "model.json").read_text())
    (tmp_path / "other" / "model.json").write_text(json.dumps(info | {"architecture": "evil"}))
    for paths in ("", ".", str(tmp_path)):  # the last one: a user in the folder that is on the path
        done = subprocess.run(
            [sys.executable, "-m", "nrjax", "rank", ".", "--format", "json", "--scores", "silhouette"], cwd=tmp_path,
            capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parents[1]), paths])},
        )  # fmt: skip
        printed = json.loads(done.stdout)
        assert [model["name"] for model in printed["models"] if model["score"] is not None] == ["F10"]
        assert "unknown architecture 'evil'" in str(printed)
        assert not marker.exists()


def test_the_guide_shows_the_example():
    page = (PACKAGE.parents[1] / "docs" / "guides" / "own-loaders.md").read_text(encoding="utf-8")
    for name in ("pyproject.toml", "nrjax_example.py"):
        assert (PACKAGE / name).read_text(encoding="utf-8").strip() in page, name
