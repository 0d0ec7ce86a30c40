"""A worker process as its parent sees it: its candidates, its messages, the limits that it broke, how it ended."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import cloudpickle
import jax
import psutil

from nrjax._utils.frameworks import environment_of_workers
from nrjax._utils.memory import machine_memory
from nrjax._utils.messages import printable
from nrjax.errors import BrokenImage
from nrjax.ranking import CandidateResult, Job, Listener, RoundSpec

BOOTSTRAP = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from nrjax.sweeps._serve import main
main(sys.argv[2], *map(int, sys.argv[3:]))
"""  # what this process can import, in its order; nothing of the folder that it happens to be in
MARK = "NRJAX_SWEEP_WORKER"  # a variable that all have that a worker process started
ENDS = 2.0  # seconds that a process may take to end by itself
TAIL = 2000  # bytes of what a process printed that are kept
MOST_MEMORY = machine_memory() // 2  # bytes; who dies with more was killed for them


class WorkerProcess:
    """One worker process, and the candidates that it has.

    Attributes:
      place: among the processes.
      devices: that it sees; 0 until it is ready.
      running: the candidate it is at.
      finished: candidates that it is done with, which may have left something behind.
      broke: the limit that it broke, `time` or `memory`, or none.
      is_gone: it ended, and all that it said was heard.
    """

    def __init__(
        self, files: Sequence[int], programs: Path, device: int | None, place: int, environment: Mapping[str, str]
    ):  # fmt: skip
        """Starts one that reads `files` of a `Setup`, and keeps compiled programs in a folder."""
        self.place, self.devices = place, 0
        self.running: Job | None = None
        self.finished = 0
        self.broke, self.is_gone = "", False
        self.connection, theirs = Pipe()
        life, self._life = os.pipe()
        path = json.dumps([folder or os.getcwd() for folder in sys.path])
        numbers = theirs.fileno(), life, *files
        self._mark, self._had_to_be_ended = secrets.token_hex(8), False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOTSTRAP, path, str(programs), *map(str, numbers)],
            pass_fds=numbers, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, env={**environment, **_environment(programs, device), MARK: self._mark},
        )  # fmt: skip
        theirs.close()
        os.close(life)
        self._words = _StderrTail(self._process.stdout)
        self._since, self._memory, self._peak_memory = 0.0, 0, 0
        self._given: dict[str, Job] = {}  # handed out and not begun
        self._alone = self._idle = False

    def begin_round(self, round_spec: RoundSpec) -> None:
        """What the jobs that follow are to compute."""
        self._tell(round_spec)

    def end_round(self) -> None:
        """There is nothing more to do in this round."""
        if self._idle:
            self._tell(None)
            self._idle = False
        while True:  # until it says so itself
            try:
                kind, content = self.connection.recv()
            except (EOFError, OSError):
                self.is_gone = True
                return
            if kind == "ready":
                self.devices = content
            elif kind == "wants":
                self._tell(None)
            elif kind == "ends":
                return

    def hear(
        self, listener: Listener, waiting: deque[Job], alone: deque[Job], claim: Callable[[str, str], bool]
    ) -> Iterator[CandidateResult]:  # fmt: skip
        """Takes its messages, and answers; gives the results among them."""
        try:
            while self.connection.poll():
                kind, content = self.connection.recv()
                if kind == "ready":
                    self.devices = content
                elif kind == "starts":
                    self.running, self._since, self._peak_memory = self._given.pop(content), time.monotonic(), 0
                    listener.starts(content)
                elif kind == "advances":
                    listener.advances(content)
                elif kind == "done":
                    self.finished += 1
                    if self.running and self.running.name == content.job.name:
                        self._look(None)
                        content.peak_memory = self._peak_memory
                        self.running = None
                    yield content
                elif kind == "warns":
                    warnings.warn(content, RuntimeWarning, stacklevel=2)
                elif kind == "broken":
                    raise BrokenImage(content)
                elif kind == "wants":
                    self._answer(content, waiting, alone)
                elif kind == "claims":
                    self._tell(claim(*content))
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

    def _tell(self, what: object) -> None:
        with contextlib.suppress(OSError):  # it is dead, which is seen elsewhere
            self.connection.send_bytes(cloudpickle.dumps(what))  # scores may be anybody's functions

    def suspects(self) -> list[Job]:
        """The candidates that it has: the one that runs first."""
        return ([self.running] if self.running else []) + list(self._given.values())

    def overdue(self, time_limit: float | None, memory_limit: int | None) -> bool:
        """Whether it broke a limit."""
        if time_limit is not None and self.running and time.monotonic() - self._since > time_limit:
            self.broke = "time"
        else:
            self._look(memory_limit)
            if memory_limit is not None and self.suspects() and self._memory > memory_limit:
                self.broke = "memory"
        return bool(self.broke)

    def _look(self, memory_limit: int | None) -> None:
        """How much memory it takes now."""
        with contextlib.suppress(psutil.Error):
            self._memory = _memory_of(psutil.Process(self._process.pid), memory_limit)
            self._peak_memory = max(self._peak_memory, self._memory)

    @property
    def was_killed(self) -> bool:
        """Whether somebody ended it, for all that is known not for its memory."""
        killed = self._process.returncode == -signal.SIGKILL and not self._had_to_be_ended
        return killed and self._memory < MOST_MEMORY

    def kill(self) -> None:
        """Ends it and whatever it started."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> str:
        """Waits for its end; a sentence of how it ended and what it printed last."""
        try:
            code = self._process.wait(ENDS)
        except subprocess.TimeoutExpired:
            self._had_to_be_ended = True  # it closed its pipe and went on
            self.kill()
            code = self._process.wait()
        self.kill()  # what it started goes too
        _kill_marked(self._mark)
        self.connection.close()
        os.close(self._life)
        if self._had_to_be_ended:
            return "It closed its connection and went on, so that it was ended."
        how = f"signal {-code}, {signal.strsignal(-code)}" if code < 0 else f"exit code {code}"
        words = self._words.end()
        return f"It ended by {how}{f'; it said last: {words}' if words else ''}."


def _memory_of(process: psutil.Process, limit: int | None) -> int:
    """Bytes of a process and, where there is a limit, of its children; what they share counts once."""
    own = process.memory_info().rss
    if limit is None:
        return own
    children = process.children(recursive=True)
    if not children or own + sum(_bytes(child, "rss") for child in children) <= limit:
        return own
    return sum(_bytes(member, "pss") for member in [process, *children])


def _bytes(process: psutil.Process, kind: str) -> int:
    try:
        memory = process.memory_info() if kind == "rss" else process.memory_full_info()
        return getattr(memory, kind, memory.rss)
    except psutil.Error:  # it ended meanwhile
        return 0


def _kill_marked(mark: str) -> None:
    """Ends what a process started and let go, such as a daemon."""
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get(MARK) == mark:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _environment(programs: Path, device: int | None) -> dict[str, str]:
    """Of a process: what this one can import, its share of the devices, compiled programs of all in one place."""
    compiled = jax.config.jax_compilation_cache_dir or str(programs)  # pyright: ignore
    environment = environment_of_workers() | {
        "JAX_COMPILATION_CACHE_DIR": compiled, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(jax.config.jax_compilation_cache_max_size),  # pyright: ignore
    }  # fmt: skip
    if device is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[device % len(visible)] if len(visible) > 1 else str(device)
    return environment


class _StderrTail:
    """The end of what a process prints, however much it is."""

    def __init__(self, pipe: Any):
        self._pipe, self._kept = pipe, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while piece := os.read(self._pipe.fileno(), 1 << 16):
            self._kept = (self._kept + piece)[-TAIL:]

    def end(self) -> str:
        """The last line that says something."""
        self._thread.join(timeout=1)
        if not self._thread.is_alive():
            self._pipe.close()
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines() if line.strip()]
        return printable(lines[-1])[:300] if lines else ""
