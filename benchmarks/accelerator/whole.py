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
from benchmarks.accelerator.data import DIMS, SAMPLES
from benchmarks.sweep.throughput import inside, timed
from benchmarks.sweep.zoo import generate
from nrjax import demo

CANDIDATES = 200
MODELS = 64
CASES = (
    ("a third of the memory", ".3", 0), ("a fifteenth", ".06", 0), ("a fortieth", ".025", 0),
    ("a fortieth, and no prediction", ".025", 1),
)  # fmt: skip


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
from nrjax._utils import memory
from nrjax.scoring import compute, silhouettes
models, samples, dims, wrong = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, samples)
one = (rng.normal(size=(10, dims))[labels] + rng.normal(size=(samples, dims))) / np.arange(1, dims + 1)
arrays = {str(i): (one * (1 + i / 100)).astype(np.float32) for i in range(models)}
told, real = [], memory.models_that_fit
def models_that_fit(size):
    fit = min(models, real(size))
    told.append((fit, fit * size * memory.COPIES))
    return fit
silhouettes.models_that_fit = models_that_fit
if wrong:  # believes that everything fits
    compute.models_that_fit = silhouettes.models_that_fit = lambda size: 1024
ranking = nrjax.rank_batch(arrays, labels)
stats = jax.devices()[0].memory_stats() or {}
spread = max(ranking.scores.values()) - min(ranking.scores.values())
fit, predicted = max(told) if told else (None, None)
print(json.dumps({"fit": fit, "predicted": predicted, "scored": len(ranking.scores), "spread": spread,
                  "peak": stats.get("peak_bytes_in_use"), "limit": stats.get("bytes_limit")}))
"""


def memory() -> Iterator[dict[str, Any]]:
    """Peak against the prediction, and models that do not fit.

    Each case in a process of its own, all at once; and all again, for a compiler that tries kernels takes memory, too.
    """
    if on_cpu():
        yield {"what": "a CPU does not say how much memory it has", "error": "nothing to measure"}
        return
    with tempfile.TemporaryDirectory() as scratch:
        compiled = {what: _start(fraction, wrong, scratch) for what, fraction, wrong in CASES}
        first = {what: _end(process) for what, process in compiled.items()}
        running = {what: _start(fraction, wrong, scratch) for what, fraction, wrong in CASES}
        for what, process in running.items():
            row = {"what": what, "models": MODELS, "bytes": MODELS * SAMPLES * DIMS * 4}
            yield row | {"compiling": first[what].get("peak")} | _end(process)


def _start(fraction: str, wrong: int, cache: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "XLA_PYTHON_CLIENT_MEM_FRACTION": fraction, "XLA_PYTHON_CLIENT_PREALLOCATE": "true",
        "JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }  # fmt: skip
    command = [sys.executable, "-c", MEMORY, *map(str, (MODELS, SAMPLES, DIMS, wrong))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    if process.returncode:
        return {"error": (err.strip() or "?").splitlines()[-1][:300]}
    warned = [line for line in err.splitlines() if "at once do not fit" in line]
    return json.loads(out.splitlines()[-1]) | {"warned": len(warned)}
