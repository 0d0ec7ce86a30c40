"""A file of SQLite that one process writes at a time.

Nothing in it is believed unseen: every row has a checksum, and the file must still lie where it was opened.
"""

import contextlib
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from nrjax._utils.messages import printable
from nrjax.errors import StoreError
from nrjax.sweeps._opening import (
    OTHER_NAMES,
    WAIT,
    check_file,
    has_other_names,
    is_busy,
    opened_for_reading,
    opened_for_writing,
    version_of_file,
)
from nrjax.sweeps._schema import COLUMNS, MIGRATIONS, VERSION, is_whole, with_checksum
from nrjax.sweeps._store_lock import StoreLock, network_disk

PATIENCE = 600  # seconds that a sweep waits at its beginning and end for a lock of another program
Statement = tuple[str, tuple[Any, ...]]


class Database:
    """A file of tables.

    Args:
      path: made if it is not there; its folder must be.
      read_only: nothing is written, and it must be there.

    Raises:
      StoreError: it is no store, is damaged, of a newer nrjax, read-only, or another sweep writes to it.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False):
        self.path = Path(path).resolve()
        self._who = f"Store {printable(str(path))!r}"
        self._pid = os.getpid()
        self._lock: StoreLock | None = None
        self._db: Any = None
        self._is_replaced = False  # by another file, while it was open
        self._pending: list[Statement] = []  # what a lock of another program keeps from being written
        check_file(self.path, self._who, read_only=read_only)
        try:
            with self._translated_errors():
                self._open(read_only)
                self._migrate(version_of_file(self._db, self._who, read_only=read_only))
                if self._lock is not None:
                    with self._transaction(PATIENCE):
                        self._lock.claim(self._db)
        except BaseException:
            self._release()
            raise

    def _open(self, read_only: bool) -> None:
        if read_only:
            self._db = opened_for_reading(self.path, self._who)
            if has_other_names(self.path):
                self._warn(f"{OTHER_NAMES}; what a sweep writes under another one is not seen before it ends.")
            return
        self._lock = StoreLock(self.path, self._who)
        self._db = opened_for_writing(self.path)
        self._file = _file_at(self.path)
        if kind := network_disk(self.path):
            self._warn(
                f"it lies on a network disk ({kind}), which one machine may use at a time; a local one is safer."
            )

    def _migrate(self, version: int) -> None:
        for number in range(version, VERSION):
            with self._transaction(PATIENCE):
                for statement in MIGRATIONS[number].split(";\n"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={number + 1}")

    def close(self) -> None:
        """Writes what is still to be written, and gives the file free."""
        if self._db is None or os.getpid() != self._pid:  # a copy in a process that was forked
            return
        try:
            if self._lock is not None and not self._is_replaced:
                self._pending.append(("DELETE FROM writer", ()))
                with self._translated_errors():
                    self._flush(PATIENCE)
        finally:
            self._release()

    def _release(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _warn(self, sentence: str) -> None:
        warnings.warn(f"{self._who}: {sentence}", RuntimeWarning, stacklevel=2)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            what = str(error) if isinstance(error, sqlite3.OperationalError) else f"it is damaged or no store: {error}"
            if is_busy(error):
                what = "another program has locked it and does not end"
            elif "full" in str(error):
                what = "the disk is full; what was finished before is kept"
            elif "disk I/O" in str(error) and has_other_names(self.path):
                what = f"{OTHER_NAMES}, and is in use under another one; use one name, or a copy"
            raise StoreError(f"{self._who}: {what}.") from error

    @contextlib.contextmanager
    def _transaction(self, patience: float) -> Iterator[None]:
        """All that is written meanwhile, or nothing; an error where a lock of another program outlasts `patience`."""
        deadline = time.monotonic() + patience
        self._db.execute(f"PRAGMA busy_timeout={int(1000 * min(patience, WAIT))}")
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= deadline:
                    raise
                self._warn(f"another program has locked it; waiting for its end, {PATIENCE} s at most.")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.DatabaseError):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _write(self, *statements: Statement) -> None:
        """All of it or nothing; where another program has locked the file, later, with what comes next."""
        is_waiting = bool(self._pending)
        self._pending += statements
        with self._translated_errors():
            try:
                self._flush(0 if is_waiting else WAIT)
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                if not is_waiting:
                    self._warn("another program has locked it; results are held in memory until it ends.")

    def _flush(self, patience: float) -> None:
        """Writes what is pending. What the disk has no room for is not tried again."""
        try:
            self._check_place()
            with self._transaction(patience):
                for statement in self._pending:
                    self._db.execute(*statement)
            self._pending = []
        except BaseException as error:
            if not (isinstance(error, sqlite3.Error) and is_busy(error)):
                self._pending = []
            raise

    def _check_place(self) -> None:
        """Puts the file back where somebody removed it; StoreError where another one lies there now."""
        lies_there = _file_at(self.path)
        if self._lock is not None:
            self._lock.renew()
        if lies_there == self._file:
            return
        place = self.path if lies_there is None else self.path.with_name(f"{self.path.name}.recovered")
        half = self.path.with_name(f"{self.path.name}.{self._pid}.half")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(half)) as copy:
            self._db.backup(copy)
            for statement in self._pending if lies_there else ():
                copy.execute(*statement)
            copy.commit()
        half.replace(place)
        if lies_there is not None:
            self._is_replaced = True
            raise StoreError(
                f"{self._who}: another file took its place during the sweep, and was left as it is. The results of "
                f"this sweep are in {place.name}."
            )
        self._db.close()
        self._db, self._file = opened_for_writing(self.path), _file_at(self.path)
        self._warn("the file was removed during the sweep, and was written again.")

    def _rows(self, table: str, where: str = "true", *values: object) -> list[tuple[Any, ...]]:
        """Rows as they were written, without their checksums; of damaged ones it is said how many there are."""
        with self._translated_errors():
            rows = self._db.execute(f"SELECT * FROM {table} WHERE {where}", values).fetchall()
        whole = [row[:-1] for row in rows if is_whole(row)]
        if len(whole) < len(rows):
            self._warn(f"{len(rows) - len(whole)} rows of {table} are damaged, and are left out.")
        return whole


def put(table: str, row: tuple[object, ...]) -> Statement:
    """What writes a row, in the place of one with its key."""
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * (len(COLUMNS[table]) + 1))})", with_checksum(row)


def _file_at(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that took its place."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
