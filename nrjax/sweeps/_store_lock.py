"""Who may write to a store: one process at a time, named in the store, and a lock of the system beside it."""

import contextlib
import os
import sqlite3
import weakref
from pathlib import Path
from typing import Any

import psutil

from nrjax.errors import StoreError
from nrjax.sweeps._owner import Owner

NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "afs", "glusterfs", "fuse.sshfs", "fuse.gluster")
_held: "weakref.WeakSet[StoreLock]" = weakref.WeakSet()


class StoreLock:
    """The lock of a store, which goes with the process, however it ends.

    Two things guard a store. The lock file is locked as long as its holder lives, on other machines as well. The table
    `writer` names the holder, so that a lock file that somebody removed is no permission.

    Args:
      path: of the store.
      who: the store, as messages call it.

    Raises:
      StoreError: another process writes to the store, or its lock belongs to another user.
    """

    def __init__(self, path: Path, who: str):
        self.path, self._who = path, who
        self._file: int | None = None
        self._pid = os.getpid()
        self._lock_file()
        _held.add(self)

    def _lock_file(self) -> None:
        import fcntl

        path = self.path.with_name(self.path.name + ".lock")
        file = _opened(path, self.path, self._who)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            raise StoreError(_refusal(self._who, _named_writer(self.path))) from error
        self._file = file

    def claim(self, database: sqlite3.Connection) -> None:
        """Names this process as the writer, within a transaction; StoreError where another one is."""
        for row in database.execute("SELECT pid, started, host FROM writer").fetchall():
            owner = Owner(*row)
            if owner == Owner.current()._replace(started=owner.started):
                is_writing = any(lock.path == self.path and lock is not self and lock.is_held for lock in _held)
            else:
                is_writing = owner.host == Owner.current().host and not owner.is_dead
            if is_writing:
                raise StoreError(_refusal(self._who, owner))
        database.execute("DELETE FROM writer")
        database.execute("INSERT INTO writer VALUES (?, ?, ?)", Owner.current())

    @property
    def is_held(self) -> bool:
        """Whether this process has it."""
        return self._file is not None and os.getpid() == self._pid

    def renew(self) -> None:
        """Locks a new file where somebody removed the old one."""
        path = self.path.with_name(self.path.name + ".lock")
        if self._file is None or (path.exists() and path.stat().st_ino == os.fstat(self._file).st_ino):
            return
        self.release()
        self._lock_file()

    def release(self) -> None:
        """Gives the store free."""
        import fcntl

        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # for copies in processes that candidates started, too
            os.close(self._file)
            self._file = None

    def forget(self) -> None:
        """In a process that was forked: the lock stays with the parent alone."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def network_disk(path: Path) -> str:
    """The kind of the network disk on which a file lies; empty for a local disk."""
    mounts = [mount for mount in psutil.disk_partitions(all=True) if path.is_relative_to(mount.mountpoint)]
    kind = max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else ""
    return kind if kind.startswith(NETWORK) else ""


def _opened(path: Path, store: Path, who: str) -> int:
    """The lock file, for whoever may write to the store: a lock needs no more than a file that can be read."""
    try:
        with contextlib.suppress(FileExistsError):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            if store.exists():
                os.fchmod(file, store.stat().st_mode & 0o777)
            return file
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise StoreError(
            f"{who}: its lock file {path.name} cannot be opened ({error.strerror}): it may be another user's. Ask for "
            "leave to read it and to write to its folder, or take another store."
        ) from error


def _named_writer(path: Path) -> Owner | None:
    with contextlib.suppress(sqlite3.Error):
        database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)
        with contextlib.closing(database):
            row: Any = database.execute("SELECT pid, started, host FROM writer").fetchone()
            return Owner(*row) if row else None
    return None


def _refusal(who: str, owner: Owner | None) -> str:
    named = f" ({owner})" if owner else ""
    return f"{who}: another sweep writes to it{named}; wait for its end, or take another store."


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
