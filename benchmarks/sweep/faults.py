"""Processes killed at random times: whether the store is whole, whether anything is lost or computed twice."""

import contextlib
import csv
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import psutil

from benchmarks.sweep.zoo import generate

MODELS, KILLS = 120, 50
VICTIMS = ("a worker", "the driver", "everything")


def faults(folder: Path, on_done: Callable[[str], None]) -> dict[str, Any]:
    """For every kind of victim what happened, and what was lost."""
    zoo = generate(folder / "faults", MODELS)
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(_command(zoo, Path(scratch) / "r.db"), capture_output=True, text=True, check=True)
    return {victim: _killed(victim, zoo, _ranking(done.stdout), on_done) for victim in VICTIMS}


def _command(zoo: Path, store: Path) -> list[str]:
    return [sys.executable, "-m", "nrjax", "sweep", str(zoo), "--store", str(store), "--format", "csv"]


def _ranking(printed: str) -> list[dict[str, str]]:
    """The rows of a ranking, without the time and the memory that each model took."""
    return [
        {column: value for column, value in row.items() if column not in ("ms", "peak_memory")}
        for row in csv.DictReader(StringIO(printed))
    ]


def _killed(victim: str, zoo: Path, right: list[dict[str, str]], on_done: Callable[[str], None]) -> dict[str, Any]:
    """Sweeps that are killed again and again; one that ends is compared, and the next one begins."""
    told = {"kills": 0, "sweeps": 0, "damaged": 0, "lost": 0, "twice": 0, "other_rankings": 0, "failed": 0}
    chance = random.Random(0)
    while told["kills"] < KILLS:
        with tempfile.TemporaryDirectory() as scratch:
            store, before = Path(scratch) / "r.db", dict[str, float]()
            while True:
                running = subprocess.Popen(
                    _command(zoo, store), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
                while told["kills"] < KILLS and running.poll() is None and _strike(victim, running, chance):
                    told["kills"] += 1
                out, _ = running.communicate()
                now, whole = _results(store)
                told["damaged"] += not whole
                told["lost"] += sum(model not in now for model in before)
                told["twice"] += sum(now.get(model, at) != at for model, at in before.items())
                before = now
                if running.returncode >= 0:
                    break
            told["sweeps"] += 1
            told["failed"] += running.returncode != 0
            told["other_rankings"] += _ranking(out) != right
            on_done(f"{victim}: {told}")
    return told


def _strike(victim: str, running: subprocess.Popen, chance: random.Random) -> bool:
    """Kills once, after a while; whether there was anything to kill.

    A worker's time is what it computed, so that it gets as far on a busy machine as on another one.
    """
    start, seconds = time.monotonic(), chance.uniform(0.5, 5 if victim == "a worker" else 9)
    while running.poll() is None:
        workers = _workers(running)
        spent = max(workers.values(), default=0) if victim == "a worker" else time.monotonic() - start
        if spent >= seconds:
            break
        time.sleep(0.01)
    else:
        return False
    hit = False
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        for one in workers if victim != "the driver" else []:
            one.kill()
            hit = True
        if victim != "a worker":
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
            hit = True
    return hit


def _workers(running: subprocess.Popen) -> dict[psutil.Process, float]:
    """Its worker processes, and the seconds that they have computed."""
    workers = {}
    with contextlib.suppress(psutil.Error):  # it may be ending just now
        for child in psutil.Process(running.pid).children():
            if "nrjax.sweeps._serve" in " ".join(child.cmdline()):
                times = child.cpu_times()
                workers[child] = times.user + times.system
    return workers


def _results(store: Path) -> tuple[dict[str, float], bool]:
    """When each model's result was made, and whether the file is whole."""
    if not store.exists():
        return {}, True
    with contextlib.closing(sqlite3.connect(store)) as db:
        whole = db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        return dict(db.execute("SELECT model, made_at FROM costs")) if "costs" in tables else {}, whole
