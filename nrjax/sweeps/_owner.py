"""Who owns what a sweep leaves on a disk while it runs: a process, on a machine."""

import functools
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

import psutil

PREFIX = "nrjax-sweep-"
SAME_START = 2.0  # seconds by which two looks at the start of one process may differ


class Owner(NamedTuple):
    """A process; `started` tells it from a later one of the same number."""

    pid: int
    started: float
    host: str

    @classmethod
    def current(cls) -> "Owner":
        """This process."""
        return cls(os.getpid(), psutil.Process().create_time(), host())

    @property
    def is_dead(self) -> bool:
        """Whether it ended for certain: nobody knows of processes of another machine."""
        if self.host != host():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > SAME_START
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition('@')[0]}"


@functools.cache
def host() -> str:
    """This machine; of containers also the space of their process numbers."""
    try:
        return f"{socket.gethostname()}@{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def temporary_path() -> Path:
    """A name for a new folder for temporary files, which says whose it is; those of the dead are removed."""
    remove_folders_of_the_dead()
    owner = Owner.current()
    name = f"{PREFIX}{owner.host}-{owner.pid}-{owner.started:.2f}-{secrets.token_hex(8)}"
    return Path(tempfile.gettempdir(), name)


def remove_folders_of_the_dead() -> None:
    """Removes the temporary folders of sweeps whose process ended without doing so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*-*-*"):
        where, pid, started, _ = folder.name.removeprefix(PREFIX).rsplit("-", 3)
        try:
            owner = Owner(int(pid), float(started), where)
        except ValueError:
            continue
        if owner.is_dead:
            shutil.rmtree(folder, ignore_errors=True)
