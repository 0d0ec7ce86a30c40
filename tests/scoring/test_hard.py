"""Hard features: every kind, in one shape each; all shapes are in `python -m benchmarks.hard`.

The oracles (`references`) take other routes than the kernels, in float64 and wider. A value is right within its
tolerance, or the ranking itself says that it is not certain.
"""

import numpy as np
import pytest
from scipy.special import softmax

import nrjax
from tests.oracles import one_line
from tests.scoring import hard, references

PROBABILITIES = ("leep", "nce")
OTHERS = ("balanced_probe", "balanced_knn", "average_precision", "linear_mse")  # of the same fits, and of numbers
SCORES = [
    name for name, kind in nrjax.available_scores().items()
    if kind.reads == "features" and kind.labelled and name not in OTHERS
]  # fmt: skip
SLOW = ("1,000 classes", "1,000 classes far apart")  # here only what sums over pairs of classes
TALL, WIDE = hard.SHAPES[:2]
NARROWER = {"constant columns": (150, 20, 5), "copied columns": (60, 115, 4), "wide": (60, 80, 4)}  # then TALL and WIDE


def shape_of(kind):
    shapes = hard.shapes_of(kind)
    return NARROWER.get(kind) or (shapes[list(hard.HARD).index(kind) % 2] if len(shapes) > 2 else shapes[0])


def scored(features, labels, names):
    """`[(score, model)]`. A program is of a shape and of what it computes.

    Where many kinds have the shape, each score has its own programs, which all of these kinds share: which scores need
    float64 is another set for almost every kind. Where one kind has it, all scores are of one program.
    """
    shared = features.dtype == np.float32 and (*features.shape, labels.max() + 1) in (TALL, WIDE)
    parts = [[name] for name in names] if shared else [names]
    found = []
    for part in parts:
        by = ["silhouette"] if shared and part != ["silhouette"] else []  # which every kind has, so that none fails
        ranking = nrjax.rank_batch({"m": features}, labels, scores=[*by, *part])
        found += [(name, ranking.models[0]) for name in part if name not in ranking.settings.get("undefined", {})]
    return found


@pytest.mark.parametrize("kind", hard.HARD)
def test_right_or_said(kind):
    features, labels = hard.HARD[kind](*shape_of(kind), 0)
    wrong = {}
    for name, model in scored(features, labels, ["gbc"] if kind in SLOW else SCORES):
        if name in model.missing or name in model.uncertain:
            continue
        right = references.answer(name, features, labels)
        off = hard.error(name, model.scores[name], right.value, right.also)
        # What moves by that much when the features are rounded once more is no better known.
        if not off <= hard.allowed(name, len(labels), right.undecided) and not (
            abs(model.scores[name] - right.value) <= 10 * references.moved(name, features, labels)
        ):
            wrong[name] = model.scores[name], right
    assert wrong == {}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_of_probabilities(name):
    rng = np.random.default_rng(0)
    theta = softmax(3 * rng.normal(size=(200, 12)), axis=1)
    labels = np.arange(200) % 4
    right = references.value(name, theta, labels)
    assert getattr(nrjax, name)(theta, labels) == pytest.approx(right, abs=1e-7)


def test_what_cannot_be_known_is_said():
    """Components that are tied, directions at the edge of rounding, labels that are fitted exactly, noise."""
    said = {
        "ties beyond the components": (np.eye(40, dtype=np.float32)[np.arange(200) % 40], "silhouette"),
        "labels fitted exactly": (np.eye(5, dtype=np.float32)[np.arange(200) % 5], "logme"),
        "variation of a few roundings": (
            (3 + np.random.default_rng(0).integers(-2, 3, (200, 8)) * np.float32(4e-7)).astype(np.float32), "h_score",
        ),
    }  # fmt: skip
    for kind, (features, name) in said.items():
        ranking = nrjax.rank_batch({"m": features}, np.arange(200) % 5, scores=name)
        assert name in ranking.models[0].uncertain, kind
        assert f"{name} of m is not certain: " in one_line(ranking)
