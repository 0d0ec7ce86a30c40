import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import nrjax
from nrjax._utils import compilation
from nrjax.sweeps._worker_process import _environment

PROGRAM = """
import sys
import jax
import nrjax
import numpy as np

events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
nrjax.cache_compilations(sys.argv[1])
rng = np.random.default_rng(0)
nrjax.rank_batch({"m": rng.normal(size=(60, 40))}, np.arange(60) % 3, scores=("silhouette", "probe"))
print(sum("cache_hits" in event for event in events), sum("cache_misses" in event for event in events))
"""


def hits_and_misses(directory):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory)], capture_output=True, text=True, check=True
    )  # fmt: skip
    return tuple(map(int, done.stdout.split()))


def test_a_second_process_compiles_nothing(tmp_path):
    hits, misses = hits_and_misses(tmp_path / "new" / "cache")
    assert hits == 0
    assert misses > 0
    hits, again = hits_and_misses(tmp_path / "new" / "cache")
    assert again == 0
    assert hits == misses


def test_a_cache_that_cannot_be_made_is_said_and_changes_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    before = jax.config.jax_compilation_cache_dir
    with pytest.warns(RuntimeWarning, match="compiled anew"):
        nrjax.cache_compilations(tmp_path / "file" / "cache")
    assert jax.config.jax_compilation_cache_dir == before
    assert nrjax.rank_batch({"m": np.eye(9)[:, :5]}, np.arange(9) % 2).order == ["m"]


def test_a_folder_that_others_can_write_to_is_refused(tmp_path):
    """Compiled programs are code."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    before = jax.config.jax_compilation_cache_dir
    with pytest.warns(RuntimeWarning, match="can be written by other users"):
        nrjax.cache_compilations(tmp_path / "open")
    assert jax.config.jax_compilation_cache_dir == before


def test_the_command_keeps_programs_unless_it_is_told_not_to(tmp_path):
    environment = {key: value for key, value in os.environ.items() if "COMPILATION_CACHE" not in key}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "m.npy", np.random.default_rng(0).normal(size=(60, 40)))
    np.save(tmp_path / "y.npy", np.arange(60) % 3)
    for choice, kept in (("off", False), (None, True)):
        more = {} if choice is None else {"NRJAX_COMPILATION_CACHE": choice}
        command = [
            sys.executable,
            "-m",
            "nrjax",
            "rank-features",
            tmp_path / "features",
            "--labels",
            tmp_path / "y.npy",
            "--scores",
            "silhouette,probe",
        ]
        subprocess.run(command, env=environment | more, check=True, capture_output=True)
        folders = list(tmp_path.rglob("jax-*"))
        assert bool(folders) == kept
    (folder,) = folders
    assert nrjax.__version__ in folder.name
    assert folder.stat().st_mode & 0o077 == 0
    assert any(folder.iterdir())
    one, *_ = folder.glob("*-atime")
    one.unlink()  # as a killed process leaves it: JAX would warn of every program that it cannot store
    np.save(tmp_path / "features" / "m.npy", np.random.default_rng(0).normal(size=(60, 30)))
    programs = len(list(folder.glob("*-cache")))
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "Error writing" not in done.stderr
    assert len(list(folder.glob("*-cache"))) > programs
    assert len(list(folder.glob("*-cache"))) == len(list(folder.glob("*-atime")))


def test_workers_keep_the_limit_of_the_folder_that_they_share(tmp_path):
    before = jax.config.jax_compilation_cache_max_size
    jax.config.update("jax_compilation_cache_max_size", 12345)
    try:
        environment = os.environ | _environment(tmp_path, None)
    finally:
        jax.config.update("jax_compilation_cache_max_size", before)
    code = "import jax; print(jax.config.jax_compilation_cache_max_size)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["12345"]


def test_folders_of_older_versions_go(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "user_cache_path", lambda name: tmp_path / name)
    root = tmp_path / "nrjax" / "compiled"
    for day in range(5):
        (root / f"jax-0.{day}").mkdir(parents=True)
        os.utime(root / f"jax-0.{day}", (day, day))
    chosen = compilation._versioned_folder()
    assert chosen.parent == root
    assert sorted(path.name for path in root.iterdir()) == ["jax-0.3", "jax-0.4"]
