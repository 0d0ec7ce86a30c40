"""The file of a store: damaged rows, locks of others, a file that goes away; nothing is lost without a word."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import types
import warnings

import pytest

import nrjax
from nrjax.sweeps import Store
from nrjax.sweeps._schema import _FIRST
from nrjax.sweeps._store_lock import StoreLock
from tests.sweeps.faulty import Linear

OPTIONS = {"scores": "silhouette", "progress": False}


@pytest.fixture
def path(tmp_path, models, samples):
    nrjax.sweep(models, *samples, store=tmp_path / "r.db", **OPTIONS)
    return tmp_path / "r.db"


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("results", "found"),
        ("results", "layer"),
        ("results", "settings"),
        ("models", "preprocessing"),
        ("runs", "outcome"),
    ],
)
def test_a_flipped_bit_is_noticed(path, models, samples, table, column):
    right = nrjax.rank(models, *samples, **OPTIONS).scores
    with sqlite3.connect(path) as database:
        if column == "found":  # a digit
            database.execute("UPDATE results SET found = replace(found, '0.', '1.') WHERE score = 'silhouette'")
        else:
            database.execute(f"UPDATE {table} SET {column} = substr({column}, 2) || 'x'")
    database.close()
    with warnings.catch_warnings(record=True, action="always") as said:
        swept = nrjax.sweep(models, *samples, store=path, **OPTIONS)
        with Store(path, read_only=True) as store:
            store.runs()
    assert any(f"rows of {table} are damaged, and are left out" in str(one.message) for one in said)
    assert swept.ranking.scores == right


def test_a_lost_row_of_a_layer_is_missed(path, models, samples):
    first = nrjax.sweep(models, *samples, store=path, layers="all", **OPTIONS)
    with sqlite3.connect(path) as database:
        assert database.execute("DELETE FROM results WHERE layer = 'hidden'").rowcount
    database.close()
    again = nrjax.sweep(models, *samples, store=path, layers="all", **OPTIONS)
    assert (again.computed, again.ranking.to_dict()) == (4, first.ranking.to_dict())


def test_a_store_of_the_first_format(tmp_path, path, models, samples):
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.executescript(_FIRST + "PRAGMA user_version=1;")
        old.execute("ATTACH ? AS new", [str(path)])
        for table in ("models", "files", "targets", "results", "costs", "runs"):
            columns = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})").fetchall())
            old.execute(f"INSERT INTO main.{table} SELECT {columns} FROM new.{table}")
    old.close()
    assert nrjax.sweep(models, *samples, store=tmp_path / "old.db", **OPTIONS).computed == 0
    with Store(tmp_path / "old.db", read_only=True) as store:
        assert len(store.runs()) == 2


HOLD = """
import sys, sqlite3
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(sys.argv[2])
print(1, flush=True)
input()
"""
DIE = """
import os, sys
from nrjax.sweeps import Store
store = Store(sys.argv[1])
for target in "12":
    store.begin_run(target, "c", {})
os._exit(9)
"""


def holder(path, statement):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), statement], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "1\n"
    return process


def end(process):
    process.communicate("\n")


def test_a_write_lock_of_another_program_is_waited_for(monkeypatch, path, samples):
    monkeypatch.setattr("nrjax.sweeps._database.WAIT", 0.1)

    def do():
        if not locks:
            locks.append(holder(path, "BEGIN IMMEDIATE"))
            timer.start()

    locks = []
    timer = threading.Timer(3, lambda: end(locks[0]))
    model = nrjax.from_embedder(lambda x: (do(), x)[1], "array", version="locks")
    with pytest.warns(RuntimeWarning, match="results are held in memory until it ends|waiting for its end"):
        swept = nrjax.sweep({"m": model}, *samples, store=path, **OPTIONS)
    timer.join()
    assert swept.computed == 1
    assert nrjax.sweep({"m": model}, *samples, store=path, **OPTIONS).stored == 1


def test_a_lock_that_does_not_end(monkeypatch, path):
    monkeypatch.setattr("nrjax.sweeps._opening.WAIT", 0.1)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=DELETE")
    database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ValueError, match="another program has locked it"):
        Store(path, read_only=True)
    database.close()


def test_a_log_that_cannot_be_read(tmp_path):
    """A process that was killed leaves its last results in the log, which a read-only folder keeps from readers."""
    folder = tmp_path / "shared"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", DIE, str(folder / "r.db")], check=False)
    (folder / "r.db-shm").unlink()
    reader = "import sys; from nrjax.sweeps import Store; print(len(Store(sys.argv[1], read_only=True).runs()))"
    if os.geteuid() == 0:
        for place in [folder, *folder.parents[:-2]]:
            os.chmod(place, 0o755)
        reader = "import os, jax, nrjax.sweeps; os.seteuid(65534)\n" + reader
    else:
        folder.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", reader, str(folder / "r.db")], capture_output=True, text=True)
    folder.chmod(0o755)
    assert "its last results are in r.db-wal" in done.stderr or done.stdout == "2\n", done.stderr[-500:]
    with Store(folder / "r.db") as store:  # whose writer is dead
        assert len(store.runs()) == 2


def test_a_network_disk_is_told(tmp_path, monkeypatch):
    disk = types.SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs4")
    root = types.SimpleNamespace(mountpoint="/", fstype="ext4")
    monkeypatch.setattr("psutil.disk_partitions", lambda all: [root, disk])
    with pytest.warns(RuntimeWarning, match=r"lies on a network disk \(nfs4\)"):
        Store(tmp_path / "r.db").close()


def test_the_writer_is_named(tmp_path):
    path = tmp_path / "r.db"
    with Store(path):
        for lost in (False, True):
            if lost:
                (tmp_path / "r.db.lock").unlink()
            with pytest.raises(ValueError, match=f"process {os.getpid()} on {socket.gethostname()}"):
                Store(path)
    Store(path).close()


def test_a_fork_neither_takes_nor_keeps_the_lock(tmp_path):
    path, (ends, tell) = tmp_path / "r.db", os.pipe()
    store = Store(path)
    child = os.fork()
    if child == 0:  # what a candidate may start, and what outlives the sweep
        store.close()
        os.read(ends, 1)
        os._exit(0)
    try:
        time.sleep(0.2)
        with pytest.raises(ValueError, match="another sweep writes to it"):
            Store(path)
        store.begin_run("t", "c", {})
        store.close()
        with Store(path) as again:
            assert len(again.runs()) == 1
    finally:
        os.write(tell, b"x")
        os.waitpid(child, 0)


def test_a_lock_of_another_user(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(ValueError, match=r"its lock file r.db.lock cannot be opened \(Permission denied\)"):
        StoreLock(tmp_path / "r.db", "Store 'r.db'")


@pytest.mark.parametrize("with_log", [True, False])
def test_a_store_that_is_removed_is_written_again(tmp_path, path, samples, with_log):
    def remove(x):
        for name in ("r.db", "r.db.lock", *(("r.db-wal", "r.db-shm") if with_log else ())):
            (tmp_path / name).unlink(missing_ok=True)
        return x

    model = nrjax.from_embedder(remove, "array", version="removes")
    with pytest.warns(RuntimeWarning, match="was removed during the sweep, and was written again"):
        nrjax.sweep({"m": model}, *samples, store=path, **OPTIONS)
    assert nrjax.sweep({"m": model}, *samples, store=path, **OPTIONS).stored == 1
    with Store(path, read_only=True) as store:
        assert [run["finished"] is None for run in store.runs()] == [False] * 3


def test_a_store_that_is_replaced_is_left_alone(tmp_path, path, samples):
    shutil.copy(path, tmp_path / "other.db")

    def replace(x):
        if (tmp_path / "other.db").exists():  # it is called more than once
            (tmp_path / "other.db").replace(path)
        return x

    model = nrjax.from_embedder(replace, "array", version="replaces")
    with pytest.raises(ValueError, match=r"another file took its place during the sweep.* are in r\.db\.recovered"):
        nrjax.sweep({"m": model}, *samples, store=path, **OPTIONS)
    with sqlite3.connect(tmp_path / "r.db.recovered") as recovered:
        assert len(recovered.execute("SELECT DISTINCT model FROM results").fetchall()) == 5
    recovered.close()


def test_a_race_leaves_features_that_are_kept(tmp_path, samples):
    import numpy as np

    labels = np.arange(2000) % 4
    many = np.random.default_rng(0).normal(size=(2000, 6)).astype(np.float32) + 2 * np.eye(4, 6)[labels], labels
    models = {f"m{seed}": Linear(seed) for seed in range(8)}
    for name in ("r.db.features", "r.db.race"):
        nrjax.sweep(models, *many, store=tmp_path / "r.db", keep_features=tmp_path / name, **OPTIONS)
        kept = sorted((tmp_path / name).iterdir())
        assert nrjax.sweep(models, *many, store=tmp_path / "r.db", top=2, **OPTIONS).dropped
        assert sorted((tmp_path / name).iterdir()) == kept
    shutil.rmtree(tmp_path / "r.db.race")
    (tmp_path / "r.db").unlink()
    nrjax.sweep(models, *many, store=tmp_path / "r.db", top=2, **OPTIONS)
    assert not (tmp_path / "r.db.race").exists()
    assert json.dumps(nrjax.sweep(models, *many, store=tmp_path / "r.db", **OPTIONS).ranking.to_dict())


def test_several_names_of_one_file(tmp_path):
    """SQLite keeps what is written last beside one of the names."""
    Store(tmp_path / "a.db").close()
    with Store(tmp_path / "a.db") as store:
        store.begin_run("x", "c", {})
        os.link(tmp_path / "a.db", tmp_path / "b.db")
        with pytest.raises(ValueError, match="has several names, hard links to one file, and is in use under another"):
            Store(tmp_path / "b.db")
        with pytest.warns(RuntimeWarning, match="what a sweep writes under another one is not seen before it ends"):
            Store(tmp_path / "b.db", read_only=True).close()
    with Store(tmp_path / "b.db") as store:  # nobody uses it any more
        assert len(store.runs()) == 1


def test_the_beginning_of_a_file(tmp_path):
    (tmp_path / "r.db").write_bytes(b"S")
    with pytest.raises(ValueError, match="it is damaged or no store: it has 1 bytes"):
        Store(tmp_path / "r.db")
