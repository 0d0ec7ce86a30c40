"""A sweep while it goes on: rounds of jobs, what the store has of them, who is still in the race."""

import dataclasses
import math
import uuid
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nrjax._version import __version__
from nrjax.models import FingerprintError, code_of, digest_of
from nrjax.scoring.model_scores import Request
from nrjax.scoring.scores import ScoreKind
from nrjax.sweeps._best_layer import best_of
from nrjax.sweeps._engines import Engine
from nrjax.sweeps._feature_cache import FeatureCache
from nrjax.sweeps._identity import fingerprint_of, identity_of, key_of
from nrjax.sweeps._jobs import CandidateResult, ExtractionSpec, Job, RoundSpec
from nrjax.sweeps._progress import Progress
from nrjax.sweeps._race import Standing, dropped, rounds
from nrjax.sweeps._samples import LabelledSamples
from nrjax.sweeps._store import Store

ROUNDING = 1e-6  # of float32, relative to a value


class SweepRunner:
    """A sweep while it goes on."""

    def __init__(
        self, candidates: Mapping[str, Any], target: LabelledSamples, work: ExtractionSpec, request: Request,
        store: Store | None, kept: FeatureCache | None, engine: Engine, progress: Progress,
        retry_failed: bool | Collection[str], *, conditions: str, kept_for_the_race: bool,
    ):  # fmt: skip
        """Begins a sweep; `conditions` are the engine and its limits, under which a candidate may have died."""
        self._target, self._work, self._request = target, work, request
        self._store, self._kept, self._engine, self._progress = store, kept, engine, progress
        self._kept_for_the_race = kept_for_the_race
        self.computed = self.stored = 0
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
            store.forget_failures(target.fingerprint, [one for name in names if (one := self._identities[name])])
        self._died = store.failures(target.fingerprint) if store else {}

    def race(self, top: int, level: float) -> tuple[dict[str, CandidateResult], dict[str, Standing]]:
        """Results on all samples of those that may come among the first, and what became of the others."""
        alive, failed, lost = list(self._keys), dict[str, CandidateResult](), dict[str, Standing]()
        sizes = rounds(len(self._target), len(self._target.classes))
        by = self._request.by
        quick = dataclasses.replace(self._request, scores=(by,), confidence=True)
        comparisons = len(alive) * len(sizes)
        for samples in sizes[:-1]:
            if len(alive) <= top:
                break
            found = self.round(alive, samples, quick)
            best, _, _ = best_of(found, quick)
            failed |= {name: done for name, done in found.items() if done.gave_nothing}
            out = dropped(
                best, by.name, by.sign, samples=samples, total=len(self._target), top=top, level=level,
                comparisons=comparisons, error=_error(self._request, [one.values[by.name] for one in best.values()]),
            )  # fmt: skip
            lost |= out
            for name in out:
                fingerprint = found[name].job.fingerprint
                if self._kept and self._kept_for_the_race and fingerprint:
                    self._kept.drop(fingerprint)
            alive = [name for name in alive if name not in lost and name not in failed]
        return self.round(alive, len(self._target)) | failed, lost

    def round(self, names: Sequence[str], samples: int, request: Request | None = None) -> dict[str, CandidateResult]:
        """Results of candidates on the first so many samples, from the store or computed now."""
        request = request or self._request
        there = self._stored(samples, request)
        found: dict[str, CandidateResult] = {}
        jobs: list[Job] = []
        equal: list[Job] = []  # to one of these jobs
        sent = set()  # their fingerprints
        for name in names:
            fingerprint = self._fingerprints.get(name)
            died = self._died.get(self._identities.get(name) or "")
            if fingerprint in there:
                found[name] = dataclasses.replace(there[fingerprint], job=Job(name, fingerprint))
            elif died:
                found[name] = CandidateResult(Job(name), reason=f"{died[1]} It was not tried again; retry_failed does.")
            else:
                described = bool(fingerprint and self._store and self._store.about([fingerprint]))
                if fingerprint and fingerprint in sent:
                    equal.append(Job(name, fingerprint))
                else:
                    jobs.append(Job(name, fingerprint if described else None))  # else it is loaded, if only for that
                sent.add(fingerprint)
        self.stored += len(found)
        self._progress.round(len(jobs), len(found), samples)
        while jobs:
            asked = RoundSpec(samples, request, frozenset(there))
            for done in self._engine.run(jobs, asked, self._progress):
                name, fingerprint = done.job
                if fingerprint:
                    self._fingerprints[name] = fingerprint
                if done.known and fingerprint:
                    equal.append(done.job)
                    continue
                found[name] = done
                self.computed += 1
                self._remember(done, samples, request)
                if done.about is None and fingerprint and self._store:  # its features were kept
                    done.about = self._store.about([fingerprint]).get(fingerprint)
                self._progress.done(done, request.by)
                if fingerprint and done.layers:
                    there[fingerprint] = done
            jobs = []
            for job in equal:
                if job.fingerprint in there:
                    found[job.name] = dataclasses.replace(there[job.fingerprint], job=job)
                    self.stored += 1
                    self._progress.done(found[job.name], request.by)
                else:  # the one that it equals gave no result after all
                    jobs.append(job._replace(fingerprint=None))
            equal = []
        return {name: found[name] for name in names}

    def _stored(self, samples: int, request: Request) -> dict[str, CandidateResult]:
        if self._store is None:
            return {}
        sampled = [one.name for one in request.scores if request.confidence and one.name in (request.by.name, "probe")]
        layers = self._store.results(self._target.fingerprint, samples, self._work.asked, _settings(request), sampled)
        about = self._store.about(layers)
        return {
            fingerprint: CandidateResult(Job("", fingerprint), of_layers, about=about.get(fingerprint))
            for fingerprint, of_layers in layers.items()
        }

    def _remember(self, done: CandidateResult, samples: int, request: Request) -> None:
        name, fingerprint = done.job
        if done.unreadable and (self._store or self._kept):
            warnings.warn(
                f"{name}: nothing of it is stored, for it may be another model the next time: {done.unreadable}. "
                "from_embedder(..., version=) says that it is the same.", RuntimeWarning, stacklevel=2,
            )  # fmt: skip
        if self._store is None:
            return
        identity = self._identities[name]
        if done.died and identity:
            self._store.add_failure(identity, self._target.fingerprint, done.died, done.reason or "")
        elif done.layers and fingerprint:
            about = done.about or self._store.about([fingerprint])[fingerprint]
            self._store.add(
                self._keys[name], about, self._target.fingerprint, samples, self._work.asked, _settings(request),
                done.layers, done.seconds,
            )  # fmt: skip


def _error(request: Request, values: Sequence[float]) -> float:
    """By which the values of the score that orders may be off."""
    by, largest = request.by, max(map(abs, values), default=0.0)
    if by.name == "silhouette":
        return request.settings.tolerance
    if not math.isfinite(by.tolerance):  # of somebody's own score nobody says more
        return ROUNDING * largest
    return by.tolerance * (largest if by.relative else 1.0)


def _settings(request: Request) -> dict[str, str]:
    """What decides the numbers of each score, as text; a mean place is among models, and is not kept."""
    own = str(dataclasses.asdict(request.settings))
    return {
        one.name: f"nrjax {__version__} {own if one.name == 'silhouette' else _code(one)}"
        for one in request.scores
        if one.reads != "scores"
    }


def _code(kind: ScoreKind) -> str:
    """Of a score, which may be anybody's."""
    try:
        return digest_of(code_of(kind.kernel, kind.estimate))[:16]
    except FingerprintError:
        return uuid.uuid4().hex  # like no other
