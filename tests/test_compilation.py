import subprocess
import sys

import jax
import numpy as np
import pytest

import nrjax

PROGRAM = """
import sys
import jax
import nrjax
import numpy as np

events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
nrjax.cache_compilations(sys.argv[1])
rng = np.random.default_rng(0)
nrjax.rank_batch({"m": rng.normal(size=(60, 40))}, np.arange(60) % 3)
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
