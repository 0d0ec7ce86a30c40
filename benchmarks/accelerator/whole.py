"""Whole processes on the device: a sweep of a generated zoo, and what happens when memory does not suffice."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.accelerator.clock import on_cpu
from benchmarks.sweep.throughput import inside, timed
from benchmarks.sweep.zoo import generate
from nrjax import demo

CANDIDATES = 200


def sweeps() -> Iterator[dict[str, Any]]:
    """Generated candidates and the bundled ones, as `nrjax sweep` runs them, twice: the first one compiles."""
    with tempfile.TemporaryDirectory() as scratch:
        zoo = generate(Path(scratch) / "zoo", 50 if on_cpu() else CANDIDATES)
        for what in ("first, compiles", "again, another store"):
            store = Path(scratch) / f"{what[:5]}.db"
            found = timed([zoo, demo.ZOO], store)
            yield {"what": what, "models": len(list(zoo.iterdir())) + 9, **found, **inside(store)}


MEMORY = """
import json, sys
import jax, numpy as np
import nrjax
from nrjax import memory
models, samples, dims, wrong = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, samples)
one = (rng.normal(size=(10, dims))[labels] + rng.normal(size=(samples, dims))) / np.arange(1, dims + 1)
arrays = {str(i): (one * (1 + i / 100)).astype(np.float32) for i in range(models)}
if wrong:
    memory.COPIES = 0.05  # believes that eighty times as much fits
fit = memory.models_that_fit(4 * samples * dims)
ranking = nrjax.rank_batch(arrays, labels)
stats = jax.devices()[0].memory_stats() or {}
spread = max(ranking.scores.values()) - min(ranking.scores.values())
print(json.dumps({"fit": fit, "scored": len(ranking.scores), "spread": spread, "peak": stats.get("peak_bytes_in_use"),
                  "limit": stats.get("bytes_limit")}))
"""


def memory() -> Iterator[dict[str, Any]]:
    """Peak against the prediction, and models that do not fit, with a fifteenth of the device's memory."""
    if on_cpu():
        yield {"what": "a CPU does not say how much memory it has", "error": "nothing to measure"}
        return
    for what, models, fraction, wrong in (
        ("a third of the memory", 64, ".3", 0), ("a fifteenth", 64, ".06", 0),
        ("a fifteenth, and a prediction that is wrong", 64, ".06", 1),
    ):  # fmt: skip
        environment = os.environ | {"XLA_PYTHON_CLIENT_MEM_FRACTION": fraction, "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(models), "10000", "1024", str(wrong)], capture_output=True, text=True,
            env=environment,
        )  # fmt: skip
        row = {"what": what, "models": models, "bytes": models * 10_000 * 1_024 * 4}
        if done.returncode:
            yield row | {"error": (done.stderr.strip() or "?").splitlines()[-1][:300]}
            continue
        warned = [line for line in done.stderr.splitlines() if "at once do not fit" in line]
        yield row | json.loads(done.stdout.splitlines()[-1]) | {"warned": len(warned)}
