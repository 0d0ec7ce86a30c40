"""How well an order agrees with the truth: taus, and the regret of the first choice."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.paper.agreement import agreement
from benchmarks.trust.candidates import PARTS_OF_NETWORKS

RANDOM_ORDERS = 500
BASELINES = ("largest model", "best on its own data", "random order")
MEASURES = ("tau_b", "weighted_tau", "weighted_tau_accuracy_first", "regret")


def judgement(scores: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """Of whole networks, pixels and the untrained network; `with_parts` is about narrower and wider parts too.

    Args:
      scores: `models` as measured, and `facts` about them.
      samples: labelled images that a target has.
    """
    models, facts = scores["models"], scores["facts"]
    whole = {
        target: {name: one for name, one in of_target.items() if not name.startswith(PARTS_OF_NETWORKS)}
        for target, of_target in models.items()
    }
    judged = judge(whole, facts)
    means, curves = mean_over_targets(judged), {key: by_step(whole, key) for key in ("by_samples", "by_components")}
    for score, curve in curves["by_samples"].items():
        curve[str(samples)] = means[score]["weighted_tau"]
    return {
        "judged": judged,
        "means": means,
        "curves": curves,
        "places": {target: places({target: of_target}) for target, of_target in whole.items()},
        "with_parts": {"means": mean_over_targets(judge(models, facts)), "places": places(models)},
    }


def judge(found: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Target to score, baseline and `ceiling` to the measures.

    `ceiling` is the agreement of two truths, measured on disjoint halves of the test images: what the noise
    of the truth leaves to be reached.
    """
    return {target: _of_target(models, facts) for target, models in found.items()}


def _of_target(models: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    accuracy = {name: one["accuracy"] for name, one in models.items()}
    scores = {score for one in models.values() for score in one["scores"]}
    judged = {
        score: measures({n: one["scores"][score] for n, one in models.items() if score in one["scores"]}, accuracy)
        for score in sorted(scores)
    }
    judged["largest model"] = measures({n: float(facts[n]["parameters"]) for n in models}, accuracy)
    judged["best on its own data"] = measures({n: facts[n]["own_accuracy"] for n in models}, accuracy)
    rng = np.random.default_rng(0)
    orders = [
        measures(dict(zip(models, rng.permutation(len(models)).astype(float), strict=True)), accuracy)
        for _ in range(RANDOM_ORDERS)
    ]
    judged["random order"] = {m: round(float(np.mean([one[m] for one in orders])), 4) for m in MEASURES}
    halves = [{n: one["halves"][i] for n, one in models.items()} for i in (0, 1)]
    both = [measures(halves[0], halves[1]), measures(halves[1], halves[0])]
    judged["ceiling"] = {m: round((both[0][m] + both[1][m]) / 2, 4) for m in MEASURES}
    return judged


def measures(score: Mapping[str, float], accuracy: Mapping[str, float]) -> dict[str, float]:
    """Agreement over the models that have a score, and how many points of accuracy the first choice loses.

    Of models that tie for the first place the mean counts.
    """
    top = max(score.values())
    chosen = [accuracy[name] for name, value in score.items() if value == top]
    best = max(accuracy[name] for name in score)
    return agreement(score, accuracy) | {"regret": round(100 * (best - float(np.mean(chosen))), 3)}


def mean_over_targets(judged: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Score to the mean of every measure over the targets."""
    names = list(dict.fromkeys(name for of_target in judged.values() for name in of_target))
    return {
        name: {m: round(float(np.mean([one[name][m] for one in judged.values() if name in one])), 4) for m in MEASURES}
        for name in names
    }


def places(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """`accuracy` and score to the mean place, over targets and models, of each kind of candidate; 1 is the first.

    Of the scores that every candidate has.
    """
    found_places: dict[str, dict[str, list[int]]] = {}
    for models in found.values():
        every = set.intersection(*(set(one["scores"]) for one in models.values()))
        columns = {"accuracy": {name: one["accuracy"] for name, one in models.items()}}
        columns |= {score: {name: one["scores"][score] for name, one in models.items()} for score in sorted(every)}
        for of, column in columns.items():
            for place, name in enumerate(sorted(column, key=lambda name: -column[name]), 1):
                found_places.setdefault(of, {}).setdefault(name.split("/")[0], []).append(place)
    return {
        of: {kind: round(float(np.mean(at)), 1) for kind, at in kinds.items()} for of, kinds in found_places.items()
    }


def by_step(found: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, dict[str, float]]:
    """Mean weighted tau over the targets by step of `by_samples` or `by_components`, for every score.

    A score that means nothing for some model at a step, such as H-score with few samples, has no value there.
    """
    steps = list(dict.fromkeys(step for models in found.values() for one in models.values() for step in one[key]))
    means: dict[str, dict[str, float]] = {}
    for step in steps:
        taus: dict[str, list[float]] = {}
        for models in found.values():
            accuracy = {name: one["accuracy"] for name, one in models.items()}
            columns: dict[str, dict[str, float]] = {}
            for name, one in models.items():
                values = one[key][step]
                for score, value in (values if isinstance(values, dict) else {"silhouette": values}).items():
                    columns.setdefault(score, {})[name] = value
            whole = {s: c for s, c in columns.items() if len(c) == len(models) or s in ("leep", "nce")}
            for score, column in whole.items():
                taus.setdefault(score, []).append(agreement(column, accuracy)["weighted_tau"])
        for score, values in taus.items():
            if len(values) == len(found):
                means.setdefault(score, {})[step] = round(float(np.mean(values)), 4)
    return means
