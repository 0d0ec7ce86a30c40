"""Scores of scores: the mean of the places that a model has by the others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.scoring.model_scores import ModelScores
from nrjax.scoring.scores import ScoreKind


def add_mean_rank(evaluated: Mapping[Any, ModelScores], kinds: Sequence[ScoreKind]) -> None:
    """Adds the mean place by the other scores asked for that any model has: 1 is first by every one; lower is better.

    Places are among the models that have all of the others, ties sharing the mean of theirs. A model that lacks one
    would be judged by easier company, so it has no mean place, and the reason says which it lacks.
    """
    named = {name for model in evaluated.values() for name in model.values}
    others = [kind for kind in kinds if kind.reads != "scores"]
    computed = [kind for kind in others if kind.name in named]
    others = computed if len(computed) > 1 else others
    lacking = {key: [kind.name for kind in others if kind.name not in model.values] for key, model in evaluated.items()}
    complete = [model for key, model in evaluated.items() if not lacking[key]]
    values = np.array([[kind.sign * model.values[kind.name] for kind in others] for model in complete])
    places = np.stack([_ranks(-column) for column in values.T]).mean(axis=0) if complete else ()
    for kind in kinds:
        if kind.reads == "scores":
            for model, place in zip(complete, places, strict=True):
                model.values[kind.name] = float(place)
            for key, names in lacking.items():
                if names:
                    missing = evaluated[key].missing
                    missing[kind.name] = f"it is of {len(others)} scores, and there is no {', '.join(names)}"


def _ranks(values: np.ndarray) -> np.ndarray:
    """The place of every value, the least being first; equal values share the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
