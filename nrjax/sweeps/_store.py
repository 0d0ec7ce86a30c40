"""What was computed once, in SQLite: results by what decides their numbers, failures, and the runs that asked.

A result belongs to the fingerprints of a model and a target, the layer, the number of samples, and the settings of its
score; not to the model's name or the machine. One process writes at a time; readers do not wait for it.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nrjax._version import __version__
from nrjax.models import Description
from nrjax.scoring.model_scores import ModelScores
from nrjax.sweeps._database import Database
from nrjax.sweeps._jobs import ModelRecord, state_of
from nrjax.sweeps._rows import LAYER, parts_of, whole


class Store(Database):
    """Results, failures and runs in a file; arguments and errors are those of `Database`."""

    def fingerprint(self, key: str) -> str | None:
        """Of the model at a place, if its files are those that it was read from; None where it must be loaded."""
        for fingerprint, state in self._read("SELECT fingerprint, state FROM files WHERE key = ?", _of_now(key)):
            said = json.loads(state)
            if said and said == state_of(said):
                return fingerprint
        return None

    def about(self, fingerprints: Iterable[str]) -> dict[str, ModelRecord]:
        """What is known of models."""
        found = {}
        for fingerprint in fingerprints:
            for source, license, parameters, size, tags, preprocessing in self._read(
                "SELECT source, license, parameters, bytes, tags, preprocessing FROM models WHERE fingerprint = ?",
                fingerprint,
            ):
                described = Description(parameters, size, source, license, json.loads(tags))
                found[fingerprint] = ModelRecord(fingerprint, described, preprocessing, {})
        return found

    def add_target(self, fingerprint: str, name: str, kind: str, samples: int, classes: Sequence[Any]) -> None:
        """Remembers a target."""
        with self._writing():
            row = fingerprint, _text(name), kind, samples, json.dumps([str(one) for one in classes])
            self._db.execute("INSERT OR REPLACE INTO targets VALUES (?, ?, ?, ?, ?)", row)

    def add(
        self, key: str, about: ModelRecord, target: str, samples: int, asked: str, settings: Mapping[str, str],
        layers: Mapping[str, ModelScores | str], seconds: Mapping[str, float],
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
    ) -> dict[str, dict[str, ModelScores | str]]:
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
