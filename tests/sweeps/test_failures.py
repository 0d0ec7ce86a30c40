"""What failed is refused only as it was and under the same conditions; what ends a process is named."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import psutil
import pytest

import nrjax
from nrjax.sweeps import Store, listed, ranking_of_run
from nrjax.sweeps._identity import identity_of
from nrjax.sweeps._owner import Owner, temporary_path
from tests.sweeps.faulty import Linear


class Slow:
    """Does something, and gives features of the shape of `Linear`'s."""

    def __init__(self, do=lambda: time.sleep(2)):
        self.do = do

    def __call__(self, x):
        self.do()
        return np.hstack([x, x[:, :2] ** 2])


def embedder(do, version):
    return nrjax.from_embedder(Slow(do), "array", version=version)


def test_a_raised_limit_is_tried_again(tmp_path, samples):
    nrjax.rank({"good": Linear(0)}, *samples, scores="silhouette", progress=False)  # compiled programs are kept
    slow, fast = (embedder(do, "slow") for do in (lambda: time.sleep(600), lambda: None))  # to the store the same model
    options = {"store": tmp_path / "r.db", "engine": "local", "scores": "silhouette", "progress": False}

    def failed(model, **conditions):
        swept = nrjax.sweep({"slow": model, "good": Linear(0)}, *samples, **options | {"time_limit": 6} | conditions)
        return swept.failed.get("slow", "")

    assert "6 s, the time limit" in failed(slow)
    assert "not tried again" in failed(slow)
    assert "not tried again" in failed(slow, retry_failed=["good"])
    assert not failed(embedder(lambda: None, "another"))  # nobody else of that name is refused
    assert failed(slow, retry_failed=["slow"]) == "It took longer than 6 s, the time limit."
    assert "not tried again" in failed(fast)
    assert not failed(fast, time_limit=100)


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [(["nobody"], ValueError, "none is called 'nobody'"), ("one", TypeError, "must be True or a list of names")],
)
def test_who_is_to_be_retried_must_be_there(samples, names, error, words):
    with pytest.raises(error, match=words):
        nrjax.sweep({"one": Linear(0)}, *samples, retry_failed=names)


def test_repaired_files_are_tried_again(tmp_path, save_tiny):
    save_tiny(tmp_path / "zoo", "one", seed=0)
    zoo = nrjax.load_zoo(tmp_path / "zoo")

    def identity(conditions="local None None"):
        return identity_of(zoo, "one", zoo.key("one"), None, conditions)

    first = identity()
    assert identity() == first != identity("inline None None")
    weights = tmp_path / "zoo" / "one" / "weights.safetensors"
    shutil.copy(weights, tmp_path / "copy")
    shutil.copy(tmp_path / "copy", weights)
    assert identity() != first
    assert identity_of({"one": 1}, "one", "", None, "local") is None


def test_a_run_in_which_all_fail_is_ended_with_its_reasons(tmp_path, samples):
    with pytest.raises(ValueError, match="None of the models could be scored"):
        nrjax.sweep(
            {"a": Linear(0, "raise"), "b": Linear(1, "raise")}, *samples, store=tmp_path / "r.db", progress=False
        )
    with Store(tmp_path / "r.db", read_only=True) as store:
        runs = store.runs()
    assert (listed(runs)[0]["took"], listed(runs)[0]["candidates"]) == ("0 s", 2)
    assert runs[0]["outcome"]["failed"]["a"] == "these weights are for something else."
    with pytest.raises(ValueError, match=r"run 1 ended without a ranking\. None of .* something else"):
        ranking_of_run(runs, 1)


class Interrupts:
    def __call__(self, x):
        raise KeyboardInterrupt


def test_what_ends_a_process_is_named(samples):
    lock = threading.Lock()
    models = {
        "exit": embedder(lambda: sys.exit(3), "e"), "lock": nrjax.from_embedder(lambda x: (lock, x)[1], "array"),
        "interrupt": nrjax.from_embedder(Interrupts(), "array"), "hard": embedder(lambda: os._exit(3), "h"),
        "good": Linear(0),
    }  # fmt: skip
    swept = nrjax.sweep(models, *samples, engine="local", progress=False)
    assert swept.ranking.order == ["good"]
    assert swept.failed["exit"] == "It called sys.exit(3)."
    assert swept.failed["interrupt"] == "It raised KeyboardInterrupt."
    assert "cannot be handed to other processes (TypeError: cannot pickle" in swept.failed["lock"]
    assert "died 3 times. It ended by exit code 3" in swept.failed["hard"]
    inline = nrjax.sweep({"exit": models["exit"], "good": Linear(0)}, *samples, progress=False)
    assert inline.failed == {"exit": "It called sys.exit(3)."}
    with pytest.raises(KeyboardInterrupt):
        nrjax.sweep({"interrupt": models["interrupt"]}, *samples, progress=False)


@pytest.mark.parametrize("error", [GeneratorExit, StopIteration], ids=lambda error: error.__name__)
def test_errors_that_end_generators_cost_their_candidate_alone(samples, error):
    def raises():
        raise error

    swept = nrjax.sweep({"bad": embedder(raises, "b"), "good": Linear(0)}, *samples, progress=False)
    assert swept.ranking.order == ["good"]
    assert list(swept.failed) == ["bad"]


def children(kind):
    grow = "import time; a = bytearray(1_500_000_000); a[::4096] = b'x' * len(a[::4096]); time.sleep(20)"
    if kind == "memory":
        subprocess.run([sys.executable, "-c", grow], check=False)
    elif os.fork() == 0:  # a daemon: in a session of its own, of no parent
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "nrjax-test-daemon"])


def test_children_belong_to_their_candidate(samples):
    models = {"memory": embedder(lambda: children("memory"), "m"), "daemon": embedder(lambda: children("daemon"), "d")}
    swept = nrjax.sweep(
        models | {"good": Linear(0)}, *samples, engine="local", memory_limit=1_300_000_000, progress=False
    )
    assert swept.failed == {"memory": "It took more than 1.3 GB, the memory limit."}
    assert set(swept.ranking.order) == {"daemon", "good"}
    assert not [one for one in psutil.process_iter(["cmdline"]) if "nrjax-test-daemon" in (one.info["cmdline"] or [])]


def test_folders_of_the_dead_are_removed(tmp_path, monkeypatch, samples):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = temporary_path()
    dead = own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
    later = own.with_name(own.name.replace(f"{Owner.current().started:.2f}", "5.00"))  # its number was given again
    elsewhere = own.with_name(own.name.replace(Owner.current().host, "another-host"))
    others = tmp_path / "nrjax-sweep-of-somebody"
    for folder in (own, dead, later, elsewhere, others):
        folder.mkdir()
    nrjax.sweep({"good": Linear(0)}, *samples, progress=False)
    assert set(tmp_path.iterdir()) == {own, elsewhere, others}


def test_a_small_folder_for_temporary_files(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nrjax.sweeps._setup._written", full)
    with pytest.raises(ValueError, match=r"no space for the samples .* \(No space left on device\)\. Set TMPDIR"):
        nrjax.sweep({"good": Linear(0)}, np.zeros((6, 6), np.float32), [0, 1] * 3, engine="local", progress=False)


def grow():
    memory = bytearray(700_000_000)
    memory[::4096] = b"x" * len(memory[::4096])
    time.sleep(0.5)


def test_memory_of_each_candidate_is_known_and_stored(tmp_path, samples):
    models = {"small": Linear(0), "large": embedder(grow, "l"), "small again": Linear(1)}
    options = {"store": tmp_path / "r.db", "engine": "local", "workers": 1, "progress": False}
    swept = nrjax.sweep(models, *samples, **options)
    memory = {row["name"]: row["peak_memory"] for row in swept.ranking.rows()}
    assert memory["large"] > 600_000_000 + max(memory["small"], memory["small again"])
    assert min(memory.values()) > 50_000_000  # a process with JAX
    again = nrjax.sweep(models, *samples, **options)
    assert again.stored == 3
    assert {row["name"]: row["peak_memory"] for row in again.ranking.rows()} == memory
    assert "peak memory" in again.ranking.to_html()
    inline = nrjax.sweep({"small": Linear(0)}, *samples, progress=False).ranking
    assert inline["small"].peak_memory is None
