"""Where jobs are done: in this process (`ranking.CandidateRunner`), or in others."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from nrjax.ranking import CandidateResult, Job, Listener, RoundSpec


class Engine(Protocol):
    """Does jobs, wherever; every job ends in one result, whatever happens to who does it."""

    def run(self, jobs: Sequence[Job], round_spec: RoundSpec, listener: Listener) -> Iterator[CandidateResult]:
        """Results as they come, in any order."""
        ...

    def close(self) -> None:
        """Ends what was begun, at once."""
        ...
