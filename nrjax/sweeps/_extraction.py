"""What is done with every candidate, wherever it is done: load, extract, score. What fails is a reason."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nrjax._utils.messages import reason_of
from nrjax.datasets import BrokenImage
from nrjax.models import Candidates, Extracted, Features, FingerprintError, Model, Zoo, as_model
from nrjax.scoring.checks import checked_or_reason
from nrjax.scoring.model_scores import ModelScorer, ModelScores
from nrjax.sweeps._feature_cache import FeatureCache
from nrjax.sweeps._jobs import CandidateResult, ExtractionSpec, Job, Listener, ModelRecord, RoundSpec, state_of
from nrjax.sweeps._samples import LabelledSamples


class CandidateRunner:
    """Does jobs, one after another; while one runs, the next one's model is read.

    Args:
      models: by name; those of a `Zoo` or of `Candidates` lie on disk and are read ahead.
      target: the samples.
      work: what to do.
      kept: where features are kept for later; None keeps none.
      fingerprints: whether to tell models apart by content, which reads all their weights once more.
      in_worker: the process is there for candidates alone: what ends a process is a reason, and every result is given
        when it is there, though models that wait for each other keep a device busier.
    """

    def __init__(
        self, models: Mapping[str, Any], target: LabelledSamples, work: ExtractionSpec, *,
        kept: FeatureCache | None = None, fingerprints: bool = False, in_worker: bool = False,
    ):  # fmt: skip
        self._models, self._target, self._work, self._kept = models, target, work, kept
        self._fingerprints, self._in_worker = fingerprints, in_worker
        self._features: dict[tuple[int, int], Features] = {}

    def __call__(
        self, jobs: Callable[[bool], Job | None], asked: RoundSpec, listener: Listener
    ) -> Iterator[CandidateResult]:
        """Results of jobs, as soon as they are known.

        Args:
          jobs: gives the next one; called with False it may have none yet, with True None is the end.
          asked: what to do.
          listener: is told how it goes on.
        """
        scoring = _Scoring(self._target, asked, self._in_worker)
        seen: set[str] = set()  # fingerprints of models that were done in this round
        with ThreadPoolExecutor(1, thread_name_prefix="nrjax-load") as pool:
            ahead = self._begun(jobs(True), asked, pool)
            while ahead:
                job, loaded = ahead
                listener.starts(job.name)
                ahead = self._begun(jobs(False), asked, pool)
                yield from self._done(job, loaded, asked, listener, scoring, seen)
                del loaded
                ahead = ahead or self._begun(jobs(True), asked, pool)
        yield from scoring.rest()

    def _begun(
        self, job: Job | None, asked: RoundSpec, pool: ThreadPoolExecutor
    ) -> tuple[Job, Callable[[], Any]] | None:
        """A job and what gives its model, which is read meanwhile if it lies on disk."""
        if job is None:
            return None
        if self._kept and job.fingerprint and self._kept.samples(job.fingerprint) >= asked.samples:
            return job, lambda: (None, {})
        if not isinstance(self._models, (Zoo, Candidates)):
            return job, lambda: (self._models[job.name], {})
        return job, pool.submit(self._read, job.name).result

    def _read(self, name: str) -> tuple[Any, dict[str, list[int]]]:
        """A model of files, and how those were; nothing of them where they changed while they were read."""
        clock = time.time_ns()
        model = self._models[name]
        files = state_of(model.files) if self._fingerprints else {}
        return model, {} if any(changed >= clock for _, _, changed, _ in files.values()) else files

    def _done(
        self, job: Job, loaded: Callable[[], Any], asked: RoundSpec, listener: Listener, scoring: "_Scoring",
        seen: set[str],
    ) -> Iterator[CandidateResult]:  # fmt: skip
        result, advanced = CandidateResult(job), 0

        def on_batch(samples: int) -> None:
            nonlocal advanced
            advanced += samples
            listener.advances(samples)

        try:
            start = time.perf_counter()
            found, files = loaded()
            model = None if found is None else as_model(found)
            del found
            if model is not None:
                fingerprint, result.unreadable = self._fingerprint(model)
                result.about = ModelRecord(fingerprint, model.description, model.inputs.preprocessing, files)
                result.job = job._replace(fingerprint=fingerprint or None)
            result.seconds["load"] = time.perf_counter() - start
            if result.job.fingerprint in asked.done or result.job.fingerprint in seen:
                result.known = True
            else:
                start = time.perf_counter()
                extracted = self._extracted(result.job, asked.samples, model, on_batch, scoring.expect)
                result.seconds["forward"] = time.perf_counter() - start
                del model
                listener.advances(asked.samples - advanced)
                if result.job.fingerprint:
                    seen.add(result.job.fingerprint)
                yield from scoring(result, extracted)
                return
        except (BrokenImage, GeneratorExit):
            raise  # of the data, or of who stops it all, not of this model
        except SystemExit as error:
            result.reason = f"It called sys.exit({'' if error.code is None else repr(error.code)})."
        except KeyboardInterrupt:
            if not self._in_worker:  # the user's
                raise
            result.reason = "It raised KeyboardInterrupt."
        except BaseException as error:  # a panic of a library in Rust is no Exception
            result.reason = reason_of(error)
        listener.advances(asked.samples - advanced)
        yield result

    def _fingerprint(self, model: Model) -> tuple[str, str]:
        """Of a model, or why it has none."""
        try:
            return model.fingerprint if self._fingerprints else "", ""
        except FingerprintError as error:
            return "", str(error)

    def _extracted(
        self, job: Job, samples: int, model: Model | None, on_batch: Callable[[int], None],
        on_widths: Callable[[list[int]], None],
    ) -> Extracted:  # fmt: skip
        """Features of the first samples, some of which may be kept already; in the order in which they lie."""
        keep = self._kept if job.fingerprint else None
        before = keep.read(job.fingerprint or "") if keep else None
        if before is None or before.samples < samples:
            if model is None:  # what was kept cannot be read after all
                model = as_model(self._models[job.name])
            part = before.samples if before else 0, samples
            if part not in self._features:  # models of one round share what was made of its samples
                self._features = {part: Features(
                    self._target.kind, self._target.some(*part), self._work.layers, self._work.batch_size,
                    self._work.precision, self._work.probabilities,
                )}  # fmt: skip
            try:
                new = self._features[part](model, on_batch, on_widths)
            finally:
                model.release()
            if part == (0, len(self._target)):  # which came as they lie
                if keep:
                    keep.write(job.fingerprint or "", samples, _rows(new, self._target.order))
                return new
            extracted = _joined(before.extracted, new) if before else new
            if keep:
                keep.write(job.fingerprint or "", samples, extracted)
        else:
            extracted = _rows(before.extracted, slice(samples))
        return _rows(extracted, np.argsort(self._target.order[:samples]))


class _Scoring:
    """Scores of models on one number of samples; on accelerators they may wait for each other."""

    def __init__(self, target: LabelledSamples, asked: RoundSpec, at_once: bool):
        rows = np.sort(target.order[: asked.samples])
        self._samples, self._at_once = asked.samples, at_once
        self._evaluator = ModelScorer(target.scored_by.take(rows), asked.request)
        self._open: dict[str, tuple[CandidateResult, list[str]]] = {}

    def __call__(self, done: CandidateResult, extracted: Extracted) -> Iterator[CandidateResult]:
        start, name = time.perf_counter(), done.job.name
        waiting = []
        for layer, features in extracted.layers.items():
            checked = features if isinstance(features, str) else checked_or_reason(
                name, lambda features=features: features, self._samples
            )  # fmt: skip
            done.layers[layer] = checked if isinstance(checked, str) else ""  # in its place
            if not isinstance(checked, str):
                self._evaluator.add((name, layer), checked, extracted.probabilities)
                waiting.append(layer)
        self._open[name] = done, waiting
        ready = list(self._evaluator.finish() if self._at_once else self._evaluator.ready())
        done.seconds["score"] = time.perf_counter() - start
        yield from self._closed(ready)

    def expect(self, widths: list[int]) -> None:
        """Begins to compile what features of these widths need, while the forward pass goes on."""
        for width in widths:
            self._evaluator.expect((self._samples, width))

    def rest(self) -> Iterator[CandidateResult]:
        yield from self._closed(self._evaluator.finish())

    def _closed(self, ready: Iterable[tuple[Any, ModelScores]]) -> Iterator[CandidateResult]:
        for (name, layer), evaluated in ready:
            done, waiting = self._open[name]
            done.layers[layer] = evaluated
            waiting.remove(layer)
        for name in [name for name, (_, waiting) in self._open.items() if not waiting]:
            yield self._open.pop(name)[0]


def _rows(extracted: Extracted, rows: Any) -> Extracted:
    def of(array: Any) -> Any:
        return array[rows] if isinstance(array, np.ndarray) else array

    return Extracted({layer: of(array) for layer, array in extracted.layers.items()}, of(extracted.probabilities))


def _joined(first: Extracted, second: Extracted) -> Extracted:
    def of(one: Any, other: Any) -> Any:
        both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        return np.concatenate([one, other]) if both else other

    layers = {layer: of(first.layers[layer], array) for layer, array in second.layers.items()}
    return Extracted(layers, of(first.probabilities, second.probabilities))
