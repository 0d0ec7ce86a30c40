"""Results, failures and runs in SQLite; results are known by what decides their numbers.

A result belongs to the fingerprints of a model and a target, the layer, the number of samples, and the settings of its
score; not to the model's name or the machine. One process writes at a time; readers do not wait for it.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._version import __version__
from nrjax.models import Description
from nrjax.ranking import ModelRecord, state_of
from nrjax.scoring.model_scores import ModelScores
from nrjax.sweeps._database import Database, put
from nrjax.sweeps._rows import LAYER, layers_beside, parts_of, whole
from nrjax.sweeps._schema import COLUMNS

_UNLESS_IT_SAYS_LESS = (  # than the row that is there, which has influences
    "ON CONFLICT DO UPDATE SET place = excluded.place, found = excluded.found, influences = excluded.influences, "
    "checksum = excluded.checksum WHERE excluded.influences IS NOT NULL OR results.influences IS NULL"
)


class Store(Database):
    """Results, failures and runs in a file; arguments and errors are those of `Database`."""

    def __init__(self, path: str | Path, *, read_only: bool = False):
        super().__init__(path, read_only=read_only)
        self._begun: dict[int, tuple[Any, ...]] = {}  # rows of the runs that began here

    def fingerprint(self, key: str) -> str | None:
        """Of the model at a place, if its files are those that it was read from; None where it must be loaded."""
        for _, fingerprint, state in self._rows("files", "key = ?", _of_now(key)):
            files = json.loads(state)
            if files and files == state_of(files):
                return fingerprint
        return None

    def about(self, fingerprints: Iterable[str]) -> dict[str, ModelRecord]:
        """What is known of models."""
        records = {}
        for fingerprint in fingerprints:
            for _, source, license, parameters, size, tags, preprocessing in self._rows(
                "models", "fingerprint = ?", fingerprint
            ):
                described = Description(parameters, size, source, license, json.loads(tags))
                records[fingerprint] = ModelRecord(fingerprint, described, preprocessing, {})
        return records

    def add_target(self, fingerprint: str, name: str, kind: str, samples: int, classes: Sequence[object]) -> None:
        """Remembers a target."""
        self._write(
            put("targets", (fingerprint, _text(name), kind, samples, json.dumps([str(label) for label in classes])))
        )

    def add(
        self, key: str, about: ModelRecord, target: str, samples: int, extraction: str, settings: Mapping[str, str],
        layers: Mapping[str, ModelScores | str], cost: Mapping[str, float | None],
    ) -> None:  # fmt: skip
        """Remembers what came out for a model, all of it or nothing.

        Args:
          key: of the candidate; empty for what is no file.
          about: the model.
          target: fingerprint.
          samples: the first so many of its order.
          extraction: layers and precision, as text.
          settings: what decides the numbers of a score, as text, by score.
          layers: results, or why there is none.
          cost: seconds of every part, and `ms`, `zero_shot` and `peak_memory` as in `CandidateResult`.
        """
        described, fingerprint = about.description, about.fingerprint
        tags = {str(name): value for name, value in described.tags.items()}
        statements = [put("models", (
            fingerprint, _text(described.source), _text(described.license), _number(described.parameters),
            _number(described.bytes), json.dumps(tags, default=str), _text(about.preprocessing),
        ))]  # fmt: skip
        if key and about.files:
            statements.append(put("files", (_of_now(key), fingerprint, json.dumps(about.files))))
        for place, (layer, scores) in enumerate(layers.items()):
            for score, outcome, influences in parts_of(scores, settings, len(layers)):
                row = fingerprint, target, samples, extraction, place, layer, score, settings.get(score, "")
                statement, values = put("results", (*row, outcome, influences))
                statements.append((f"{statement.replace(' OR REPLACE', '')} {_UNLESS_IT_SAYS_LESS}", values))
        row = fingerprint, target, samples, extraction, json.dumps(dict(cost)), time.time(), __version__
        self._write(*statements, put("costs", row))

    def costs(self, target: str, samples: int, extraction: str) -> dict[str, dict[str, float | None]]:
        """What `add` got, by fingerprint of the model."""
        rows = self._rows("costs", "target = ? AND samples = ? AND asked = ?", target, samples, extraction)
        return {model: json.loads(cost) for model, _, _, _, cost, *_ in rows}

    def results(
        self, target: str, samples: int, extraction: str, settings: Mapping[str, str], sampled: Sequence[str]
    ) -> dict[str, dict[str, ModelScores | str]]:
        """Layers of every model of which everything is there.

        Args:
          target: fingerprint.
          samples: the first so many of its order.
          extraction: layers and precision, as text.
          settings: of the scores that are wanted.
          sampled: those of them of which influences are wanted too.
        """
        rows: dict[str, dict[str, dict[str, tuple[str, bytes | None]]]] = {}
        wanted = {(LAYER, ""), *settings.items()}
        for model, _, _, _, _, layer, score, setting, outcome, influences in self._rows(
            "results", "target = ? AND samples = ? AND asked = ? ORDER BY model, place", target, samples, extraction
        ):
            if (score, setting) in wanted:
                rows.setdefault(model, {}).setdefault(layer, {})[score] = outcome, influences
        results = {}
        for model, layers in rows.items():
            scores = [whole(parts, settings, sampled) for parts in layers.values()]
            if None not in scores and len(layers) >= max(map(layers_beside, layers.values())):
                results[model] = dict(zip(layers, scores, strict=True))
        return results

    def add_failure(self, candidate: str, target: str, kind: str, reason: str) -> None:
        """Remembers that a candidate took its worker with it, or had to be stopped.

        Args:
          candidate: what tells it from others: its content, the limits that it had, the engine.
          target: fingerprint.
          kind: `time`, `memory` or `crash`.
          reason: a sentence.
        """
        times = self.failures(target).get(candidate, ("", "", 0))[2]
        self._write(put("failures", (candidate, target, kind, _text(reason), times + 1)))

    def failures(self, target: str) -> dict[str, tuple[str, str, int]]:
        """Kind, reason and how often, by candidate."""
        rows = self._rows("failures", "target = ?", target)
        return {candidate: (kind, reason, times) for candidate, _, kind, reason, times in rows}

    def forget_failures(self, target: str, candidates: Iterable[str]) -> None:
        """They are tried anew."""
        statement = "DELETE FROM failures WHERE target = ? AND candidate = ?"
        self._write(*((statement, (target, candidate)) for candidate in candidates))

    def begin_run(self, target: str, command: str, settings: Mapping[str, object]) -> int:
        """Remembers that a run begins; its number."""
        with self._translated_errors():
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
        number = max([last, *self._begun]) + 1  # of which some may not be written yet
        row = number, time.time(), None, target, _text(command), json.dumps(dict(settings), default=str), None
        self._begun[number] = row
        self._write(put("runs", row))
        return number

    def end_run(self, number: int, outcome: Mapping[str, object]) -> None:
        """Remembers how a run that began here ended."""
        _, started, _, *rest, _ = self._begun[number]
        self._write(put("runs", (number, started, time.time(), *rest, json.dumps(outcome, allow_nan=False))))

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the first one first; `outcome` is None of those that did not end."""
        runs = [dict(zip(COLUMNS["runs"], row, strict=True)) for row in self._rows("runs", "true ORDER BY id")]
        names = {fingerprint: name for fingerprint, name, *_ in self._rows("targets")}
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
