"""A sweep of a generated zoo and the bundled one, as a user runs it: how fast, how busy, how large, how soon again."""

import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.sweep.zoo import generate
from nrjax import demo

MODELS, MORE = 1000, 10


def throughput(folder: Path, on_done: Callable[[str], None]) -> dict[str, Any]:
    """Figures of a first sweep, of the same again, and of one with ten candidates more."""
    zoo, more = generate(folder / "zoo", MODELS), folder / "more"
    generate(folder / "zoo-and-more", MODELS + MORE)
    more.mkdir(exist_ok=True)
    for i in range(MODELS, MODELS + MORE):
        link = more / f"g{i:05}"
        if not link.exists():
            (folder / "zoo-and-more" / link.name).rename(link)
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / "r.db"
        first = timed([zoo, demo.ZOO], store)
        first |= inside(store) | {"store_bytes": store.stat().st_size}
        on_done(f"{MODELS} candidates: {first['seconds']:.0f} s")
        again = timed([zoo, demo.ZOO], store)
        added = timed([zoo, demo.ZOO, more], store)
    on_done(f"again: {again['seconds']:.1f} s, with {MORE} more: {added['seconds']:.1f} s")
    return {"models": MODELS + 9, "more": MORE, "first": first, "again": again, "added": added}


def timed(zoos: Sequence[Path], store: Path) -> dict[str, Any]:
    """Seconds from the command line to its end, and the most memory that all its processes took."""
    command = [sys.executable, "-m", "nrjax", "sweep", *map(str, zoos), "--store", str(store), "--format", "csv"]
    start = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(running.pid, peak), daemon=True)
    watcher.start()
    out, said = running.communicate()
    if running.returncode:
        raise ValueError(f"{' '.join(command)} failed: {said[-500:]}")
    return {"seconds": round(time.perf_counter() - start, 2), "peak_bytes": peak[0], "rows": len(out.splitlines()) - 1}


def _watch(pid: int, peak: list[int]) -> None:
    try:
        parent = psutil.Process(pid)
        while True:
            family = [parent, *parent.children(recursive=True)]
            peak[0] = max(peak[0], sum(one.memory_info().rss for one in family))
            time.sleep(0.05)
    except psutil.Error:
        return


def inside(store: Path) -> dict[str, Any]:
    """What the worker's time went into, from its first result to its last."""
    with sqlite3.connect(store) as db:
        rows = [
            (json.loads(seconds), at)
            for seconds, at in db.execute("SELECT seconds, made_at FROM costs ORDER BY made_at")
        ]
    spent = {key: np.array([seconds[key] for seconds, _ in rows[1:]]) for key in ("load", "forward", "score")}
    wall = rows[-1][1] - rows[0][1]
    overhead = (wall - sum(one.sum() for one in spent.values())) / (len(rows) - 1)
    return {
        "models_a_second": round((len(rows) - 1) / wall, 1),
        "busy": round(float(spent["forward"].sum() + spent["score"].sum()) / wall, 3),
        "overhead_ms": round(1000 * overhead, 2),
        "median_ms": {key: round(1000 * float(np.median(one)), 2) for key, one in spent.items()},
    }
