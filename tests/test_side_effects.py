"""What belongs to the whole process is as it was after a call: hooks, filters, the environment, log levels."""

import asyncio
import contextlib
import importlib
import logging
import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import nrjax
from nrjax import demo
from nrjax._utils.frameworks import environment_of_workers, framework
from nrjax._utils.process_wide import process_wide
from nrjax.errors import CheckpointError
from nrjax.models._read import _Loop, read_arrays

LOGGERS = ("absl", "asyncio", "jax", "nrjax", "orbax")


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """Others change what they like while they are imported; what is compared here comes after that."""
    nrjax.load_demo()[0]["F10"].layers()
    for name in ("nrjax.sweeps", "nrjax.reports", "orbax.checkpoint", "tensorflow_datasets", "timm"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def state():
    """What belongs to the process."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    return {
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook),
        "loops": (asyncio.new_event_loop, asyncio.events.new_event_loop),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "logging": [(each.level, list(each.handlers), list(each.filters), each.disabled) for each in loggers],
        "path": list(sys.path), "folder": os.getcwd(), "numpy": np.geterr(),
    }  # fmt: skip


@pytest.fixture
def unchanged(monkeypatch):
    """The test leaves the process as it was, and begins without what other tests may have set."""
    for name in ("KERAS_BACKEND", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.delenv(name, raising=False)
    before = state()
    yield
    assert state() == before


def test_ranking_and_sweeping(unchanged, tmp_path):
    zoo, images, labels = nrjax.load_demo()
    some = {name: zoo[name] for name in ("F10", "C10")}
    nrjax.rank(some, images[:200], labels[:200], confidence=True)
    nrjax.sweep(some, images[:200], labels[:200], store=tmp_path / "results.db", engine="local")
    with pytest.raises(ValueError, match="labels"):
        nrjax.rank(some, images[:200], labels[:100])


def test_checkpoints_of_orbax_whole_and_damaged(unchanged, tmp_path, monkeypatch, capfd):
    from nrjax.models import save_variables

    variables = {"params": {str(i): np.arange(4096, dtype=np.float32) for i in range(20)}}
    save_variables(tmp_path / "w.orbax", variables)
    assert len(read_arrays(tmp_path / "w.orbax")) == 20
    for path in tmp_path.rglob("*"):
        if path.is_file() and "METADATA" not in path.name:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    capfd.readouterr()
    reported = []
    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_value))
        for _ in range(5):
            with pytest.raises(CheckpointError):
                read_arrays(tmp_path / "w.orbax")
        time.sleep(0.2)  # for reads that were begun; what they report comes from threads
    assert reported == []
    assert capfd.readouterr().err == ""


def test_calls_that_come_after_a_loop_is_closed_are_dropped():
    loop, said = _Loop(), []
    loop.call_soon_threadsafe(said.append, 1)
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    loop.close()
    loop.call_soon_threadsafe(said.append, 2)
    assert said == [1]


def test_data_sets_of_tfds(unchanged, fashion_dir):
    nrjax.load_dataset("fashion_mnist", max_samples=20, data_dir=fashion_dir)


def test_names_of_timm(unchanged):
    pytest.importorskip("timm")
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    with pytest.raises(ValueError, match="not in the cache"):
        nrjax.load_model("timm:resnet18.a1_in1k")
    assert before == constants.HF_HUB_OFFLINE


def test_keras_is_imported_with_jax_and_workers_know(unchanged, monkeypatch):
    class Keras:
        class backend:
            backend = staticmethod(lambda: "jax")

    monkeypatch.delitem(sys.modules, "keras", raising=False)
    seen = []

    def import_module(name):
        seen.append(os.environ.get("KERAS_BACKEND"))
        return Keras

    monkeypatch.setattr("importlib.import_module", import_module)
    assert framework("keras", "a test") is Keras
    assert seen == ["jax"]
    assert "KERAS_BACKEND" not in environment_of_workers()
    monkeypatch.setitem(sys.modules, "keras", Keras)
    assert environment_of_workers() == {**os.environ, "KERAS_BACKEND": "jax"}


def test_of_many_threads_the_last_restores():
    told = []

    @process_wide
    def change():
        told.append("changed")
        yield
        told.append("restored")

    inside, leave = threading.Event(), threading.Event()

    def other():
        with change:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with change:
        thread.start()
        assert inside.wait(10)
    assert told == ["changed"]
    leave.set()
    thread.join()
    assert told == ["changed", "restored"]
    with pytest.raises(KeyError), change:
        raise KeyError
    assert told == ["changed", "restored"] * 2


def test_sweeps_are_followed_by_logging(caplog, capfd):
    zoo, images, labels = nrjax.load_demo()
    with caplog.at_level(logging.INFO, "nrjax"):
        nrjax.sweep({"F10": zoo["F10"]}, images[:100], labels[:100], scores="silhouette", progress=False)
    assert [record.name for record in caplog.records] == ["nrjax", "nrjax"]
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "1 candidates on 100 samples."
    assert second.startswith("[1/1] F10: silhouette 0.")
    assert capfd.readouterr().err == ""


def test_windows_is_told_where_to_run_a_sweep(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(OSError, match="needs locks and processes of Linux or macOS; on Windows run nrjax within WSL"):
        nrjax.sweep(demo.ZOO, demo.IMAGES)
