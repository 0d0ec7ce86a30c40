"""The rounds of a sweep: jobs of the candidates whose results the store lacks, and who is still in the race."""

import dataclasses
import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from nrjax.ranking import CandidateResult, Job, Plan, Progress, RoundSpec, best_layers, unless_left_out
from nrjax.scoring.model_scores import Request
from nrjax.sweeps._engines import Engine
from nrjax.sweeps._feature_cache import FeatureCache
from nrjax.sweeps._identity import fingerprint_of, identity_of, key_of
from nrjax.sweeps._race import Standing, dropped, round_sizes
from nrjax.sweeps._score_versions import versions_of
from nrjax.sweeps._store import Store

COSTS = ("ms", "zero_shot", "peak_memory")  # fields of a result that are stored beside its seconds
ROUNDING = 1e-6  # of float32, relative to a value


class SweepRounds:
    """A sweep while it goes on.

    Args:
      plan: candidates, samples and scores.
      store: where results are kept.
      cache: where features are kept.
      engine: does the jobs.
      progress: is told how it goes on.
      retry_failed: candidates that took their process with them and are tried again; True for all.
      conditions: the engine and its limits, under which a candidate may have died.
      cache_of_the_race: the cache ends with the race.

    Attributes:
      computed: results that were computed now.
      stored: results that were there already.
    """

    def __init__(
        self, plan: Plan, store: Store | None, cache: FeatureCache | None, engine: Engine, progress: Progress,
        retry_failed: bool | Collection[str], *, conditions: str, cache_of_the_race: bool,
    ):  # fmt: skip
        self._plan, self._target = plan, plan.target
        self._store, self._cache, self._engine, self._progress = store, cache, engine, progress
        self._cache_of_the_race = cache_of_the_race
        self.computed = self.stored = 0
        candidates = plan.candidates
        self._keys = {name: key_of(candidates, name) for name in candidates}
        self._fingerprints = {
            name: fingerprint
            for name, key in self._keys.items()
            if store and (fingerprint := fingerprint_of(candidates, name, store, key))
        }
        self._identities = {
            name: identity_of(candidates, name, self._keys[name], self._fingerprints.get(name), conditions)
            for name in (candidates if store else ())
        }
        if store and retry_failed:
            names = self._identities if retry_failed is True else self._identities.keys() & set(retry_failed)
            identities = [identity for name in names if (identity := self._identities[name])]
            store.forget_failures(self._target.fingerprint, identities)
        self._failures = store.failures(self._target.fingerprint) if store else {}

    def all(self) -> tuple[dict[str, CandidateResult], dict[str, Standing]]:
        """Results of all candidates on all samples; nobody stops early."""
        return self._round(list(self._keys), len(self._target), self._plan.request), {}

    def race(self, top: int, level: float) -> tuple[dict[str, CandidateResult], dict[str, Standing]]:
        """Results on all samples of those that may come among the first; the others with their standing."""
        names, failed, stopped = list(self._keys), dict[str, CandidateResult](), dict[str, Standing]()
        sizes = round_sizes(len(self._target), self._target.target.n_classes)
        by = self._plan.request.by
        request = dataclasses.replace(self._plan.request, scores=(by,), confidence=True)
        comparisons = len(names) * len(sizes)
        for samples in sizes[:-1]:
            if len(names) <= top:
                break
            results = self._round(names, samples, request)
            scores = best_layers(results, request).scores
            failed |= {name: result for name, result in results.items() if result.gave_nothing}
            error = _error(self._plan.request, [model.values[by.name] for model in scores.values()])
            stopped_now = dropped(
                scores, by.name, by.sign, samples=samples, total=len(self._target), top=top, level=level,
                comparisons=comparisons, error=error,
            )  # fmt: skip
            stopped |= stopped_now
            for name in stopped_now:
                fingerprint = results[name].job.fingerprint
                if self._cache and self._cache_of_the_race and fingerprint:
                    self._cache.drop(fingerprint)
            names = [name for name in names if name not in stopped and name not in failed]
        return self._round(names, len(self._target), self._plan.request) | failed, stopped

    def _round(self, names: Sequence[str], samples: int, request: Request) -> dict[str, CandidateResult]:
        """Results of candidates on the first samples of the target's order, from the store or computed now."""
        stored = self._stored(samples, request)
        results: dict[str, CandidateResult] = {}
        waiting: list[Job] = []
        copies: list[Job] = []  # of models that have a job already
        with_job: set[str] = set()  # their fingerprints
        for name in names:
            fingerprint = self._fingerprints.get(name)
            failure = self._failures.get(self._identities.get(name) or "")
            if fingerprint in stored:
                results[name] = self._as_named(stored[fingerprint], Job(name, fingerprint))
            elif failure:
                reason = f"{failure[1]} It was not tried again; retry_failed tries it."
                results[name] = CandidateResult(Job(name), reason=reason)
            elif fingerprint in with_job:
                copies.append(Job(name, fingerprint))
            else:
                is_described = bool(fingerprint and self._store and self._store.about([fingerprint]))
                # A job without a fingerprint loads its model, if only to describe it.
                waiting.append(Job(name, fingerprint if is_described else None))
                with_job |= {fingerprint} if fingerprint else set()
        self.stored += len(results)
        self._progress.round(len(waiting), len(results), samples)
        while waiting:
            copies += list(self._computed(waiting, samples, request, stored, results))
            waiting = []
            for job in copies:
                if job.fingerprint in stored:
                    results[job.name] = self._as_named(stored[job.fingerprint], job)
                    self.stored += 1
                    self._progress.done(results[job.name], request.by)
                else:  # the model that it equals gave no result
                    waiting.append(job._replace(fingerprint=None))
            copies = []
        return {name: results[name] for name in names}

    def _as_named(self, result: CandidateResult, job: Job) -> CandidateResult:
        """A result of an equal model under a candidate's name."""
        return unless_left_out(self._plan.candidates, dataclasses.replace(result, job=job))

    def _computed(
        self, jobs: Sequence[Job], samples: int, request: Request, stored: dict[str, CandidateResult],
        results: dict[str, CandidateResult],
    ) -> Iterator[Job]:  # fmt: skip
        """Adds the results of jobs to both; gives the jobs of models that have a result already."""
        round_spec = RoundSpec(samples, request, frozenset(stored))
        for result in self._engine.run(jobs, round_spec, self._progress):
            name, fingerprint = result.job
            if fingerprint:
                self._fingerprints[name] = fingerprint
            if result.known and fingerprint:
                yield result.job
                continue
            results[name] = result
            self.computed += 1
            self._remember(result, samples, request)
            if result.about is None and fingerprint and self._store:  # its features were in the cache
                result.about = self._store.about([fingerprint]).get(fingerprint)
            self._progress.done(result, request.by)
            if fingerprint and result.layers:
                stored[fingerprint] = result

    def _stored(self, samples: int, request: Request) -> dict[str, CandidateResult]:
        """Results that the store has, by fingerprint."""
        if self._store is None:
            return {}
        with_influences = [
            kind.name for kind in request.scores if request.confidence and kind.name in (request.by.name, "probe")
        ]  # fmt: skip
        extraction = self._target.fingerprint, samples, self._plan.extraction.key
        layers = self._store.results(*extraction, versions_of(request), with_influences)
        about, costs = self._store.about(layers), self._store.costs(*extraction)

        def known(fingerprint: str) -> CandidateResult:
            stored: dict[str, Any] = {field: costs.get(fingerprint, {}).get(field) for field in COSTS}
            return CandidateResult(
                Job("", fingerprint), layers[fingerprint], about=about.get(fingerprint), **stored
            )  # fmt: skip

        return {fingerprint: known(fingerprint) for fingerprint in layers}

    def _remember(self, result: CandidateResult, samples: int, request: Request) -> None:
        name, fingerprint = result.job
        if result.unreadable and (self._store or self._cache):
            warnings.warn(
                f"{name}: its results are not stored, because it may be another model next time: {result.unreadable}. "
                "from_embedder(..., version=) states that it is the same.", RuntimeWarning, stacklevel=2,
            )  # fmt: skip
        if self._store is None:
            return
        identity = self._identities[name]
        if result.died and identity:
            self._store.add_failure(identity, self._target.fingerprint, result.died, result.reason or "")
        elif result.layers and fingerprint:
            about = result.about or self._store.about([fingerprint])[fingerprint]
            self._store.add(
                self._keys[name], about, self._target.fingerprint, samples, self._plan.extraction.key,
                versions_of(request), result.layers,
                {**result.seconds, **{field: getattr(result, field) for field in COSTS}},
            )  # fmt: skip


def _error(request: Request, values: Sequence[float]) -> float:
    """By which the values of the score that orders may be off."""
    by, largest = request.by, max(map(abs, values), default=0.0)
    if by.name == "silhouette":
        return request.settings.tolerance
    if not math.isfinite(by.tolerance):  # of a registered score nothing more is known
        return ROUNDING * largest
    return by.tolerance * (largest if by.relative else 1.0)
