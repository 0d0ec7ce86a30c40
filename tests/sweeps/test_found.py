"""What an adversary found once: stale results, sweeps that hung or fell, candidates that were blamed for others."""

import io
import json
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stderr

import jax.numpy as jnp
import numpy as np
import pytest

import nrjax
from nrjax.models import Candidates, Description
from nrjax.models._candidates import Candidate
from nrjax.ranking._jobs import ExtractionSpec
from nrjax.scoring.model_scores import ModelScores
from nrjax.scoring.scores import _KINDS
from nrjax.sweeps import Store
from nrjax.sweeps._race import dropped
from tests.sweeps.faulty import Linear


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, params, x):
        return x * self.factor


def functions(factor):
    array, table = jnp.asarray([factor]), {"factor": [factor]}

    def keyword(params, x, *, by=factor):
        return x * by

    return {
        "array": lambda params, x: x * array, "table": lambda params, x: x * table["factor"][0], "keyword": keyword,
        "object": Scaled(factor), "nested": lambda params, x: keyword(params, x),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["array", "table", "keyword", "object", "nested"])
def test_fingerprints_see_what_functions_hold(name):
    one, same, other = (nrjax.from_function(functions(factor)[name], {}).fingerprint for factor in (2.0, 2.0, 3.0))
    assert one == same != other


def test_a_score_or_an_architecture_with_other_code_is_another(tmp_path, samples, models):
    def sweep():
        found = nrjax.sweep(models, *samples, store=tmp_path / "r.db", scores=("mine",), progress=False)
        return found.ranking.scores["m0"], found.computed

    try:
        nrjax.register_score("mine", lambda features, labels, *, n_classes: jnp.mean(features))
        first, _ = sweep()
        assert sweep() == (first, 0)
        del _KINDS["mine"]
        nrjax.register_score("mine", lambda features, labels, *, n_classes: jnp.mean(features) + 100)
        assert sweep() == (pytest.approx(first + 100), 4)
    finally:
        del _KINDS["mine"]
    assert ExtractionSpec((0,)).key != ExtractionSpec(("0",)).key


def test_a_score_that_failed_is_tried_again_and_influences_stay(tmp_path, samples, models):
    room = []

    def mine(features, labels, *, n_classes):
        if not room:
            raise MemoryError("no room right now")
        return jnp.mean(features)

    options = {"store": tmp_path / "r.db", "progress": False}
    try:
        nrjax.register_score("mine", mine)
        before = nrjax.sweep(models, *samples, scores=("silhouette", "mine"), **options)
        assert "no room" in before.ranking.models[0].missing["mine"]
        room.append(True)
        after = nrjax.sweep(models, *samples, scores=("silhouette", "mine"), **options)
        assert set(after.ranking.column("mine")) == set(models)
    finally:
        del _KINDS["mine"]
    nrjax.sweep(models, *samples, confidence=True, **options)
    nrjax.sweep(models, *samples, n_components=3, **options)
    nrjax.sweep(models, *samples, scores=("silhouette", "probe", "knn"), **options)
    assert nrjax.sweep(models, *samples, confidence=True, **options).computed == 0


def test_a_race_goes_on_where_few_samples_do_not_suffice(tmp_path):
    """Of the rare class the first round sees one sample, of which a probe that leaves one out can say nothing."""
    rng = np.random.default_rng(0)
    labels = np.append(np.arange(1998) % 3, [3, 3])
    samples = rng.normal(size=(2000, 6)).astype(np.float32) + labels[:, None]
    models = {f"m{seed}": Linear(seed) for seed in range(3)}
    swept = nrjax.sweep(models, samples, labels, scores="probe", top=1, keep_features=tmp_path / "kept", progress=False)
    assert swept.ranking.order
    assert len(list((tmp_path / "kept").iterdir())) == 3  # the user's own folder keeps what it was given


def test_a_certain_difference_is_a_number():
    one, two = (ModelScores(1, {"s": value}, influences={"s": np.zeros(100)}) for value in (1.0, 2.0))
    lost = dropped({"1": one, "2": two}, "s", 1, samples=100, total=1000, top=1, level=0.99, comparisons=2)
    assert json.dumps(lost["1"], allow_nan=False)


def test_descriptions_that_sqlite_cannot_hold(tmp_path, samples):
    model = Linear(0)
    tags = {("a", "b"): np.float32(1), "what": b"bytes"}
    model.description = Description(np.int64(5), np.int64(7), "\udcff", "", tags)
    nrjax.sweep({"m\udcff": model}, *samples, store=tmp_path / "r.db", progress=False)
    assert nrjax.sweep({"m": model}, *samples, store=tmp_path / "r.db", progress=False).stored == 1


def test_kept_features_that_are_too_few(tmp_path, samples, models):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    options = {"store": tmp_path / "r.db", "keep_features": tmp_path / "kept", "progress": False}
    right = nrjax.sweep(models, *samples, n_components=3, **options).ranking.scores
    for path in (tmp_path / "kept").iterdir():
        with safe_open(path, "np") as file:
            said = file.metadata()
        save_file({name: one[:5] for name, one in load_file(path).items()}, path, said)
    (tmp_path / "r.db").unlink()
    again = nrjax.sweep(models, *samples, n_components=3, **options)
    assert again.ranking.scores == right
    assert set(again.ranking.settings["preprocessing"]) == set(models)


def test_lower_is_better_in_lines(samples):
    said = io.StringIO()
    models = {"m0": Linear(0), "m1": Linear(1)}
    try:
        nrjax.register_score(
            "low", lambda features, labels, *, n_classes: jnp.mean(features), higher_is_better=False
        )  # fmt: skip
        with redirect_stderr(said):
            ranking = nrjax.sweep(models, *samples, scores="low", layers="all", progress="lines").ranking
    finally:
        del _KINDS["low"]
    for name, score in ranking.scores.items():
        assert f"{name}: low {score:.4f}" in said.getvalue()


def test_forks_closed_pipes_and_other_folders(tmp_path, monkeypatch, samples, save_tiny):
    monkeypatch.setattr("nrjax.sweeps._local.TRIES", 2)
    monkeypatch.setattr("nrjax.sweeps._local.TRIES_KILLED", 2)
    models = {"leave": Linear(1, "leave"), "good": Linear(0), "fork": Linear(2, "fork"), "close": Linear(3, "close")}
    swept = nrjax.sweep(models, *samples, engine="local", time_limit=10, progress=False)
    assert set(swept.ranking.order) == {"leave", "good"}
    assert "died 2 times" in swept.failed["fork"]
    assert "close" in swept.failed


def test_leaks_are_not_blamed_on_the_next(samples):
    models = {f"b{seed}": Linear(seed, "leak") for seed in range(4)}
    swept = nrjax.sweep(models, *samples, engine="local", memory_limit=1_900_000_000, progress=False)
    assert set(swept.ranking.order) == set(models)


def test_models_that_warn_while_they_are_read(samples):
    def load(seed):
        for i in range(300):
            warnings.warn(f"{seed} {i} " + "x" * 2000, RuntimeWarning, stacklevel=2)
        return Linear(seed)

    models = Candidates([Candidate(f"m{seed}", lambda seed=seed: load(seed)) for seed in range(6)])
    with pytest.warns(RuntimeWarning, match="xxx"):
        swept = nrjax.sweep(models, *samples, engine="local", progress=False)
    assert len(swept.ranking.order) == 6


def test_a_folder_with_modules_of_its_own(tmp_path):
    (tmp_path / "queue.py").write_text("raise RuntimeError('not this one')")
    command = [sys.executable, "-P", "-m", "nrjax", "sweep", "--format", "csv", "--scores", "silhouette"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_store_that_could_not_be_opened_is_free(tmp_path, samples, models):
    (tmp_path / "r.db").write_bytes(b"no database" * 200)
    errors = []
    for _ in range(2):
        with pytest.raises(ValueError, match="damaged or no store") as raised:
            Store(tmp_path / "r.db")
        errors.append(raised)
    nrjax.sweep(models, *samples, store=tmp_path / "good.db", progress=False)
    os.chmod(tmp_path, 0o500)
    try:
        with Store(tmp_path / "good.db", read_only=True) as store:
            assert len(store.runs()) == 1
    finally:
        os.chmod(tmp_path, 0o700)
