"""The file of a store as it is opened: there, regular, a store, readable as a whole; or refused with a sentence."""

import os
import sqlite3
from pathlib import Path

from nrjax.errors import StoreError
from nrjax.sweeps._schema import VERSION, checksum_of

WAIT = 10  # seconds that a transaction waits for a lock of another program
SMALLEST = 512  # bytes of a file of SQLite
OTHER_NAMES = (
    "it has several names, hard links to one file"  # of a file: SQLite keeps what is written last beside one of them
)


def check_file(path: Path, who: str, *, read_only: bool) -> None:
    """Raises StoreError where there is no file that could be opened."""
    if path.is_dir():
        raise StoreError(f"{who} is a folder; expected a file, such as results.db.")
    if not path.exists():
        if read_only:
            raise StoreError(f"{who}: there is no such file.")
        if not path.parent.is_dir():
            raise StoreError(f"{who}: there is no folder {path.parent}.")
    elif not path.is_file():
        raise StoreError(f"{who} is not a regular file.")
    elif 0 < path.stat().st_size < SMALLEST:
        raise StoreError(f"{who}: it is damaged or no store: it has {path.stat().st_size} bytes.")
    elif not read_only and not os.access(path, os.W_OK):
        raise StoreError(f"{who} cannot be written: it is read-only.")


def opened_for_writing(path: Path) -> sqlite3.Connection:
    """A connection whose transactions are there when they are done."""
    database = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")  # what is said to be done survives a power cut
    database.create_function("checksum_of", -1, checksum_of, deterministic=True)
    return _decoding(database)


def opened_for_reading(path: Path, who: str) -> sqlite3.Connection:
    """A connection that sees all that was written; StoreError where it would see less."""
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=WAIT)
    try:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return _decoding(database)
    except sqlite3.OperationalError as error:
        database.close()
        if is_busy(error):
            raise
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise StoreError(
                f"{who}: its last results are in {log.name}, which cannot be read in a folder that is read-only. Copy "
                "both files to a folder of your own, and read them there."
            ) from error
    # Nothing can be written beside it, not even a lock, and nothing that lies beside it is missed.
    return _decoding(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True))


def version_of_file(database: sqlite3.Connection, who: str, *, read_only: bool) -> int:
    """The format of a store, 0 for a new file; StoreError where this nrjax cannot read it."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(f"{who} was written by a newer nrjax (format {version}; this one reads {VERSION}).")
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not version and (tables or read_only):
        raise StoreError(f"{who} is a database, but no store of nrjax.")
    if version < VERSION and read_only:
        raise StoreError(f"{who} has an older format ({version}); a sweep converts it.")
    return version


def has_other_names(path: Path) -> bool:
    """Whether a file has further names in its file system."""
    return path.exists() and path.stat().st_nlink > 1


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another program has locked the file."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _decoding(database: sqlite3.Connection) -> sqlite3.Connection:
    """Text that is damaged is read all the same: the checksum of its row says so."""
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    return database
