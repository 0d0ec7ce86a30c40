"""How well an order agrees with the truth: taus, and the regret of the first choice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.agreement import agreement

RANDOM_ORDERS = 500
BASELINES = ("largest model", "best on its own data", "static list", "random order")
READ_PREDICTIONS = ("leep", "nce")
MEASURES = ("tau_b", "weighted_tau", "weighted_tau_accuracy_first", "regret")


def judgement(scores: Mapping[str, Any]) -> dict[str, Any]:
    """`paper`: the candidates that there are facts about, where all of them were tried; `wider`: all, on other targets.

    Args:
      scores: `models` as measured, and `facts` about the paper's candidates.
    """
    models, facts = scores["models"], scores["facts"]
    paper = {t: {name: found[name] for name in facts} for t, found in models.items() if facts.keys() <= found.keys()}
    wider = {target: found for target, found in models.items() if found.keys() - facts.keys()}
    by_draw = {t: {name: by_step_of_draws(one) for name, one in found.items()} for t, found in wider.items()}
    by_components = {
        name: by_step(
            {t: {n: {s: (one["accuracy"], {"silhouette": value}) for s, value in one["by_components"].items()}
                 for n, one in found.items()} for t, found in of.items()}
        )["silhouette"] for name, of in (("the paper's", paper), ("all", wider))
    }  # fmt: skip
    return {
        "paper": _judged(paper, facts), "wider": _judged(wider, facts),
        "curves": {"by_samples": by_step(by_draw), "by_components": by_components},
    }  # fmt: skip


def _judged(found: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    judged = judge(found, facts)
    by_target = {target: places({target: of_target}) for target, of_target in found.items()}
    return {
        "judged": judged, "means": mean_over_targets(judged), "places_by_target": by_target, "places": places(found),
    }  # fmt: skip


def judge(found: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Target to score, baseline and `ceiling` to the measures.

    `ceiling` is the agreement of two truths, measured on disjoint halves of the test images: what the noise
    of the truth leaves to be reached. Scores that most candidates have not, and baselines that need facts about
    candidates that there are none about, are left out.
    """
    accuracies = {t: {name: one["accuracy"] for name, one in models.items()} for t, models in found.items()}
    return {target: _of_target(models, facts, static_list(accuracies, target)) for target, models in found.items()}


def static_list(accuracies: Mapping[str, Mapping[str, float]], target: str) -> dict[str, float]:
    """How good a candidate is on the other targets: the negative of its mean place there, as a share of all places."""
    shares: dict[str, list[float]] = {}
    for other, of in accuracies.items():
        if other != target:
            for place, name in enumerate(sorted(of, key=lambda name: -of[name])):
                shares.setdefault(name, []).append(place / len(of))
    return {name: -float(np.mean(shares[name])) for name in accuracies[target] if name in shares}


def _of_target(
    models: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]], elsewhere: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    accuracy = {name: one["accuracy"] for name, one in models.items()}
    scores = sorted({score for one in models.values() for score in one["scores"]})
    columns = {s: {n: one["scores"][s] for n, one in models.items() if s in one["scores"]} for s in scores}
    columns["static list"] = dict(elsewhere)
    if models.keys() <= facts.keys():
        columns["largest model"] = {n: float(facts[n]["parameters"]) for n in models}
        columns["best on its own data"] = {n: facts[n]["own_accuracy"] for n in models}
    judged = {of: measures(column, accuracy) for of, column in columns.items() if 2 * len(column) > len(models)}
    judged["random order"] = random_order(accuracy)
    judged["ceiling"] = ceiling({name: one["halves"] for name, one in models.items()})
    return judged


def random_order(accuracy: Mapping[str, float]) -> dict[str, float]:
    """Means of the measures over orders that know nothing."""
    rng, names = np.random.default_rng(0), list(accuracy)
    return mean_of([
        measures(dict(zip(names, rng.permutation(len(names)).astype(float), strict=True)), accuracy)
        for _ in range(RANDOM_ORDERS)
    ])  # fmt: skip


def ceiling(halves: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Means of the measures of one truth by the other, and the other way round; two truths of every model."""
    first, second = ({name: truths[i] for name, truths in halves.items()} for i in (0, 1))
    return mean_of([measures(first, second), measures(second, first)])


def mean_of(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every measure."""
    return {measure: round(float(np.mean([one[measure] for one in several])), 4) for measure in several[0]}


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


Steps = Mapping[str, tuple[float, Mapping[str, float]]]  # accuracy and scores, by step


def by_step_of_draws(one: Mapping[str, Any]) -> Steps:
    """Of one candidate: the steps are smaller targets, `samples/draw`, judged by heads trained on as many."""
    return {draw: (found["accuracy"], found["scores"]) for draw, found in one["draws"].items()}


def by_step(found: Mapping[str, Mapping[str, Steps]]) -> dict[str, dict[str, float]]:
    """Score to step to the mean weighted tau over targets, and over the draws of one size.

    A score that means nothing for some model at a step, such as H-score with few samples, has no value there.
    """
    taus: dict[str, dict[str, dict[str, list[float]]]] = {}
    for target, of_target in found.items():
        models = {name: steps for name, steps in of_target.items() if steps}
        for step in set.intersection(*(set(steps) for steps in models.values())) if models else ():
            accuracy = {name: steps[step][0] for name, steps in models.items()}
            for score in {score for steps in models.values() for score in steps[step][1]}:
                column = {name: steps[step][1][score] for name, steps in models.items() if score in steps[step][1]}
                if len(column) == len(models) or (score in READ_PREDICTIONS and len(column) > 2):
                    tau = agreement(column, accuracy)["weighted_tau"]
                    size = step.split("/")[0]
                    taus.setdefault(score, {}).setdefault(size, {}).setdefault(target, []).append(tau)
    return {
        score: {size: round(float(np.mean([np.mean(t) for t in of.values()])), 4) for size, of in sizes.items()}
        for score, sizes in taus.items()
    }
