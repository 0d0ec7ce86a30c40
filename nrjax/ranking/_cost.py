"""What the forward pass of a candidate costs on this machine."""

import dataclasses
import time
from collections.abc import Mapping

from nrjax.models import Candidates
from nrjax.ranking._jobs import CandidateResult

STEADY_MS = 100.0  # of a second batch: what is shorter may be a hiccup, and the others take no longer


class LeftOutError(Exception):
    """A candidate costs more than the user wants."""


def check_cost(models: Mapping[str, object], result: CandidateResult) -> None:
    """Raises LeftOutError, with the reason, where a condition of the user's on what candidates cost does not hold."""
    if isinstance(models, Candidates) and result.about is not None:
        reason = models.why_left_out(result.job.name, result.about.description, result.ms)
        if reason:
            raise LeftOutError(reason)


def unless_left_out(models: Mapping[str, object], result: CandidateResult) -> CandidateResult:
    """A result that is known already, or that the candidate is left out for what it cost."""
    try:
        check_cost(models, result)
    except LeftOutError as error:
        return dataclasses.replace(result, layers={}, reason=str(error), left_out=True)
    return result


class BatchClock:
    """Times batches.

    Attributes:
      samples: of all batches.
      tells_early: the second batch, which is done just now, took long enough to tell what others take.
    """

    def __init__(self):
        self.tells_early = False
        self._batches = 0
        self._first = self._last = 0.0
        self.samples = self._samples_of_first = 0

    def tick(self, samples: int) -> None:
        """A batch of so many samples is done."""
        self._last = time.perf_counter()
        if not self.samples:
            self._first, self._samples_of_first = self._last, samples
        self.samples += samples
        self._batches += 1
        self.tells_early = self._batches == 2 and 1e3 * (self._last - self._first) > STEADY_MS

    @property
    def ms(self) -> float | None:
        """Milliseconds a sample, preprocessing included; without the first batch, which compiles.

        It is right after two batches and after all of them: between, models may be a batch ahead. None where there was
        no second batch.
        """
        counted = self.samples - self._samples_of_first
        return 1e3 * (self._last - self._first) / counted if counted else None
