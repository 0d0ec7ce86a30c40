"""What type checkers see of nrjax in somebody else's project: whole types of all public functions."""

import json
import subprocess
import sys

import pytest

import nrjax

USE = """
from pathlib import Path

import numpy as np

import nrjax
from nrjax.errors import LayerError, NrjaxError

features = {"a": np.ones((20, 4)), "b": np.zeros((20, 3))}
ranking: nrjax.Ranking = nrjax.rank_batch(features, np.arange(20) % 2, scores=("silhouette", "probe"))
best: str = ranking.best
score: float | None = ranking["a"].score
zoo, images, labels = nrjax.load_demo()
model: nrjax.Model = zoo["F10"]
swept: nrjax.Sweep = nrjax.sweep(zoo, images, labels, store=Path("results.db"), top=1)
head: nrjax.Head = nrjax.fit_head(model, images, labels)
head.save("head")
layers: dict[str, np.ndarray] = nrjax.extract_features(model, images, [layer.name for layer in model.layers()])
known: list[str] = nrjax.models.architectures()
names: list[str] = sorted(nrjax.available_scores())
try:
    array: np.ndarray = nrjax.extract_features(model, images, "dense")
except LayerError as error:
    same: NrjaxError = error
"""
WRONG = """
import nrjax

nrjax.rnak_batch({}, [])
nrjax.rank_batch({}, [], distance="manhattan")
count: int = nrjax.rank_batch({}, []).best
nrjax.rank_batch({}, labels=3)
"""


def check(folder, *command, **files):
    """Exit code and text of a checker run in a project of its own."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_pyright_knows_the_types_and_finds_mistakes(tmp_path):
    pytest.importorskip("basedpyright")
    command = ("basedpyright", "--level", "error", "--pythonpath", sys.executable)
    code, text = check(tmp_path, *command, "use.py", use=USE)
    assert code == 0, text
    code, text = check(tmp_path, *command, "wrong.py", wrong=WRONG)
    assert code == 1
    lines = [line.split(":")[1] for line in text.splitlines() if " - error:" in line]
    assert lines == ["4", "5", "6", "7"], text


def test_public_functions_have_whole_types(tmp_path):
    pytest.importorskip("basedpyright")
    _, text = check(tmp_path, "basedpyright", "--verifytypes", "nrjax", "--ignoreexternal", "--outputjson")
    symbols = json.loads(text[text.index("{") :])["typeCompleteness"]["symbols"]
    public = {f"nrjax.{name}" for name in nrjax.__all__}
    partly = [
        symbol["name"] for symbol in symbols
        if symbol["isExported"] and not symbol["isTypeKnown"] and symbol["name"] in public
    ]  # fmt: skip
    assert partly == []


def test_mypy_knows_the_types(tmp_path):
    pytest.importorskip("mypy")
    code, text = check(tmp_path, "mypy", "--python-executable", sys.executable, "use.py", use=USE)
    assert code == 0, text
