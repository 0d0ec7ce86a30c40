"""A worker process, started by the engine and nobody else.

It says what it does over one pipe, and ends when the other one is closed: however its parent died.
"""

import os
import shutil
import signal
import threading
import warnings
from multiprocessing.connection import Connection
from typing import Any

import jax

from nrjax.errors import BrokenImage
from nrjax.sweeps._setup import runner_of


class _Pipe:
    """A connection to which several threads may speak."""

    def __init__(self, connection: Connection):
        self._connection, self._lock = connection, threading.Lock()
        self.recv = connection.recv

    def send(self, what: object) -> None:
        """Says it whole."""
        with self._lock:
            self._connection.send(what)


class _RemoteListener:
    """A listener at the other end of a pipe."""

    def __init__(self, connection: _Pipe):
        self._connection = connection

    def starts(self, name: str) -> None:
        """Turns to a candidate."""
        self._connection.send(("starts", name))

    def advances(self, samples: int) -> None:
        """So many samples more are done with."""
        self._connection.send(("advances", samples))


def serve(connection: _Pipe, files: tuple[int, ...]) -> None:
    """Does what comes over the pipe until nothing does."""
    runner, home = runner_of(files), os.getcwd()
    warnings.simplefilter("always", RuntimeWarning)
    warnings.showwarning = lambda message, *_: connection.send(("warns", str(message)))

    def next_job(idle: bool) -> Any:
        os.chdir(home)  # candidates may have gone elsewhere
        connection.send(("wants", idle))
        return connection.recv()

    def claim(fingerprint: str, name: str) -> bool:
        connection.send(("claims", (fingerprint, name)))
        return connection.recv()

    connection.send(("ready", _devices()))
    while (round_spec := connection.recv()) is not None:
        try:
            for result in runner.work(next_job, round_spec, _RemoteListener(connection), claim):
                connection.send(("done", result))
        except BrokenImage as error:
            connection.send(("broken", str(error)))
        connection.send(("ends", None))


def _devices() -> int:
    """Accelerators that this process sees; 1 without any."""
    return 1 if jax.default_backend() == "cpu" else jax.local_device_count()


def _end_with(life: int, programs: str) -> None:
    """Waits until the parent is gone, whatever the worker is at then, and tidies up after it."""
    os.read(life, 1)
    shutil.rmtree(programs, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # with whatever candidates started


def main(programs: str, pipe: int, life: int, *files: int) -> None:
    """The process."""
    threading.Thread(target=_end_with, args=(life, programs), daemon=True).start()
    serve(_Pipe(Connection(pipe)), files)
