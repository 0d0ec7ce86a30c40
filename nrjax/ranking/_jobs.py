"""What candidates are to do, and what comes out: the same records for every process."""

import dataclasses
import json
import os
from collections.abc import Iterable, Set
from pathlib import Path
from typing import NamedTuple, Protocol

from nrjax.models import Description, LayerChoice, Precision
from nrjax.scoring.model_scores import ModelScores, Request


@dataclasses.dataclass(frozen=True)
class ExtractionSpec:
    """What is taken of every candidate.

    Attributes:
      layers: of every model; None takes all it has.
      batch_size: of the forward pass; None goes by the samples' size.
      precision: of the forward pass.
      pooling: of layers that are maps or tokens; None is each model's own.
      probabilities: whether those of the models' own classes are wanted too.
      batches: at least so many, if `batch_size` is None.
    """

    layers: tuple[LayerChoice, ...] | None
    batch_size: int | None = None
    precision: Precision = "float32"
    probabilities: bool = False
    pooling: str | None = None
    batches: int = 1

    @property
    def key(self) -> str:
        """What decides the features of a model, as text."""
        layers = "all" if self.layers is None else list(self.layers)  # 0 is another layer than one that is called 0
        pooling = [] if self.pooling is None else [self.pooling]
        return json.dumps([layers, self.precision, self.probabilities, *pooling])


class RoundSpec(NamedTuple):
    """What a round of jobs computes.

    Attributes:
      samples: the first so many of the target's order.
      request: the scores.
      done: fingerprints of models whose results are known already.
    """

    samples: int
    request: Request
    done: Set[str] = frozenset()


class Job(NamedTuple):
    """One candidate; `fingerprint` where it is known."""

    name: str
    fingerprint: str | None = None


class ModelRecord(NamedTuple):
    """What loading found of a candidate; `files` that it was read from and their state, where that is known."""

    fingerprint: str
    description: Description
    preprocessing: str
    files: dict[str, list[int]]


def state_of(files: Iterable[str | Path]) -> dict[str, list[int]]:
    """The state of files, by which a change is seen: one that keeps size and date still gets a new ctime."""
    state = {}
    for name in files:
        try:
            stat = os.stat(name)
            state[str(name)] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        except OSError:
            return {}
    return state


@dataclasses.dataclass
class CandidateResult:
    """What came out of a job.

    Attributes:
      job: the job.
      layers: what came out for every layer, or why nothing did.
      reason: why there are no layers at all.
      about: the model; None where it was not loaded.
      known: it need not have been done: the fingerprint was among those that are.
      seconds: of loading that was waited for, of the forward pass, and of scoring.
      ms: milliseconds a sample of the forward pass; None where that is not known.
      zero_shot: accuracy of a zero-shot classifier's own predictions; None of other models.
      peak_memory: the most bytes that its worker process held while it ran; None where it had none.
      died: why its process ended: `time`, `memory` or `crash`; empty where it did not.
      unreadable: why the model has no fingerprint, so that nothing is remembered of it; empty where it has one.
      left_out: the reason is a condition of the user's on what the model costs.
    """

    job: Job
    layers: dict[str, ModelScores | str] = dataclasses.field(default_factory=dict)
    reason: str | None = None
    about: ModelRecord | None = None
    known: bool = False
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    ms: float | None = None
    zero_shot: float | None = None
    peak_memory: int | None = None
    died: str = ""
    unreadable: str = ""
    left_out: bool = False

    @property
    def gave_nothing(self) -> bool:
        """Whether there is no layer that could be scored, whatever the samples."""
        return self.reason is not None or all(isinstance(scores, str) for scores in self.layers.values())


class Listener(Protocol):
    """Who is told how the work goes on."""

    def starts(self, name: str) -> None:
        """Turns to a candidate."""
        ...

    def advances(self, samples: int) -> None:
        """So many samples more are done with."""
        ...
