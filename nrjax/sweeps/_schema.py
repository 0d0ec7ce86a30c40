"""Tables of a store, what brings an older format to this one, and the checksum that every row carries."""

import hashlib
from collections.abc import Sequence
from typing import Any

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
COLUMNS = {
    "models": ("fingerprint", "source", "license", "parameters", "bytes", "tags", "preprocessing"),
    "files": ("key", "fingerprint", "state"),
    "targets": ("fingerprint", "name", "kind", "samples", "classes"),
    "results": (
        "model", "target", "samples", "asked", "place", "layer", "score", "settings", "found", "influences",
    ),
    "costs": ("model", "target", "samples", "asked", "seconds", "made_at", "nrjax"),
    "failures": ("candidate", "target", "kind", "reason", "times"),
    "runs": ("id", "started", "finished", "target", "command", "settings", "outcome"),
}  # fmt: skip
_CHECKSUMS = "".join(
    f"ALTER TABLE {table} ADD COLUMN checksum TEXT;\nUPDATE {table} SET checksum = checksum_of({', '.join(columns)});\n"
    for table, columns in COLUMNS.items()
)
_SECOND = f"""
DELETE FROM failures;
{_CHECKSUMS}
CREATE TABLE writer (pid INTEGER NOT NULL, started REAL NOT NULL, host TEXT NOT NULL) STRICT;
"""  # failures were known by the place of a candidate alone, whatever lay there later
MIGRATIONS = (_FIRST, _SECOND)  # what makes version i + 1 of version i
VERSION = len(MIGRATIONS)


def checksum_of(*values: object) -> str:
    """Of the values of a row: a flipped bit in any of them gives another one."""
    digest = hashlib.sha256()
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(f"{type(value).__name__} {len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:32]


def with_checksum(row: Sequence[object]) -> tuple[Any, ...]:
    """A row as it is written."""
    return (*row, checksum_of(*row))


def is_whole(row: Sequence[object]) -> bool:
    """Whether a row that was read is the one that was written."""
    return row[-1] == checksum_of(*row[:-1])
