"""100,000 candidates on 64 devices, from measured times: whether driver, storage or loading becomes the limit.

A device has the next candidate read while one runs; weights come over one storage whose bandwidth all share; one driver
takes a result after the other and writes it. Nothing is drawn at random: the question is where the queue is.
"""

import contextlib
import heapq
import io
import pickle
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nrjax.models import Candidates, Description
from nrjax.models._candidates import Candidate
from nrjax.ranking import (
    CandidateResult,
    ExtractionSpec,
    Job,
    LabelledSamples,
    Listener,
    ModelRecord,
    Plan,
    RoundSpec,
    progress_of,
)
from nrjax.scoring.api import check_request
from nrjax.scoring.model_scores import ModelScores
from nrjax.sweeps._rounds import SweepRounds
from nrjax.sweeps._store import Store
from nrjax.targets import Target

CANDIDATES, DEVICES = 100_000, 64
RESULTS = 2000  # that show what one costs the driver
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
    driver, driver_sure = _driver(False), _driver(True)
    pairs = [(kind, storage) for kind in kinds for storage in STORAGES]
    rows = [{"kind": kind.name, "storage": storage.name} | _run(kind, storage, driver) for kind, storage in pairs]
    return {"driver_ms": round(1000 * driver, 2), "driver_sure_ms": round(1000 * driver_sure, 2), "rows": rows}


class _Prepared:
    """An engine whose results are there already, as they come out of a pipe."""

    def __init__(self, packed: Sequence[bytes]):
        self._packed = packed

    def run(self, jobs: Sequence[Job], round_spec: RoundSpec, listener: Listener) -> Iterator[CandidateResult]:
        """All of them."""
        for pickled in self._packed:
            result = pickle.loads(pickled)  # ours, of a moment ago
            listener.starts(result.job.name)
            listener.advances(round_spec.samples)
            yield result

    def close(self) -> None:
        """Nothing was begun."""


def _driver(sure: bool) -> float:
    """Seconds that the driver takes for a result: to hear it, to write it, to say so; with influences if `sure`."""
    rng, packed = np.random.default_rng(0), []
    for i in range(RESULTS):
        one = ModelScores(128, {"silhouette": i / RESULTS, "probe": 0.5}, n_components=10, solver="gram")
        one.by_class = dict.fromkeys(("silhouette", "probe"), rng.normal(size=10))
        if sure:
            one.influences = dict.fromkeys(("silhouette", "probe"), rng.normal(size=SAMPLES))
        about = ModelRecord(f"{i:064}", Description(1, 1, "simulated"), "none", {f"/zoo/{i}": [1, 2, 3, 4]})
        packed.append(pickle.dumps(CandidateResult(Job(f"m{i}", about.fingerprint), {"penultimate": one}, about=about)))
    target = LabelledSamples("array", np.zeros((SAMPLES, 1)), Target.of_ids(np.arange(SAMPLES) % 10, 10))
    request = check_request(scores=("silhouette", "probe"), confidence=sure)
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "r.db") as store:
        candidates = Candidates([Candidate(f"m{i}", lambda: None) for i in range(RESULTS)])
        with contextlib.redirect_stderr(said), progress_of("lines") as progress:
            plan = Plan(candidates, target, ExtractionSpec(("penultimate",)), request, False, {})
            rounds = SweepRounds(
                plan, store, None, _Prepared(packed), progress, False, conditions="inline", cache_of_the_race=True
            )
            start = time.perf_counter()
            rounds.all()
            return (time.perf_counter() - start) / RESULTS


def _run(kind: Kind, storage: Storage, driver: float) -> dict[str, Any]:
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
        free_driver = max(free_driver, end) + driver
        ready[device] = max(end, free_driver - 2 * driver * DEVICES)  # the pipe holds some results, and then it waits
        heapq.heappush(events, (ready[device], device))
    total = max(free_driver, *ready)
    busy = CANDIDATES * kind.compute / (DEVICES * total)
    limits = {
        "devices": CANDIDATES * kind.compute / DEVICES, "storage": CANDIDATES * kind.weights / storage.together,
        "driver": CANDIDATES * driver, "reading ahead": CANDIDATES * reading / DEVICES,
    }  # fmt: skip
    return {"hours": round(total / 3600, 2), "busy": round(busy, 3), "limit": max(limits, key=limits.__getitem__)}
