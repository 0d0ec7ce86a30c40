"""A file of SQLite that one process writes at a time: locked, of this format, or refused."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from nrjax._utils.messages import printable

_FIRST = """
CREATE TABLE models (
  fingerprint TEXT PRIMARY KEY, source TEXT, license TEXT, parameters INTEGER, bytes INTEGER, tags TEXT,
  preprocessing TEXT
) STRICT;
CREATE TABLE files (  -- where a model was read from, and how its files were then
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, state TEXT NOT NULL
) STRICT;
CREATE TABLE targets (
  fingerprint TEXT PRIMARY KEY, name TEXT, kind TEXT, samples INTEGER, classes TEXT
) STRICT;
CREATE TABLE results (
  model TEXT NOT NULL, target TEXT NOT NULL, samples INTEGER NOT NULL, asked TEXT NOT NULL, place INTEGER NOT NULL,
  layer TEXT NOT NULL, score TEXT NOT NULL, settings TEXT NOT NULL, found TEXT NOT NULL, influences BLOB,
  PRIMARY KEY (model, target, samples, asked, score, settings, layer)
) STRICT, WITHOUT ROWID;
CREATE TABLE costs (
  model TEXT NOT NULL, target TEXT NOT NULL, samples INTEGER NOT NULL, asked TEXT NOT NULL, seconds TEXT,
  made_at REAL, nrjax TEXT, PRIMARY KEY (model, target, samples, asked)
) STRICT, WITHOUT ROWID;
CREATE TABLE failures (  -- of candidates that took their worker with them, so that they are not tried for ever
  candidate TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (candidate, target)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, started REAL, finished REAL, target TEXT, command TEXT, settings TEXT, outcome TEXT
) STRICT;
"""
_MIGRATIONS = (_FIRST,)  # what makes version i + 1 of version i
VERSION = len(_MIGRATIONS)


class Database:
    """A file of tables.

    Args:
      path: made if it is not there; its folder must be.
      read_only: nothing is written, and it must be there.

    Raises:
      ValueError: it is no store, is damaged, of a newer nrjax, read-only, or another sweep writes to it.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False):
        self.path = Path(path).resolve()
        self._who = f"Store {printable(str(path))!r}"
        self._lock: Any = None
        self._check_file(read_only)
        self._db: Any = None
        try:
            with self._said():
                self._open(read_only)
                self._check_version(read_only)
        except BaseException:
            self.close()
            raise

    def _open(self, read_only: bool) -> None:
        if not read_only:
            self._lock = _locked(self.path, self._who)
            self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # what is said to be done survives a power cut
            return
        for how in ("mode=ro", "immutable=1"):  # the latter where nothing can be written beside it, not even a lock
            self._db = sqlite3.connect(f"{self.path.as_uri()}?{how}", uri=True, timeout=30)
            try:
                self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:
                if how == "immutable=1":
                    raise
            else:
                return

    def _check_file(self, read_only: bool) -> None:
        if self.path.is_dir():
            raise ValueError(f"{self._who} is a folder; expected a file, such as results.db.")
        if not self.path.exists():
            if read_only:
                raise ValueError(f"{self._who}: there is no such file.")
            if not self.path.parent.is_dir():
                raise ValueError(f"{self._who}: there is no folder {self.path.parent}.")
        elif not self.path.is_file():
            raise ValueError(f"{self._who} is not a regular file.")
        elif not read_only and not os.access(self.path, os.W_OK):
            raise ValueError(f"{self._who} cannot be written: it is read-only.")

    def _check_version(self, read_only: bool) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise ValueError(f"{self._who} was written by a newer nrjax (format {version}; this one reads {VERSION}).")
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not version and (tables or read_only):
            raise ValueError(f"{self._who} is a database, but no store of nrjax.")
        if version < VERSION and read_only:
            raise ValueError(f"{self._who} is of an older format ({version}); a sweep brings it to this one.")
        for number in range(version, VERSION):
            with self._writing():
                for statement in _MIGRATIONS[number].split(";\n"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={number + 1}")

    def close(self) -> None:
        """Gives the file free."""
        if self._db is not None:
            self._db.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            what = str(error) if isinstance(error, sqlite3.OperationalError) else f"it is damaged or no store: {error}"
            if "full" in str(error):
                what = "the disk is full; what was finished before is kept"
            raise ValueError(f"{self._who}: {what}.") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._said():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.DatabaseError):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._said():
            return self._db.execute(query, values).fetchall()


def _locked(path: Path, who: str) -> Any:
    """A lock beside the store that goes with the process, however it ends."""
    import fcntl

    lock = open(path.with_name(path.name + ".lock"), "ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ValueError(f"{who}: another sweep writes to it; wait for its end, or take another store.") from error
    return lock
