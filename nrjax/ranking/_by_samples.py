"""Scores of ranked models on parts of the samples: what fewer labels would have said."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nrjax._utils.memory import shared_devices
from nrjax.datasets import without_news
from nrjax.ranking._best_layer import best_layers
from nrjax.ranking._extraction import Extraction
from nrjax.ranking._jobs import Job, RoundSpec
from nrjax.ranking._progress import progress_of
from nrjax.ranking._runner import CandidateRunner
from nrjax.results import ScoredModel
from nrjax.scoring.build_ranking import build_ranking

if TYPE_CHECKING:
    from nrjax.ranking._plan import Plan

PARTS = (8, 4, 2)  # of the samples: an eighth, a quarter, a half
FEWEST, FEWEST_A_CLASS = 50, 5  # samples that a part has at least


def scores_by_samples(plan: "Plan", names: Sequence[str]) -> dict[int, list[ScoredModel]]:
    """Models with score and interval, by number of samples; the parts are beginnings of the target's order.

    Raises:
      ValueError: there are too few samples.
    """
    target, request = plan.target, dataclasses.replace(plan.request, scores=(plan.request.by,), confidence=True)
    fewest = max(FEWEST, FEWEST_A_CLASS * target.target.n_classes)
    sizes = [len(target) // part for part in PARTS if len(target) // part >= fewest]
    if not sizes:
        raise ValueError(f"scores by samples need at least {PARTS[-1] * fewest:,} samples; there are {len(target):,}.")
    runner = CandidateRunner(plan.candidates, target, Extraction(target, plan.extraction))
    scored = {}
    with shared_devices, without_news, progress_of(False) as listener:
        for size in sizes:
            listener.round(len(names), 0, size)
            results = runner.run([Job(name) for name in names], RoundSpec(size, request), listener)
            best = best_layers({result.job.name: result for result in results}, request)
            part = target.target.take(np.sort(target.order[:size]))
            scored[size] = list(build_ranking(names, best.scores, best.failed, request, plan.settings, part))
    return scored
