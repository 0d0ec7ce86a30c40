"""Scores of candidates on one number of samples."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from nrjax.models import Extracted
from nrjax.ranking._jobs import CandidateResult, RoundSpec
from nrjax.ranking._samples import LabelledSamples
from nrjax.scoring.model_features import checked_or_reason
from nrjax.scoring.model_scores import ModelScores
from nrjax.scoring.scorer import ModelScorer


class RoundScorer:
    """Scores the layers of candidates; on accelerators models of one shape wait for each other.

    Args:
      target: the samples.
      round_spec: how many of them, and the scores.
      at_once: give every result when it is there, though a device is busier otherwise.
    """

    def __init__(self, target: LabelledSamples, round_spec: RoundSpec, *, at_once: bool):
        rows = np.sort(target.order[: round_spec.samples])
        self._samples, self._at_once, self._target = round_spec.samples, at_once, target.target.take(rows)
        self._scorer = ModelScorer(self._target, round_spec.request)
        self._open: dict[str, tuple[CandidateResult, list[str]]] = {}  # results, and the layers that they wait for

    def add(self, result: CandidateResult, extracted: Extracted) -> Iterator[CandidateResult]:
        """Takes the features of a candidate, and gives the results that are complete."""
        start, name = time.perf_counter(), result.job.name
        if extracted.predictions is not None and self._target.task == "classification":
            result.zero_shot = float(np.mean(extracted.predictions == self._target.values))
        waiting = []
        for layer, features in extracted.layers.items():
            checked = features if isinstance(features, str) else checked_or_reason(
                name, lambda features=features: features, self._samples
            )  # fmt: skip
            result.layers[layer] = checked if isinstance(checked, str) else ""  # the scores take its place
            if not isinstance(checked, str):
                self._scorer.add((name, layer), checked, extracted.probabilities)
                waiting.append(layer)
        self._open[name] = result, waiting
        ready = list(self._scorer.finish() if self._at_once else self._scorer.ready())
        result.seconds["score"] = time.perf_counter() - start
        yield from self._complete(ready)

    def expect(self, widths: list[int]) -> None:
        """Begins to compile what features of these widths need, while the forward pass goes on."""
        for width in widths:
            self._scorer.expect((self._samples, width))

    def finish(self) -> Iterator[CandidateResult]:
        """The results that are left."""
        yield from self._complete(self._scorer.finish())

    def _complete(self, ready: Iterable[tuple[Any, ModelScores]]) -> Iterator[CandidateResult]:
        for (name, layer), scores in ready:
            result, waiting = self._open[name]
            result.layers[layer] = scores
            waiting.remove(layer)
        for name in [name for name, (_, waiting) in self._open.items() if not waiting]:
            yield self._open.pop(name)[0]
