"""What was said about small targets, and whether it held."""

import itertools
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np

import nrjax
from benchmarks.trust.calibration.pools import Case, draw_pool, draw_samples

TIE = 1e-5
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97, 1.01)  # of P(first)
FEWEST = 50  # statements that are judged
TRUTH_DRAWS = 50  # whose mean is the truth of an accuracy


class Statement(NamedTuple):
    """About one model in one ranking.

    Attributes:
      p_first: that it comes first.
      is_first: 1 if its true score is the highest, its share of 1 if others have the same.
      above: whether its true score is above the interval,
      below: or below it.
      width: of the interval.
    """

    p_first: float
    is_first: float
    above: bool
    below: bool
    width: float


def statements_of(case: Case, score: str, pools: int, draws: int, seed: int = 0) -> list[Statement]:
    """Of `draws` targets from each of so many pools.

    The truth of the silhouette is the pool's. An accuracy depends on how many samples there are to learn from: its
    truth is the mean over `TRUTH_DRAWS` other targets of this size.
    """
    rng, statements = np.random.default_rng(seed), []
    options: dict[str, Any] = {"scores": score, "task": "regression" if case.numbers else None}
    for _ in range(pools):
        features, labels = draw_pool(case, rng)
        if score == "silhouette":
            truth = nrjax.rank_batch(features, labels, **options).scores
        else:
            others = [nrjax.rank_batch(*_drawn(case, features, labels, rng), **options) for _ in range(TRUTH_DRAWS)]
            truth = {name: float(np.mean([ranking.scores[name] for ranking in others])) for name in features}
        best = max(truth.values())
        first = sum(true >= best - TIE for true in truth.values())
        for _ in range(draws):
            for model in nrjax.rank_batch(*_drawn(case, features, labels, rng), **options, confidence=True):
                if model.interval is not None and model.p_first is not None:
                    (low, high), true = model.interval, truth[model.name]
                    statements.append(
                        Statement(
                            model.p_first, (true >= best - TIE) / first, true > high + TIE, true < low - TIE, high - low
                        )
                    )
    return statements


def _drawn(
    case: Case, features: dict[str, np.ndarray], labels: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A target from a pool."""
    rows = draw_samples(case, labels, rng)
    return {name: array[rows] for name, array in features.items()}, labels[rows]


def rows(
    cases: Sequence[Case], pools: int, draws: int, jobs: int = 1
) -> Iterator[tuple[dict[str, Any], list[Statement]]]:
    """A row a case and score, with its statements; several at a time in processes of their own."""
    pairs = [(case, score) for case in cases for score in case.scores]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as processes:
        yield from processes.map(_row, pairs, itertools.repeat(pools), itertools.repeat(draws))


def _row(pair: tuple[Case, str], pools: int, draws: int) -> tuple[dict[str, Any], list[Statement]]:
    case, score = pair
    said = statements_of(case, score, pools, draws)
    above, below = (np.mean([getattr(s, side) for s in said]) for side in ("above", "below"))
    return {
        "pools": case.name, "samples": case.samples, "score": score, "statements": len(said),
        "intervals hold": round(1 - float(above + below), 3), "above": round(float(above), 3),
        "below": round(float(below), 3), "median width": round(float(np.median([s.width for s in said])), 3),
    }, said  # fmt: skip


def table_of_first(said: Sequence[Statement]) -> list[dict[str, Any]]:
    """P(first), said and held, by bins of at least `FEWEST` statements."""
    table = []
    for low, high in itertools.pairwise(BINS):
        inside = [s for s in said if low <= s.p_first < high]
        if len(inside) >= FEWEST:
            table.append({
                "P(first)": f"{low:g} to {min(high, 1):g}",
                "said": round(float(np.mean([s.p_first for s in inside])), 3),
                "held": round(float(np.mean([s.is_first for s in inside])), 3), "statements": len(inside),
            })  # fmt: skip
    return table
