"""Engines: whatever a candidate does to its process costs that candidate, and nothing else."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import psutil
import pytest

import nrjax
from tests.conftest import MARK
from tests.sweeps.faulty import Linear

isolated = pytest.mark.parametrize("engine", ["local", "ray"], indirect=True)
GOOD = {f"good{seed}": Linear(seed) for seed in range(3)}


def faulty(*faults, marks=None):
    """A faulty model between every two good ones."""
    bad = {fault: Linear(10 + i, fault, marks) for i, fault in enumerate(faults)}
    return dict(sum(zip(GOOD.items(), bad.items(), strict=False), ())) | GOOD


@pytest.fixture(scope="module")
def alone(module_samples):
    return nrjax.rank(GOOD, *module_samples, progress=False)


@pytest.fixture(scope="module")
def module_samples():
    import numpy as np

    labels = np.arange(60) % 3
    return np.random.default_rng(1).normal(size=(60, 6)).astype(np.float32) + labels[:, None], labels


def test_engines_agree(alone, module_samples, engine):
    swept = nrjax.sweep(faulty("raise"), *module_samples, **engine, progress=False)
    assert swept.ranking.scores == alone.scores
    assert swept.failed == {"raise": "these weights are for something else."}


@isolated
def test_deaths_of_workers(tmp_path, monkeypatch, alone, module_samples, engine):
    monkeypatch.setattr("nrjax.sweeps._local.TRIES_KILLED", 4)
    fatal = "kill", "segfault"
    if engine["engine"] == "ray":  # whose nodes do not hear of that, and start ten processes for who is always killed
        fatal = ("segfault",)
    models = faulty(*fatal, "kill once", marks=str(tmp_path))
    options = {"store": tmp_path / "r.db", "progress": False} | engine
    swept = nrjax.sweep(models, *module_samples, **options)
    assert {name: swept.ranking.scores[name] for name in GOOD} == alone.scores
    assert "kill once" in swept.ranking.scores
    for name in fatal:
        times, number = {"kill": (4, 9), "segfault": (3, 11)}[name]
        assert f"died {times} times" in swept.failed[name]
        assert f"signal {number}" in swept.failed[name]
    again = nrjax.sweep(models, *module_samples, **options)
    assert (again.computed, again.ranking.scores) == (0, swept.ranking.scores)
    assert all("not tried again" in again.failed[name] for name in fatal)


@isolated
def test_limits(tmp_path, alone, module_samples, engine):
    options = {"time_limit": 20, "memory_limit": 1_500_000_000, "progress": False} | engine
    swept = nrjax.sweep(faulty("hang", "grow", "shout"), *module_samples, **options)
    assert {name: swept.ranking.scores.get(name) for name in GOOD} == alone.scores, swept.failed
    assert "shout" in swept.ranking.scores
    assert swept.failed == {
        "hang": "It took longer than 20 s, the time limit.", "grow": "It took more than 1.5 GB, the memory limit.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "threads"}, "engine must be of inline, local, ray; got 'threads'"),
        ({"time_limit": 5}, "need processes that can be ended: engine='local'"),
        ({"memory_limit": -1, "engine": "local"}, "memory_limit must be positive"),
        ({"top": 0}, "top must be a positive integer; got 0"),
        ({"top": 2, "level": 1.5}, "level must be between 0.5 and 1"),
        ({"top": 2, "scores": ("silhouette", "knn", "mean_rank"), "by": "mean_rank"}, "leave top out"),
        ({"progress": "loud"}, "progress must be True, False, 'bar', 'lines' or 'json'"),
    ],
)
def test_what_cannot_be(module_samples, options, words):
    with pytest.raises(ValueError, match=words):
        nrjax.sweep(GOOD, *module_samples, **options)


def test_what_cannot_go_to_another_process(module_samples):
    models = {"lock": Linear(0)}
    models["lock"].lock = threading.Lock()
    with pytest.raises(ValueError, match="cannot be handed to other processes"):
        nrjax.sweep(models, *module_samples, engine="local", progress=False)


SCRIPT = """
import json, sys, numpy as np, nrjax
from tests.sweeps.faulty import Linear
labels = np.arange(60) % 3
samples = np.random.default_rng(1).normal(size=(60, 6)).astype(np.float32) + labels[:, None]
models = {f"m{seed}": Linear(seed, marks=sys.argv[2]) for seed in range(40)}
swept = nrjax.sweep(models, samples, labels, store=sys.argv[1], progress="lines", **json.loads(sys.argv[3]))
print(swept.ranking.to_csv())
"""


@pytest.fixture(scope="module")
def forty(module_samples):
    """The rows that `SCRIPT` prints if nothing happens to it."""
    models = {f"m{seed}": Linear(seed) for seed in range(40)}
    return without_memory(nrjax.rank(models, *module_samples, progress=False).to_csv())


def without_memory(printed):
    rows = list(csv.DictReader(io.StringIO(printed.strip())))
    return [{column: value for column, value in row.items() if column != "peak_memory"} for row in rows]


def test_a_driver_that_is_killed_goes_on(tmp_path, engine, forty):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "r.db"), str(tmp_path), json.dumps(engine)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in driver.stderr:
        if line.startswith("[") and int(line[1:].split("/")[0]) >= 10:
            break
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    wait_for_workers_to_end()
    with sqlite3.connect(tmp_path / "r.db") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = {model for (model,) in store.execute("SELECT DISTINCT model FROM results")}
    assert len(kept) >= 10
    before = (tmp_path / "passes").read_text().split()
    last = subprocess.run(command, capture_output=True, text=True, check=True)
    done = (tmp_path / "passes").read_text().split()[len(before) :]
    assert len(done) == 40 - len(kept)  # what was finished is not computed again
    assert without_memory(last.stdout) == forty
    wait_for_workers_to_end()


def wait_for_workers_to_end():
    """They end with their driver, however it ended."""
    deadline = time.monotonic() + 60
    while _workers() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _workers()


def _workers():
    """Those that this process started, or a process of its own; another may run sweeps at the same time."""
    return [
        process for process in psutil.process_iter(["cmdline", "environ"])
        if "nrjax.sweeps._serve" in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get(MARK) == os.environ[MARK]
    ]  # fmt: skip
