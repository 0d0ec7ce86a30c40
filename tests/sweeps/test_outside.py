"""What lies outside of a model and yet decides its features: the environment, files, equal models elsewhere."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

import nrjax
from nrjax.models import FingerprintError


def narrow(samples, dims):
    return np.asarray(samples)[:, :dims]


def by_environment(samples):
    return narrow(samples, int(os.environ["DIMS_OF_A_TEST"]))


def by_file(samples):
    return narrow(samples, int(Path("dims.txt").read_text()))


def by_open(samples):
    with open("dims.txt") as file:
        return narrow(samples, int(file.read()))


def test_the_environment_is_part_of_a_fingerprint(monkeypatch, tmp_path, samples):
    model, computed = nrjax.from_embedder(by_environment), []
    for dims in ("3", "5", "3"):
        monkeypatch.setenv("DIMS_OF_A_TEST", dims)
        swept = nrjax.sweep({"m": model}, *samples, store=tmp_path / "r.db", progress=False)
        right = nrjax.rank({"m": model}, *samples)
        assert swept.ranking.scores["m"] == pytest.approx(right.scores["m"], abs=1e-6)
        computed.append(swept.computed)
    assert computed == [1, 1, 0]


@pytest.mark.parametrize("embed", [by_file, by_open])
def test_what_reads_files_is_not_stored(monkeypatch, tmp_path, samples, embed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dims.txt").write_text("3")
    model = nrjax.from_embedder(embed)
    with pytest.raises(FingerprintError, match=r"reads files .*, whose content may change"):
        _ = model.fingerprint
    with pytest.warns(RuntimeWarning, match="its results are not stored"):
        nrjax.sweep({"m": model}, *samples, store=tmp_path / "r.db", progress=False)
    versioned = nrjax.from_embedder(embed, version="3 dims")
    assert nrjax.sweep({"m": versioned}, *samples, store=tmp_path / "r.db", progress=False).computed == 1


class Slow:
    """Leaves a mark at every call, of which each takes a while."""

    def __init__(self, marks):
        self.marks = marks

    def __call__(self, samples):
        descriptor = os.open(self.marks, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(descriptor, b"x")
        os.close(descriptor)
        time.sleep(0.5)
        return np.asarray(samples)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_equal_models_are_computed_once_over_all_workers(tmp_path, samples, engine, request):
    options = {"address": request.getfixturevalue("nodes")} if engine == "ray" else {}
    models = {f"m{i}": nrjax.from_embedder(Slow(str(tmp_path / "marks")), version="1") for i in range(6)}
    swept = nrjax.sweep(models, *samples, engine=engine, workers=2, progress=False, **options)
    assert (swept.computed, len(swept.ranking.order), swept.failed) == (1, 6, {})
    assert len((tmp_path / "marks").read_bytes()) == 2  # once, and the first samples again


def one_dim_more_each_time(samples, calls=[]):  # noqa: B006
    calls.append(0)
    return np.asarray(samples)[:, : 1 + len(calls) % 4]


@pytest.mark.parametrize(("embed", "words"), [
    (one_dim_more_each_time, "gives 2 dims for one batch and 3 for another"),
    (lambda samples: np.zeros((len(samples), 0)), r"gives no features: penultimate has shape \(60, 0\)"),
])  # fmt: skip
def test_batches_of_other_widths(samples, embed, words):
    with pytest.raises(ValueError, match=words):
        nrjax.extract_features(nrjax.from_embedder(embed), samples[0])
