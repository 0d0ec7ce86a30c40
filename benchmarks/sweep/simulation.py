"""100,000 candidates on 64 devices, from measured times: whether driver, storage or loading becomes the limit.

A device has the next candidate read while one runs; weights come over one storage whose bandwidth all share; one driver
takes a result after the other and writes it. Nothing is drawn at random: the question is where the queue is.
"""

import heapq
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nrjax.models import Description
from nrjax.scoring.evaluation import Evaluated
from nrjax.sweeps._jobs import About
from nrjax.sweeps._store import Store

CANDIDATES, DEVICES = 100_000, 64
WRITES = 2000  # results that are written to see what one costs
SAMPLES = 1000


class Kind(NamedTuple):
    """A kind of candidate: seconds on its device, and bytes of its weights."""

    name: str
    compute: float
    weights: float


class Storage(NamedTuple):
    """Where weights come from: bytes a second, for all together and for one at a time."""

    name: str
    together: float
    alone: float


STORAGES = (
    Storage("one disk of its own on every node of 8", 8 * 2e9, 2e9), Storage("shared storage, 10 GB/s", 10e9, 2e9),
    Storage("shared storage, 1 GB/s", 1e9, 1e9),
)  # fmt: skip


def simulation(measured: dict[str, Any]) -> dict[str, Any]:
    """Throughput, busy share and the limit, for kinds of candidates and storages.

    Args:
      measured: what the part `throughput` found: milliseconds of a candidate of the bundled kind.
    """
    median = measured["first"]["median_ms"]
    small = (median["forward"] + median["score"]) / 1000
    kinds = (
        Kind("bundled kind, 1,000 images", small, 0.9e6), Kind("100 MB, one second", 1.0, 100e6),
        Kind("350 MB, three seconds", 3.0, 350e6), Kind("15 GB, a minute", 60.0, 15e9),
    )  # fmt: skip
    write, write_sure = _writes(False), _writes(True)
    pairs = [(kind, storage) for kind in kinds for storage in STORAGES]
    rows = [{"kind": kind.name, "storage": storage.name} | _run(kind, storage, write) for kind, storage in pairs]
    return {"write_ms": round(1000 * write, 3), "write_sure_ms": round(1000 * write_sure, 3), "rows": rows}


def _writes(sure: bool) -> float:
    """Median seconds to write a result of two scores, with the influences of samples if `sure`."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "r.db") as store:
        took = []
        for i in range(WRITES):
            one = Evaluated(128, {"silhouette": i / WRITES, "probe": 0.5}, n_components=10, solver="gram")
            if sure:
                one.influences = dict.fromkeys(("silhouette", "probe"), np.random.default_rng(i).normal(size=SAMPLES))
            about = About(f"{i:064}", Description(1, 1, "simulated"), "none", {f"/zoo/{i}": [1, 2, 3, 4]})
            settings = {"silhouette": "s", "probe": "p"}
            start = time.perf_counter()
            store.add(f"zoo {i}", about, "t" * 64, SAMPLES, "asked", settings, {"penultimate": one}, {"load": 0.1})
            took.append(time.perf_counter() - start)
    return float(np.median(took))


def _run(kind: Kind, storage: Storage, write: float) -> dict[str, Any]:
    """Every device reads ahead, waits for its weights, computes, and hands its result to the driver."""
    reading = max(kind.weights / storage.alone, kind.weights / storage.together)
    ready = [0.0] * DEVICES  # when a device is free
    events = [(0.0, device) for device in range(DEVICES)]
    heapq.heapify(events)
    free_storage = free_driver = 0.0
    loaded = [0.0] * DEVICES
    for device in range(DEVICES):  # the first weights
        free_storage += kind.weights / storage.together
        loaded[device] = max(free_storage, reading)
    waited = 0.0
    for _ in range(CANDIDATES):
        now, device = heapq.heappop(events)
        start = max(now, loaded[device])
        waited += start - now
        free_storage = max(free_storage, start) + kind.weights / storage.together  # the next one's, meanwhile
        loaded[device] = max(free_storage, start + reading)
        end = start + kind.compute
        free_driver = max(free_driver, end) + write
        ready[device] = max(end, free_driver - 2 * write * DEVICES)  # the pipe holds some results, and then it waits
        heapq.heappush(events, (ready[device], device))
    total = max(free_driver, *ready)
    busy = CANDIDATES * kind.compute / (DEVICES * total)
    limits = {
        "devices": CANDIDATES * kind.compute / DEVICES, "storage": CANDIDATES * kind.weights / storage.together,
        "driver": CANDIDATES * write, "reading ahead": CANDIDATES * reading / DEVICES,
    }  # fmt: skip
    return {"hours": round(total / 3600, 2), "busy": round(busy, 3), "limit": max(limits, key=limits.__getitem__)}
