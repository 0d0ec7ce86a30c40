"""How a sweep goes on: a bar on a terminal, a line a model in a log, JSON for programs."""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from nrjax._utils.messages import printable
from nrjax.ranking._jobs import CandidateResult
from nrjax.scoring.scores import ScoreKind

LOG = logging.getLogger("nrjax")


class Progress(Protocol):
    """A listener of workers that also hears what comes out."""

    def starts(self, name: str) -> None:
        """A worker turns to a candidate."""
        ...

    def advances(self, samples: int) -> None:
        """So many samples more are done with."""
        ...

    def round(self, jobs: int, stored: int, samples: int) -> None:
        """So many candidates are to be scored on so many samples; the store had others."""
        ...

    def done(self, result: CandidateResult, by: ScoreKind) -> None:
        """A candidate has its result by a score, or its reason."""
        ...


@contextlib.contextmanager
def progress_of(wanted: bool | str) -> Iterator[Progress]:
    """What the user wants to see, on stderr; where that is nothing, lines become records of the logger `nrjax`.

    Raises:
      ValueError: it is none of True, False, `bar`, `lines`, `json`.
    """
    if wanted not in (True, False, "bar", "lines", "json"):
        raise ValueError(f"progress must be True, False, 'bar', 'lines' or 'json'; got {wanted!r}.")
    if wanted in ("lines", "json"):
        yield _Lines(_print_event if wanted == "json" else _print_line)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield _Lines(lambda _, line: LOG.info("%s", line))
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)


def _print_line(_: dict[str, Any], line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_event(event: dict[str, Any], _: str) -> None:
    print(json.dumps(event), file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, bar):
        self._bar = bar
        self._task = None

    def round(self, jobs: int, stored: int, samples: int) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task("Loading", total=jobs * samples)

    def starts(self, name: str) -> None:
        self._bar.update(self._task, description=printable(name))

    def advances(self, samples: int) -> None:
        self._bar.advance(self._task, samples)

    def done(self, result: CandidateResult, by: ScoreKind) -> None:
        pass


class _Lines:
    """An event for each round and each candidate, which `say` gets as a dictionary and as a line."""

    def __init__(self, say: Callable[[dict[str, Any], str], None]):
        self._say = say
        self._jobs = self._count = 0
        self._start = time.monotonic()

    def round(self, jobs: int, stored: int, samples: int) -> None:
        self._jobs, self._count, self._start = jobs, 0, time.monotonic()
        self._say(
            {"event": "round", "candidates": jobs, "stored": stored, "samples": samples},
            f"{jobs:,} candidates on {samples:,} samples" + (f"; of {stored:,} the store has it." if stored else "."),
        )

    def starts(self, name: str) -> None:
        pass

    def advances(self, samples: int) -> None:
        pass

    def done(self, result: CandidateResult, by: ScoreKind) -> None:
        self._count += 1
        layers = list(result.layers.values())
        scores = [layer for layer in layers if not isinstance(layer, str)]
        values = [layer.values[by.name] for layer in scores if by.name in layer.values]
        reasons = [layer for layer in layers if isinstance(layer, str)]
        reasons += [layer.missing[by.name] for layer in scores if by.name in layer.missing]
        reason = result.reason or next(iter(reasons), None)
        best = max(values, key=lambda value: by.sign * value, default=None)
        to_go = (time.monotonic() - self._start) / self._count * (self._jobs - self._count)
        name = printable(result.job.name)
        event = {
            "event": "done", "candidate": name, by.name: best, "reason": reason if best is None else None,
            "seconds": {key: round(value, 4) for key, value in result.seconds.items()}, "to_go": round(to_go, 1),
        }  # fmt: skip
        why = f"{'left out' if result.left_out else 'failed'}: {reason}" if reason else "scored"
        outcome = why if best is None else f"{by.name} {best:.4f}"
        self._say(event, f"[{self._count}/{self._jobs}] {name}: {outcome} ({to_go:.0f} s to go)")
