"""Worker processes of this machine, one a device: one that dies, hangs or grows costs its model only.

Whoever was in a worker's hands when it died is suspected: the candidate that ran, and the one that was read ahead. Both
are tried again, each alone, and only a candidate whose process died `TRIES` times is given up; or more often, where it
was killed from outside, which says little of the candidate, unless it had taken most of the memory.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Pipe, wait
from pathlib import Path
from typing import Any

import cloudpickle
import jax
import numpy as np
import psutil

from nrjax.datasets import BrokenImage
from nrjax.files import shown
from nrjax.memory import machine_memory
from nrjax.models import custom_architectures
from nrjax.sweeps._target import Target
from nrjax.sweeps._work import Done, Job, Listener, Round, Work, Worker

TRIES, TRIES_KILLED = 3, 10  # deaths of its process until a candidate is given up; and if somebody killed it
MOST_MEMORY = machine_memory() // 2  # bytes; who dies with more was killed for them
BOOTSTRAP = """
import json, pathlib, sys
sys.path[:] = json.loads(pathlib.Path(sys.argv[1], "path.json").read_text())
from nrjax.sweeps._process import main
main(*sys.argv[2:], sys.argv[1])
"""  # what this process can import, in its order; nothing of the folder that it happens to be in
POLL = 0.1  # seconds between looks at time and memory
LAST_WORDS = 2000  # bytes of what a process printed that are kept


class Local:
    """Worker processes.

    Args:
      models: by name; what is not importable goes over by value.
      target: the samples.
      work: what to do.
      kept: what opens the folder of features, in every process.
      workers: processes; None starts one for every accelerator, or one.
      time_limit: seconds a model, from its turn to its result.
      memory_limit: bytes that a process may take.
    """

    def __init__(
        self, models: Mapping[str, Any], target: Target, work: Work, *, kept: Any = None, workers: int | None = None,
        time_limit: float | None = None, memory_limit: int | None = None,
    ):  # fmt: skip
        self._time_limit, self._memory_limit, self._wanted = time_limit, memory_limit, workers
        self._folder = Path(tempfile.mkdtemp(prefix="nrjax-sweep-"))
        self._workers: list[_Process] = []
        self._stillborn, self._devices = 0, 1  # processes in a row that died before they began
        try:
            _write_setup(self._folder, models, target, work, kept)
        except BaseException:
            self.close()
            raise

    def run(self, jobs: Sequence[Job], asked: Round, listener: Listener) -> Iterator[Done]:
        """Results as they come; every job has one."""
        waiting, alone = deque(jobs), deque[Job]()
        deaths: Counter[str] = Counter()
        open_jobs = len(jobs)
        for worker in self._workers:
            worker.ask(asked)
        while open_jobs:
            self._devices = max([self._devices, *(worker.devices for worker in self._workers)])
            known = any(worker.devices for worker in self._workers)  # the first one says how many there are
            self._staff(min(open_jobs, self._wanted or self._devices) if known else 1, asked)
            for worker in list(self._workers):
                for done in worker.hear(listener, waiting, alone):
                    open_jobs -= 1
                    yield done
                if worker.is_gone:  # what it said before was heard
                    for done in self._buried(worker, deaths, waiting, alone):
                        open_jobs -= 1
                        yield done
                elif worker.overdue(self._time_limit, self._memory_limit):
                    worker.kill()
            wait([worker.connection for worker in self._workers], POLL)
        for worker in self._workers:
            worker.dismiss()

    def _staff(self, workers: int, asked: Round) -> None:
        """Starts processes until there are so many."""
        while len(self._workers) < workers:
            taken = {worker.place for worker in self._workers}
            place = next(i for i in range(workers) if i not in taken)
            worker = _Process(self._folder, place % self._devices if self._devices > 1 else None, place)
            worker.ask(asked)
            self._workers.append(worker)

    def _buried(
        self, worker: "_Process", deaths: Counter[str], waiting: deque[Job], alone: deque[Job]
    ) -> Iterator[Done]:
        """What becomes of those who were in the hands of a process that is dead."""
        self._workers.remove(worker)
        said = worker.bury()
        suspects = worker.suspects()
        if worker.devices:
            self._stillborn = 0
        else:
            self._stillborn += 1
            if self._stillborn >= (TRIES_KILLED if worker.was_killed else TRIES):
                raise ChildProcessError(f"Worker processes do not start. {said}")
        cause = worker.broke
        if cause == "time" and worker.running:  # it will not be faster
            ran, *others = suspects
            waiting.extendleft(others)
            yield Done(ran, reason=f"It took longer than {self._time_limit:g} s, the time limit.", died=cause)
            return
        for job in suspects:
            deaths[job.name] += 1
            if cause == "memory" and worker.finished:
                alone.appendleft(job)  # others may have leaked it: this one comes first in a process of its own
            elif len(suspects) == 1 and cause == "memory":
                assert self._memory_limit is not None
                reason = f"It took more than {self._memory_limit / 1e9:.3g} GB, the memory limit."
                yield Done(job, reason=reason, died=cause)
            elif len(suspects) == 1 and deaths[job.name] >= (TRIES_KILLED if worker.was_killed else TRIES):
                yield Done(job, reason=f"Its process died {deaths[job.name]} times. {said}", died="crash")
            else:
                alone.append(job)

    def close(self) -> None:
        """Ends all processes, at once."""
        for worker in self._workers:
            worker.kill()
            worker.bury()
        self._workers = []
        shutil.rmtree(self._folder, ignore_errors=True)


class _Process:
    """One worker process, and what is in its hands.

    Attributes:
      place: among the processes.
      devices: that it sees; 0 until it is ready.
      running: the candidate it is at.
      finished: candidates that it is done with, which may have left something behind.
      broke: the limit that it broke, `time` or `memory`, or none.
      is_gone: it ended, and all that it said was heard.
    """

    def __init__(self, folder: Path, device: int | None, place: int):
        self.place, self.devices = place, 0
        self.running: Job | None = None
        self.finished = 0
        self.broke, self.is_gone = "", False
        self.connection, theirs = Pipe()
        life, self._life = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOTSTRAP, str(folder), str(theirs.fileno()), str(life)],
            pass_fds=(theirs.fileno(), life), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, env=_environment(folder, device),
        )  # fmt: skip
        theirs.close()
        os.close(life)
        self._words = _LastWords(self._process.stdout)
        self._since, self._memory = 0.0, 0
        self._given: dict[str, Job] = {}  # handed out and not begun
        self._alone = self._idle = False

    def ask(self, asked: Round) -> None:
        """Begins a round."""
        self._tell(asked)

    def dismiss(self) -> None:
        """There is nothing more to do in this round."""
        if self._idle:
            self._tell(None)
            self._idle = False
        while True:  # until it says so itself
            try:
                kind, said = self.connection.recv()
            except (EOFError, OSError):
                self.is_gone = True
                return
            if kind == "ready":
                self.devices = said
            elif kind == "wants":
                self._tell(None)
            elif kind == "ends":
                return

    def hear(self, listener: Listener, waiting: deque[Job], alone: deque[Job]) -> Iterator[Done]:
        """Takes what it says, and answers."""
        try:
            while self.connection.poll():
                kind, said = self.connection.recv()
                if kind == "ready":
                    self.devices = said
                elif kind == "starts":
                    self.running, self._since = self._given.pop(said), time.monotonic()
                    listener.starts(said)
                elif kind == "advances":
                    listener.advances(said)
                elif kind == "done":
                    self.finished += 1
                    if self.running and self.running.name == said.job.name:
                        self.running = None
                    yield said
                elif kind == "warns":
                    warnings.warn(said, RuntimeWarning, stacklevel=2)
                elif kind == "broken":
                    raise BrokenImage(said)
                elif kind == "wants":
                    self._answer(said, waiting, alone)
            # its end of the pipe may live on in what a candidate started
            self.is_gone = self._process.poll() is not None and not self.connection.poll()
        except (EOFError, OSError):
            self.is_gone = True
        else:
            if self._idle and not self.is_gone:
                self._answer(True, waiting, alone)

    def _answer(self, idle: bool, waiting: deque[Job], alone: deque[Job]) -> None:
        """The next job; one that is alone is given to who has no other, and nothing beside it."""
        self._idle = False
        job = None
        if idle:
            self._alone = bool(alone) and not waiting
            job = alone.popleft() if self._alone else waiting.popleft() if waiting else None
            self._idle = job is None  # it waits: others may die yet, and leave theirs
        elif not self._alone:
            job = waiting.popleft() if waiting else None
        if job is not None:
            self._given[job.name] = job
        if job is not None or not idle:
            self._tell(job)

    def _tell(self, what: Any) -> None:
        with contextlib.suppress(OSError):  # it is dead, which is seen elsewhere
            self.connection.send_bytes(cloudpickle.dumps(what))  # scores may be anybody's functions

    def suspects(self) -> list[Job]:
        """What is in its hands: the one that runs first."""
        return ([self.running] if self.running else []) + list(self._given.values())

    def overdue(self, time_limit: float | None, memory_limit: int | None) -> bool:
        """Whether it broke a limit."""
        if time_limit is not None and self.running and time.monotonic() - self._since > time_limit:
            self.broke = "time"
        else:
            with contextlib.suppress(psutil.Error):
                self._memory = psutil.Process(self._process.pid).memory_info().rss
            if memory_limit is not None and self.suspects() and self._memory > memory_limit:
                self.broke = "memory"
        return bool(self.broke)

    @property
    def was_killed(self) -> bool:
        """Whether somebody ended it, for all that is known not for its memory."""
        return self._process.returncode == -signal.SIGKILL and self._memory < MOST_MEMORY

    def kill(self) -> None:
        """Ends it and whatever it started."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> str:
        """How it ended, and its last words."""
        self.kill()  # it may have closed its pipe and gone on; what it started goes too
        code = self._process.wait()
        self.connection.close()
        os.close(self._life)
        how = f"signal {-code}, {signal.strsignal(-code)}" if code < 0 else f"exit code {code}"
        words = self._words.end()
        return f"It ended by {how}{f'; it said last: {words}' if words else ''}."


def _environment(folder: Path, device: int | None) -> dict[str, str]:
    """Of a process: what this one can import, its share of the devices, compiled programs of all in one place."""
    compiled = jax.config.jax_compilation_cache_dir or str(folder / "compiled")  # pyright: ignore
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": compiled, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }  # fmt: skip
    if device is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[device % len(visible)] if len(visible) > 1 else str(device)
    return environment


class _LastWords:
    """The end of what a process prints, however much it is."""

    def __init__(self, pipe: Any):
        self._pipe, self._kept = pipe, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while piece := os.read(self._pipe.fileno(), 1 << 16):
            self._kept = (self._kept + piece)[-LAST_WORDS:]

    def end(self) -> str:
        """The last line that says something."""
        self._thread.join(timeout=1)
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines() if line.strip()]
        return shown(lines[-1])[:300] if lines else ""


def _write_setup(folder: Path, models: Any, target: Target, work: Work, kept: Any) -> None:
    """What every process needs: arrays in a file that all of them map, the rest by value."""
    array = target.samples if isinstance(target.samples, np.ndarray) else None
    if array is not None:
        np.save(folder / "samples.npy", array, allow_pickle=False)
    fields = {"kind": target.kind, "ids": target.ids, "classes": target.classes}
    rest = None if array is not None else target.samples

    def worker(folder: Path) -> Worker:
        samples = rest if rest is not None else np.load(folder / "samples.npy", mmap_mode="r", allow_pickle=False)
        there = Target(samples=samples, **fields)
        return Worker(models, there, work, kept=kept, fingerprints=True, at_once=True)

    setup = {"worker": worker, "architectures": custom_architectures()}
    try:
        packed = cloudpickle.dumps(setup)
    except Exception as error:
        raise ValueError(
            f"these models or samples cannot be handed to other processes ({type(error).__name__}: {error}); "
            "use engine='inline', or save the models and name them."
        ) from error
    (folder / "setup.pickle").write_bytes(packed)
    (folder / "path.json").write_text(json.dumps([path or os.getcwd() for path in sys.path]), encoding="utf-8")
