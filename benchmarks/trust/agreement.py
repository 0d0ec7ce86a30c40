"""Is the first choice's head within a point of the best one's? Fitted, and judged on what it was not fitted to.

A case is one target of one size with its candidates. Data sets are held out one after the other, and with each of them
half of the candidates: what judges shares neither with what was fitted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from benchmarks.trust.scores import kept
from nrjax.scoring.near_best import POINT, Discrepancy, p_near_best, spread

BINS = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.01))
CHOICES = 40  # sets of candidates drawn of each case
FEWEST, MOST = 2, 8  # candidates of such a set
BY = ("silhouette", "probe")  # who makes the first choice


class Case(NamedTuple):
    """A target of one size: its data set, and of every candidate what the probe says and what a head came to."""

    data: str
    samples: int
    names: list[str]
    accuracy: np.ndarray  # of heads trained on so many samples
    influences: np.ndarray  # [candidates, units], on the probe
    scores: list[Mapping[str, float]]

    @property
    def probe(self) -> np.ndarray:
        """`[candidates]`."""
        return np.array([scores["probe"] for scores in self.scores])

    def of(self, chosen: Sequence[int]) -> "Case":
        """The same with some of the candidates."""
        names, scores = ([some[i] for i in chosen] for some in (self.names, self.scores))
        return self._replace(
            names=names, accuracy=self.accuracy[chosen], influences=self.influences[chosen], scores=scores
        )


def cases(found: Mapping[str, Mapping[str, Any]], keep: Path) -> list[Case]:
    """All of the targets that smaller ones were cut from, and those.

    Args:
      found: target to candidate to what was measured.
      keep: where the influences are.
    """
    rows: dict[tuple[str, str], list[tuple[str, Mapping[str, Any], np.ndarray]]] = {}
    for target, candidates in found.items():
        for name, one in candidates.items():
            with np.load(kept(keep, target, name, ".npz")) as stored:
                for step in stored.files if one["draws"] else ():
                    measured = one["draws"].get(step, one)
                    rows.setdefault((target, step), []).append((name, measured, stored[step]))
    return [
        Case(
            target[0], int(step.split("/")[0]), [name for name, *_ in some],
            np.array([one["accuracy"] for _, one, _ in some]), np.stack([influences for *_, influences in some]),
            [one["scores"] for _, one, _ in some],
        ) for (target, step), some in rows.items() if len(some) >= 2 * FEWEST
    ]  # fmt: skip


def fitted(of: Sequence[Case]) -> Discrepancy:
    """The likeliest constants, given the probe's accuracies, what chance adds to them, and the accuracies of heads."""

    def loss(parameters: np.ndarray) -> float:
        slope, scale = parameters[0], np.exp(parameters[1])
        total = 0.0
        for case in of:
            units = case.influences.shape[1]
            chance = case.influences @ case.influences.T / (units * (units - 1))
            covariance = slope**2 * chance + np.diag(spread(case.probe, Discrepancy(slope, scale)) ** 2 + 1e-8)
            inverse, left = np.linalg.inv(covariance), case.accuracy - slope * case.probe
            shared = inverse.sum()  # of the b that all models have in common, which is integrated out
            left = left - (inverse @ left).sum() / shared
            total += left @ inverse @ left + np.linalg.slogdet(covariance)[1] + np.log(shared)
        return total

    best: Any = optimize.minimize(loss, [0.8, np.log(0.05)], method="Nelder-Mead")
    return Discrepancy(float(best.x[0]), float(np.exp(best.x[1])))


def judged(of: Sequence[Case]) -> dict[str, Any]:
    """What was said and how often it held, of every data set by constants of the others."""
    rng, said = np.random.default_rng(0), []
    names = sorted({name for case in of for name in case.names})
    halves = rng.permutation(len(names)) % 2
    half_of = dict(zip(names, halves.tolist(), strict=True))

    def some(cases: Sequence[Case], half: int) -> list[Case]:
        chosen = [[i for i, name in enumerate(case.names) if half_of[name] == half] for case in cases]
        return [case.of(i) for case, i in zip(cases, chosen, strict=True) if len(i) >= FEWEST]

    constants = {}
    for data in sorted({case.data for case in of}):
        for half in (0, 1):
            found = fitted(some([case for case in of if case.data != data], half))
            constants[f"{data}/{half}"] = [round(value, 4) for value in found]
            for case in some([case for case in of if case.data == data], 1 - half):
                said += _statements(case, found, rng)
    return {
        "constants": constants, "on everything": [round(value, 4) for value in fitted(of)],
        "tables": {
            by: _table([one for one in said if one["by"] == by]) for by in BY
        } | {f"{by} of {samples:,} samples": _table([o for o in said if (o["by"], o["samples"]) == (by, samples)])
             for by in BY for samples in sorted({one["samples"] for one in said}) if samples in (100, 300, 1000, 2000)}
          | {f"{by} on {data}": _table([one for one in said if (one["by"], one["data"]) == (by, data)])
             for by in BY for data in sorted({one["data"] for one in said})},
    }  # fmt: skip


def _statements(case: Case, found: Discrepancy, rng: np.random.Generator) -> list[dict[str, Any]]:
    """About the first choices of sets of candidates drawn at random."""
    statements = []
    for _ in range(CHOICES):
        size = rng.integers(FEWEST, min(MOST, len(case.names)) + 1)
        drawn = case.of(rng.choice(len(case.names), size, replace=False).tolist())
        probabilities = p_near_best(drawn.probe, drawn.influences, found)
        held = drawn.accuracy >= drawn.accuracy.max() - POINT
        for by in BY:
            first = int(np.argmax([scores[by] for scores in drawn.scores]))
            statements.append({
                "by": by, "data": case.data, "samples": case.samples, "said": float(probabilities[first]),
                "held": bool(held[first]),
            })  # fmt: skip
    return statements


def _table(statements: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    table = {}
    for low, high in BINS:
        some = [one for one in statements if low <= one["said"] < high]
        if some:
            table[f"{low:g} to {min(high, 1):g}"] = {
                "said": round(float(np.mean([one["said"] for one in some])), 3),
                "held": round(float(np.mean([one["held"] for one in some])), 3), "statements": len(some),
            }  # fmt: skip
    return table
