"""What was computed once: the same to the last digit, for whoever asks, and a sentence for every file that is none."""

import json
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

import nrjax
from nrjax.sweeps import Store, ranking_of_run
from tests.sweeps.faulty import Linear

FULL = {"scores": ("silhouette", "probe", "knn", "mean_rank"), "confidence": True, "progress": False}


@pytest.fixture
def counted(tmp_path):
    """Models that say when they run, and how often they did."""

    def models(*seeds):
        return {f"m{seed}": Linear(seed, marks=str(tmp_path)) for seed in seeds}

    def passes():
        path = tmp_path / "passes"
        seeds = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(map(int, seeds))

    return models, passes


@pytest.mark.parametrize("options", [{}, {"layers": "all"}, {"layers": ["nosuch", 1]}, {"by": "probe"}])
def test_a_ranking_from_the_store_is_the_one_computed(tmp_path, counted, samples, options):
    models, passes = counted
    fresh = nrjax.rank(models(0, 1, 2), *samples, **FULL, **options)
    first = nrjax.sweep(models(0, 1, 2), *samples, store=tmp_path / "r.db", **FULL, **options)
    passes()
    again = nrjax.sweep(models(0, 1, 2), *samples, store=tmp_path / "r.db", **FULL, **options)
    assert passes() == []
    assert first.ranking.to_dict() == fresh.to_dict() == again.ranking.to_dict()
    assert (first.computed, first.stored, again.computed, again.stored) == (3, 0, 0, 3)
    with Store(tmp_path / "r.db", read_only=True) as store:
        assert ranking_of_run(store.runs(), 2).to_dict() == fresh.to_dict()
        assert str(ranking_of_run(store.runs(), 2)) == str(fresh)


@pytest.mark.parametrize("first_by", ["probe", "silhouette"])
def test_an_interval_from_the_store_has_a_width(tmp_path, counted, samples, first_by):
    """Of samples that are all right: no half of them differs, and the interval is that of a share."""
    models, passes = counted
    labels = samples[1]
    apart = np.eye(6, dtype=np.float32)[labels] * 50 + samples[0]
    options = {"scores": ("silhouette", "probe"), "confidence": True, "progress": False}
    fresh = nrjax.rank(models(0), apart, labels, by="probe", **options)
    assert fresh["m0"].score == 1
    assert fresh["m0"].interval[0] < 0.99
    nrjax.sweep(models(0), apart, labels, store=tmp_path / "r.db", by=first_by, **options)
    passes()
    again = nrjax.sweep(models(0), apart, labels, store=tmp_path / "r.db", by="probe", **options)
    assert passes() == []
    assert again.ranking["m0"].interval == fresh["m0"].interval


def test_only_what_is_missing_is_computed(tmp_path, counted, samples):
    models, passes = counted
    inputs, labels = samples

    def sweep(*seeds, labels=labels, **options):
        swept = nrjax.sweep(models(*seeds), inputs, labels, store=tmp_path / "r.db", progress=False, **options)
        return swept, passes()

    assert sweep(0, 1)[1] == [0, 1]
    assert sweep(0, 1, 2)[1] == [2]
    assert sweep(0, scores=("probe",))[1] == []  # it is there from before
    assert sweep(0, by="probe")[1] == []
    assert sweep(0, confidence=True)[1] == [0]  # which needs influences
    assert sweep(0)[1] == []
    assert sweep(0, n_components=3)[1] == [0]
    assert sweep(0, layer=0)[1] == [0]
    assert sweep(0, labels=[str(label) for label in labels])[1] == []  # other names for the same classes
    assert sweep(0, labels=labels[::-1])[1] == [0]
    renamed = nrjax.sweep({"other": models(0)["m0"]}, inputs, labels, store=tmp_path / "r.db", progress=False)
    assert (renamed.stored, renamed.ranking.order, passes()) == (1, ["other"], [])


def test_kept_features_cost_no_forward_pass(tmp_path, counted, samples):
    models, passes = counted
    options = {"store": tmp_path / "r.db", "keep_features": tmp_path / "kept", "progress": False}
    nrjax.sweep(models(0, 1), *samples, **options)
    assert passes() == [0, 1]
    for other in ({"n_components": 3}, {"scores": ("knn", "silhouette")}, {"confidence": True}):
        swept = nrjax.sweep(models(0, 1), *samples, **options, **other)
        assert (passes(), swept.computed) == ([], 2)
        assert swept.ranking.scores == nrjax.rank(models(0, 1), *samples, progress=False, **other).scores
        passes()
    (tmp_path / "kept" / next(os.walk(tmp_path / "kept"))[2][0]).write_bytes(b"half of it")
    nrjax.sweep(models(0, 1), *samples, **options, n_components=4)
    assert len(passes()) == 1  # what is damaged is computed anew


def test_weights_that_change_under_the_same_name_are_computed_anew(tmp_path, save_tiny, tiny_images):
    save_tiny(tmp_path / "zoo", "one", seed=0)
    save_tiny(tmp_path / "zoo", "two", seed=1)
    options = {"store": tmp_path / "r.db", "progress": False}
    before = nrjax.sweep(tmp_path / "zoo", *tiny_images, **options)
    assert (before.computed, before.stored) == (2, 0)
    weights = tmp_path / "zoo" / "one" / "weights.safetensors"
    old = weights.stat()
    weights.write_bytes((tmp_path / "zoo" / "two" / "weights.safetensors").read_bytes())
    os.utime(weights, ns=(old.st_atime_ns, old.st_mtime_ns))  # same size, same date
    after = nrjax.sweep(tmp_path / "zoo", *tiny_images, **options)
    assert after.ranking.scores["one"] == after.ranking.scores["two"] == before.ranking.scores["two"]
    assert (after.computed, after.stored) == (0, 2)  # `one` was loaded again, and turned out to be known


def test_files_that_are_no_stores(tmp_path, models, samples):
    def refused(path, words, **options):
        with pytest.raises(ValueError, match=words):
            nrjax.sweep(models, *samples, store=path, progress=False, **options)

    refused(tmp_path, "is a folder; expected a file")
    refused(tmp_path / "no" / "r.db", "there is no folder")
    (tmp_path / "text.db").write_text("not a database " * 100)
    refused(tmp_path / "text.db", "damaged or no store")
    os.mkfifo(tmp_path / "pipe.db")
    refused(tmp_path / "pipe.db", "not a regular file")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    refused(tmp_path / "other.db", "a database, but no store of nrjax")
    nrjax.sweep(models, *samples, store=tmp_path / "r.db", progress=False)
    whole = (tmp_path / "r.db").read_bytes()
    (tmp_path / "half.db").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "half.db", "damaged or no store")
    with sqlite3.connect(tmp_path / "r.db") as newer:
        newer.execute("PRAGMA user_version=99")
    refused(tmp_path / "r.db", r"written by a newer nrjax \(format 99")
    with pytest.raises(ValueError, match="there is no such file"):
        Store(tmp_path / "none.db", read_only=True)


def test_two_sweeps_on_one_store(tmp_path, models, samples):
    holder = subprocess.Popen(
        [sys.executable, "-c", f"from nrjax.sweeps import Store; s = Store({str(tmp_path / 'r.db')!r}); "
         "print('held', flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="another sweep writes to it"):
        nrjax.sweep(models, *samples, store=tmp_path / "r.db", progress=False)
    holder.kill()
    holder.wait()
    assert nrjax.sweep(models, *samples, store=tmp_path / "r.db", progress=False).computed == 4


def test_results_hold_what_json_cannot(tmp_path, samples):
    """Numbers of every size come back as they were; infinities are no scores."""
    inputs, labels = samples
    models = {"tiny": Linear(0), "huge": Linear(1)}
    scale = {"tiny": 1e-30, "huge": 1e30}
    for name, model in models.items():
        real = model.outputs
        model.outputs = lambda batch, layers, precision="float32", real=real, s=scale[name]: [
            s * one for one in real(batch, layers)
        ]
    options = {"store": tmp_path / "r.db", "scores": ("silhouette", "transrate", "gbc", "logme"), "progress": False}
    first = nrjax.sweep(models, inputs, labels, **options).ranking
    again = nrjax.sweep(models, inputs, labels, **options).ranking
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())
    assert np.isfinite(list(first.scores.values())).all()


@pytest.fixture(params=["a small disk", "a small database"])
def room(request, tmp_path, monkeypatch):
    """Where a store has room for a few results only, and what makes more room."""
    if request.param == "a small database":
        opened = Store._open

        def small(self, read_only):
            opened(self, read_only)
            self._db.execute("PRAGMA max_page_count=40")

        monkeypatch.setattr(Store, "_open", small)
        yield tmp_path, lambda: monkeypatch.setattr(Store, "_open", opened)
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_loses_nothing(room, counted):
    folder, make_room = room
    models, passes = counted
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 3
    samples = rng.normal(size=(2000, 6)).astype(np.float32) + labels[:, None], labels
    options = {"store": folder / "r.db", "scores": "silhouette", "confidence": True, "progress": False}
    with pytest.raises(ValueError, match="the disk is full; what was finished before is kept"):
        nrjax.sweep(models(*range(30)), *samples, **options)
    done = set(passes())
    assert 0 < len(done) < 30
    make_room()
    with sqlite3.connect(folder / "r.db") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    swept = nrjax.sweep(models(*range(30)), *samples, **options)
    assert set(passes()) == {max(done), *set(range(30)) - done}  # with the one that found no room
    assert len(swept.ranking.order) == 30


def test_a_clock_that_goes_back(tmp_path, monkeypatch, counted, samples):
    models, passes = counted
    options = {"store": tmp_path / "r.db", "progress": False}
    first = nrjax.sweep(models(0, 1), *samples, **options)
    passes()
    monkeypatch.setattr("time.time", lambda: 5.0)
    monkeypatch.setattr("time.time_ns", lambda: 5_000_000_000)
    again = nrjax.sweep(models(0, 1), *samples, **options)
    assert (passes(), again.ranking.to_dict()) == ([], first.ranking.to_dict())
    with Store(tmp_path / "r.db", read_only=True) as store:
        assert [run["id"] for run in store.runs()] == [1, 2]
