"""How well scores and baselines order candidates, by the truth of fine-tuning and by that of heads."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.trust.judge import ceiling, mean_of, measures, random_order, static_list

Models = Mapping[str, Mapping[str, Any]]
Judged = dict[str, dict[str, float]]  # score or baseline to the measures
TRUTHS = {"fine_tuned": "halves", "head": "head_halves"}
OTHER = {"fine_tuned": "head", "head": "fine_tuned"}
CEILING, RANDOM, STATIC = "ceiling", "random order", "static list"


def judged(of_targets: Mapping[str, Models], truth: str) -> dict[str, Judged]:
    """Target to score and baseline to the measures; of one budget.

    Args:
      of_targets: candidates of each target, as measured.
      truth: `fine_tuned` or `head`.
    """
    accuracies = {name: {model: of[truth] for model, of in models.items()} for name, models in of_targets.items()}
    found = {}
    for name, models in of_targets.items():
        columns, true = _columns(models, truth), accuracies[name]
        columns |= {STATIC: elsewhere} if (elsewhere := static_list(accuracies, name)) else {}
        halves = {model: of[TRUTHS[truth]] for model, of in models.items()}
        found[name] = {column: measures(values, true) for column, values in columns.items()} | {
            CEILING: ceiling(halves), RANDOM: random_order(true)
        }  # fmt: skip
    return found


def means(judged: Mapping[str, Judged]) -> Judged:
    """Score to the means over the targets, and the worst weighted tau."""
    names = list(dict.fromkeys(name for of in judged.values() for name in of))
    found = {}
    for name in names:
        of = [target[name] for target in judged.values() if name in target]
        found[name] = mean_of(of) | {"worst": min(one["weighted_tau"] for one in of)}
    return found


def chosen_elsewhere(judged: Mapping[str, Judged], scores: list[str]) -> dict[str, tuple[str, float]]:
    """Target to the score that orders the other targets best, and the weighted tau that it has on this one."""
    found = {}
    for name in judged:
        others = [of for other, of in judged.items() if other != name]
        best = max(scores, key=lambda score: np.mean([of[score]["weighted_tau"] for of in others]))
        found[name] = best, judged[name][best]["weighted_tau"]
    return found


def _columns(models: Models, truth: str) -> dict[str, dict[str, float]]:
    parameters = {model: float(of["parameters"]) for model, of in models.items()}
    own = {model: of["own_accuracy"] for model, of in models.items()}
    every = set.intersection(*(set(of["scores"]) for of in models.values()))
    scores = [score for score in next(iter(models.values()))["scores"] if score in every]
    return {score: {model: of["scores"][score] for model, of in models.items()} for score in scores} | {
        "one epoch, a tenth": {model: of["one_epoch"] for model, of in models.items()},
        f"the truth of {OTHER[truth].replace('_', '-')}": {model: of[OTHER[truth]] for model, of in models.items()},
    } | ({"best on its own data": own} if any(own.values()) else {}) | (
        {"largest model": parameters} if max(parameters.values()) > 1.5 * min(parameters.values()) else {}
    )  # fmt: skip
