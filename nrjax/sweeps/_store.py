"""What was computed once, in SQLite: results by what decides their numbers, failures, and the runs that asked.

A result belongs to the fingerprints of a model and a target, the layer, the number of samples, and the settings of its
score; not to the model's name or the machine. One process writes at a time; readers do not wait for it.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._version import __version__
from nrjax.files import shown
from nrjax.models import Description
from nrjax.scoring.evaluation import Evaluated
from nrjax.sweeps._jobs import About, state_of
from nrjax.sweeps._rows import LAYER, parts_of, whole

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


class Store:
    """A file of results.

    Args:
      path: made if it is not there; its folder must be.
      read_only: nothing is written, and it must be there.

    Raises:
      ValueError: it is no store, is damaged, of a newer nrjax, read-only, or another sweep writes to it.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False):
        self.path = Path(path).resolve()
        self._who = f"Store {shown(str(path))!r}"
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

    def __enter__(self) -> "Store":
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

    def fingerprint(self, key: str) -> str | None:
        """Of the model at a place, if its files are those that it was read from; None where it must be loaded."""
        for fingerprint, state in self._read("SELECT fingerprint, state FROM files WHERE key = ?", _of_now(key)):
            said = json.loads(state)
            if said and said == state_of(said):
                return fingerprint
        return None

    def about(self, fingerprints: Iterable[str]) -> dict[str, About]:
        """What is known of models."""
        found = {}
        for fingerprint in fingerprints:
            for source, license, parameters, size, tags, preprocessing in self._read(
                "SELECT source, license, parameters, bytes, tags, preprocessing FROM models WHERE fingerprint = ?",
                fingerprint,
            ):
                described = Description(parameters, size, source, license, json.loads(tags))
                found[fingerprint] = About(fingerprint, described, preprocessing, {})
        return found

    def add_target(self, fingerprint: str, name: str, kind: str, samples: int, classes: Sequence[Any]) -> None:
        """Remembers a target."""
        with self._writing():
            row = fingerprint, _text(name), kind, samples, json.dumps([str(one) for one in classes])
            self._db.execute("INSERT OR REPLACE INTO targets VALUES (?, ?, ?, ?, ?)", row)

    def add(
        self, key: str, about: About, target: str, samples: int, asked: str, settings: Mapping[str, str],
        layers: Mapping[str, Evaluated | str], seconds: Mapping[str, float],
    ) -> None:  # fmt: skip
        """Remembers what came out for a model, all of it or nothing.

        Args:
          key: of the candidate; empty for what is no file.
          about: the model.
          target: fingerprint.
          samples: the first so many of its order.
          asked: layers and precision, as text.
          settings: what decides the numbers of a score, as text, by score.
          layers: results, or why there is none.
          seconds: what it cost.
        """
        described, fingerprint = about.description, about.fingerprint
        rows = [
            (fingerprint, target, samples, asked, place, layer, score, settings.get(score, ""), found, influences)
            for place, (layer, one) in enumerate(layers.items())
            for score, found, influences in parts_of(one, settings)
        ]  # fmt: skip
        tags = {str(name): value for name, value in described.tags.items()}
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?, ?, ?)", (
                fingerprint, _text(described.source), _text(described.license), _number(described.parameters),
                _number(described.bytes), json.dumps(tags, default=str), _text(about.preprocessing),
            ))  # fmt: skip
            if key and about.files:
                state = json.dumps(about.files)
                self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (_of_now(key), fingerprint, state))
            self._db.executemany(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "found = excluded.found, influences = excluded.influences "
                "WHERE excluded.influences IS NOT NULL OR results.influences IS NULL", rows,
            )  # fmt: skip
            self._db.execute(
                "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?, ?, ?)",
                (fingerprint, target, samples, asked, json.dumps(dict(seconds)), time.time(), __version__),
            )

    def results(
        self, target: str, samples: int, asked: str, settings: Mapping[str, str], sampled: Sequence[str]
    ) -> dict[str, dict[str, Evaluated | str]]:
        """Layers of every model of which everything is there.

        Args:
          target: fingerprint.
          samples: the first so many of its order.
          asked: layers and precision, as text.
          settings: of the scores that are wanted.
          sampled: those of them of which influences are wanted too.
        """
        rows: dict[str, dict[str, dict[str, tuple[str, bytes | None]]]] = {}
        wanted = {(LAYER, ""), *settings.items()}
        for model, layer, score, of, found, influences in self._read(
            "SELECT model, layer, score, settings, found, influences FROM results "
            "WHERE target = ? AND samples = ? AND asked = ? ORDER BY model, place",
            target, samples, asked,
        ):  # fmt: skip
            if (score, of) in wanted:
                rows.setdefault(model, {}).setdefault(layer, {})[score] = found, influences
        found = {}
        for model, layers in rows.items():
            each = [whole(parts, settings, sampled) for parts in layers.values()]
            if None not in each:
                found[model] = dict(zip(layers, each, strict=True))
        return found

    def add_failure(self, candidate: str, target: str, kind: str, reason: str) -> None:
        """Remembers that a candidate took its worker with it, or had to be stopped."""
        with self._writing():
            self._db.execute(
                "INSERT INTO failures VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET kind = excluded.kind, "
                "reason = excluded.reason, times = times + 1",
                (candidate, target, kind, reason),
            )

    def failures(self, target: str) -> dict[str, tuple[str, str, int]]:
        """Kind, reason and how often, by candidate."""
        rows = self._read("SELECT candidate, kind, reason, times FROM failures WHERE target = ?", target)
        return {candidate: (kind, reason, times) for candidate, kind, reason, times in rows}

    def forget_failures(self, target: str) -> None:
        """They are tried anew."""
        with self._writing():
            self._db.execute("DELETE FROM failures WHERE target = ?", (target,))

    def begin_run(self, target: str, command: str, settings: Mapping[str, Any]) -> int:
        """Remembers that a run begins; its number."""
        with self._writing():
            row = time.time(), target, _text(command), json.dumps(dict(settings), default=str)
            cursor = self._db.execute("INSERT INTO runs (started, target, command, settings) VALUES (?, ?, ?, ?)", row)
            return int(cursor.lastrowid or 0)

    def end_run(self, number: int, outcome: Mapping[str, Any]) -> None:
        """Remembers how it ended."""
        with self._writing():
            row = time.time(), json.dumps(outcome, allow_nan=False), number
            self._db.execute("UPDATE runs SET finished = ?, outcome = ? WHERE id = ?", row)

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the first one first; `outcome` is None of those that did not end."""
        fields: list[str] = ["id", "started", "finished", "target", "command", "settings", "outcome"]
        rows = self._read(f"SELECT {', '.join(fields)} FROM runs ORDER BY id")
        runs = [dict(zip(fields, row, strict=True)) for row in rows]
        names = dict(self._read("SELECT fingerprint, name FROM targets"))
        for run in runs:
            run["settings"] = json.loads(run["settings"])
            run["outcome"] = json.loads(run["outcome"]) if run["outcome"] else None
            run["data"] = names.get(run["target"], "")
        return runs


def _of_now(key: str) -> str:
    """Another nrjax may read the same files another way."""
    return _text(f"{key} nrjax {__version__}")


def _text(value: str) -> str:
    """What can be bound: names of files need not be Unicode."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


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
