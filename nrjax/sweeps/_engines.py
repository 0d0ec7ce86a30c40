"""Where jobs are done: in this process, or in others."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from nrjax.sweeps._extraction import CandidateRunner
from nrjax.sweeps._jobs import CandidateResult, Job, Listener, RoundSpec


class Engine(Protocol):
    """Does jobs, wherever; every job ends in one result, whatever happens to who does it."""

    def run(self, jobs: Sequence[Job], asked: RoundSpec, listener: Listener) -> Iterator[CandidateResult]:
        """Results as they come, in any order."""
        ...

    def close(self) -> None:
        """Ends what was begun, at once."""
        ...


class Inline:
    """In this process, one after another: nothing is isolated, and nothing has to be copied."""

    def __init__(self, worker: CandidateRunner):
        self._worker = worker

    def run(self, jobs: Sequence[Job], asked: RoundSpec, listener: Listener) -> Iterator[CandidateResult]:
        """Results as they come."""
        waiting = deque(jobs)
        return self._worker(lambda _: waiting.popleft() if waiting else None, asked, listener)

    def close(self) -> None:
        """Nothing was begun."""
