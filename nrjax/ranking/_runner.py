"""What is done with every candidate, wherever it is done: load, extract, score. What fails is a reason."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nrjax._utils.messages import reason_of
from nrjax.errors import BrokenImage, FingerprintError
from nrjax.models import Candidates, Model, Zoo, as_model
from nrjax.ranking._cost import BatchClock, LeftOutError, check_cost
from nrjax.ranking._extraction import Extraction
from nrjax.ranking._jobs import CandidateResult, Job, Listener, ModelRecord, RoundSpec, state_of
from nrjax.ranking._samples import LabelledSamples
from nrjax.ranking._scoring import RoundScorer

Claim = Callable[[str, str], bool]
Loader = Callable[[], tuple[Any, dict[str, list[int]]]]  # gives a model, and the state of the files it was read from


class CandidateRunner:
    """Does jobs in this process, one after another; while one runs, the next one's model is read.

    Args:
      models: by name; those of a `Zoo` or of `Candidates` lie on disk and are read ahead.
      target: the samples.
      extraction: gives the features.
      fingerprints: whether to tell models apart by content, which reads all their weights once more.
      in_worker: the process is there for candidates alone: what ends a process is a reason, and every result is given
        when it is there.
    """

    def __init__(
        self, models: Mapping[str, Any], target: LabelledSamples, extraction: Extraction, *,
        fingerprints: bool = False, in_worker: bool = False,
    ):  # fmt: skip
        self._models, self._target, self._extraction = models, target, extraction
        self._fingerprints, self._in_worker = fingerprints, in_worker

    def run(self, jobs: Sequence[Job], round_spec: RoundSpec, listener: Listener) -> Iterator[CandidateResult]:
        """Results of jobs, as soon as they are known."""
        waiting = deque(jobs)
        return self.work(lambda _: waiting.popleft() if waiting else None, round_spec, listener)

    def work(
        self, next_job: Callable[[bool], Job | None], round_spec: RoundSpec, listener: Listener,
        claim: Claim | None = None,
    ) -> Iterator[CandidateResult]:  # fmt: skip
        """Results of jobs that are asked for one at a time.

        Args:
          next_job: gives the next one; called with False it may have none yet, with True None is the end.
          round_spec: samples and scores.
          listener: is told how it goes on.
          claim: whether a model, by its fingerprint, is this job's to compute, by its name; False where an equal one is
            computed elsewhere.
        """
        scorer = RoundScorer(self._target, round_spec, at_once=self._in_worker)
        done = set(round_spec.done)
        with ThreadPoolExecutor(1, thread_name_prefix="nrjax-load") as pool:
            ahead = self._begin(next_job(True), round_spec, pool)
            while ahead:
                job, load = ahead
                listener.starts(job.name)
                ahead = self._begin(next_job(False), round_spec, pool)
                yield from self._result(job, load, round_spec.samples, listener, scorer, done, claim)
                del load
                ahead = ahead or self._begin(next_job(True), round_spec, pool)
        yield from scorer.finish()

    def close(self) -> None:
        """Nothing is left behind."""

    def _begin(self, job: Job | None, round_spec: RoundSpec, pool: ThreadPoolExecutor) -> tuple[Job, Loader] | None:
        """A job and what gives its model, which is read meanwhile if it lies on disk."""
        if job is None:
            return None
        if not self._extraction.needs_model(job, round_spec.samples):
            return job, lambda: (None, {})
        if not isinstance(self._models, (Zoo, Candidates)):
            return job, lambda: (self._models[job.name], {})
        return job, pool.submit(self._read, job.name).result

    def _read(self, name: str) -> tuple[Any, dict[str, list[int]]]:
        """A model of files, and their state; none where they changed while they were read."""
        clock = time.time_ns()
        model = self._models[name]
        files = state_of(model.files) if self._fingerprints else {}
        return model, {} if any(changed >= clock for _, _, changed, _ in files.values()) else files

    def _result(
        self, job: Job, load: Loader, samples: int, listener: Listener, scorer: RoundScorer, done: set[str],
        claim: Claim | None,
    ) -> Iterator[CandidateResult]:  # fmt: skip
        """The result of a job, or those that became complete with it; `done` are fingerprints that need no result."""
        result, clock = CandidateResult(job), BatchClock()
        complete: list[CandidateResult] | None = None

        def on_batch(samples: int) -> None:
            clock.tick(samples)
            listener.advances(samples)
            result.ms = clock.ms
            if clock.tells_early:
                check_cost(self._models, result)

        try:
            model = self._loaded(result, load)
            fingerprint = result.job.fingerprint
            if fingerprint in done or (claim and fingerprint and not claim(fingerprint, job.name)):
                result.known = True
            else:
                start = time.perf_counter()
                extracted = self._extraction(
                    result.job, samples, lambda: self._as_model(self._models[job.name]) if model is None else model,
                    on_batch, scorer.expect,
                )  # fmt: skip
                result.seconds["forward"] = time.perf_counter() - start
                check_cost(self._models, result)
                del model
                listener.advances(samples - clock.samples)
                done |= {fingerprint} if fingerprint else set()
                complete = list(scorer.add(result, extracted))
        except BrokenImage:
            raise  # of the data, not of this model
        except LeftOutError as error:
            result.reason, result.left_out = str(error), True
        except SystemExit as error:
            result.reason = f"It called sys.exit({'' if error.code is None else repr(error.code)})."
        except KeyboardInterrupt:
            if not self._in_worker:  # the user's
                raise
            result.reason = "It raised KeyboardInterrupt."
        except BaseException as error:  # a panic of a library in Rust is no Exception
            result.reason = reason_of(error)
        if complete is None:
            listener.advances(samples - clock.samples)
            complete = [result]
        yield from complete  # outside of `try`: who stops it all raises GeneratorExit here, and a model above

    def _loaded(self, result: CandidateResult, load: Loader) -> Model | None:
        """The model, which is described in the result; None where it is not needed."""
        start = time.perf_counter()
        source, files = load()
        model = None if source is None else self._as_model(source)
        if model is not None:
            fingerprint = ""
            try:
                fingerprint = model.fingerprint if self._fingerprints else ""
            except FingerprintError as error:
                result.unreadable = str(error)
            result.about = ModelRecord(fingerprint, model.description, model.inputs.words(self._target.kind), files)
            result.job = result.job._replace(fingerprint=fingerprint or None)
        result.seconds["load"] = time.perf_counter() - start
        return model

    def _as_model(self, source: Any) -> Model:
        """A model that knows the target's classes."""
        model = as_model(source)
        target = self._target.target
        return model.with_classes(target.classes) if target.task == "classification" else model
