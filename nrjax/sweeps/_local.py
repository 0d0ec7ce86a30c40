"""Worker processes of this machine, one a device: one that dies, hangs or grows costs its model only.

Whoever was in a worker's hands when it died is suspected: the candidate that ran, and the one that was read ahead. Both
are tried again, each alone, and only a candidate whose process died `TRIES` times is given up; or more often, where it
was killed from outside, which says little of the candidate, unless it had taken most of the memory.
"""

import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from nrjax.ranking import CandidateResult, ExtractionSpec, Job, LabelledSamples, Listener, RoundSpec
from nrjax.sweeps._owner import temporary_path
from nrjax.sweeps._setup import Setup
from nrjax.sweeps._worker_process import WorkerProcess

TRIES, TRIES_KILLED = 3, 10  # deaths of its process until a candidate is given up; and if somebody killed it
Claim = Callable[[str, str], bool]  # of a fingerprint by a name
POLL = 0.1  # seconds between looks at time and memory


class Local:
    """Worker processes.

    Args:
      models: by name; what is not importable goes over by value.
      target: the samples.
      spec: what is taken of every model.
      cache: where features are kept.
      workers: processes; None starts one for every accelerator, or one.
      time_limit: seconds a model, from its turn to its result.
      memory_limit: bytes that a process and its children may take.
      environment: variables of worker processes that this process has not.
      programs: folder of compiled programs, which somebody else removes; None makes one.
    """

    def __init__(
        self, models: Mapping[str, object], target: LabelledSamples, spec: ExtractionSpec, *,
        cache: object = None, workers: int | None = None,
        time_limit: float | None = None, memory_limit: int | None = None,
        environment: Mapping[str, str] | None = None, programs: Path | None = None,
    ):  # fmt: skip
        self._time_limit, self._memory_limit, self._wanted = time_limit, memory_limit, workers
        self._environment = dict(environment or {})
        self._programs, self._owns_programs = programs or temporary_path(), programs is None
        self._workers: list[WorkerProcess] = []
        self._failed_starts, self._devices = 0, 1  # processes in a row that died before they began
        self._setup = Setup(models, target, spec, cache)

    def run(
        self, jobs: Sequence[Job], round_spec: RoundSpec, listener: Listener, others_claim: Claim | None = None
    ) -> Iterator[CandidateResult]:  # fmt: skip
        """Results as they come; every job has one.

        Models that are equal are computed once: who comes first with a fingerprint claims it. `others_claim` asks other
        machines.
        """
        claimed: dict[str, str] = {}  # names by fingerprint; who is tried again claims it again

        def claim(fingerprint: str, name: str) -> bool:
            is_first = claimed.setdefault(fingerprint, name) == name
            return is_first and (others_claim is None or others_claim(fingerprint, name))

        for job in jobs:
            if job.name in self._setup.refused:
                listener.advances(round_spec.samples)
                yield CandidateResult(job, reason=self._setup.refused[job.name])
        waiting, alone = deque(job for job in jobs if job.name not in self._setup.refused), deque[Job]()
        deaths: Counter[str] = Counter()
        open_jobs = len(waiting)
        for worker in self._workers:
            worker.begin_round(round_spec)
        while open_jobs:
            self._devices = max([self._devices, *(worker.devices for worker in self._workers)])
            known = any(worker.devices for worker in self._workers)  # the first one says how many there are
            self._staff(min(open_jobs, self._wanted or self._devices) if known else 1, round_spec)
            for worker in list(self._workers):
                for result in worker.hear(listener, waiting, alone, claim):
                    open_jobs -= 1
                    yield result
                if worker.is_gone:  # what it said before was heard
                    for result in self._end(worker, deaths, waiting, alone):
                        open_jobs -= 1
                        yield result
                elif worker.overdue(self._time_limit, self._memory_limit):
                    worker.kill()
            wait([worker.connection for worker in self._workers], POLL)
        for worker in self._workers:
            worker.end_round()

    def _staff(self, workers: int, round_spec: RoundSpec) -> None:
        """Starts processes until there are so many."""
        while len(self._workers) < workers:
            taken = {worker.place for worker in self._workers}
            place = next(i for i in range(workers) if i not in taken)
            device = place % self._devices if self._devices > 1 else None
            worker = WorkerProcess(self._setup.files, self._programs, device, place, self._environment)
            worker.begin_round(round_spec)
            self._workers.append(worker)

    def _end(
        self, worker: WorkerProcess, deaths: Counter[str], waiting: deque[Job], alone: deque[Job]
    ) -> Iterator[CandidateResult]:
        """The results of candidates that a dead process had, if they are not tried again."""
        self._workers.remove(worker)
        ending = worker.wait()
        suspects = worker.suspects()
        if worker.devices:
            self._failed_starts = 0
        else:
            self._failed_starts += 1
            if self._failed_starts >= (TRIES_KILLED if worker.was_killed else TRIES):
                raise ChildProcessError(f"Worker processes do not start. {ending}")
        cause = worker.broke
        if cause == "time" and worker.running:  # it will not be faster
            ran, *others = suspects
            waiting.extendleft(others)
            yield CandidateResult(
                ran, reason=f"It took longer than {self._time_limit:g} s, the time limit.", died=cause
            )
            return
        for job in suspects:
            deaths[job.name] += 1
            if cause == "memory" and worker.finished:
                alone.appendleft(job)  # others may have leaked it: this one comes first in a process of its own
            elif len(suspects) == 1 and cause == "memory":
                assert self._memory_limit is not None
                reason = f"It took more than {self._memory_limit / 1e9:.3g} GB, the memory limit."
                yield CandidateResult(job, reason=reason, died=cause)
            elif len(suspects) == 1 and deaths[job.name] >= (TRIES_KILLED if worker.was_killed else TRIES):
                yield CandidateResult(job, reason=f"Its process died {deaths[job.name]} times. {ending}", died="crash")
            else:
                alone.append(job)

    def close(self) -> None:
        """Ends all processes, at once."""
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._workers = []
        self._setup.close()
        if self._owns_programs:
            shutil.rmtree(self._programs, ignore_errors=True)
