"""Hard features: every kind, in one shape each; all shapes are in `python -m benchmarks.hard`.

The oracles (`references`) take other routes than the kernels, in float64 and wider. A value is right within its
tolerance, or the ranking itself says that it is not certain.
"""

import numpy as np
import pytest
from scipy.special import softmax

import nrjax
from tests.scoring import hard, references

PROBABILITIES = ("leep", "nce")
OTHERS = ("balanced_probe", "balanced_knn", "average_precision", "linear_mse")  # of the same fits, and of numbers
SCORES = [
    name for name, kind in nrjax.available_scores().items()
    if kind.reads == "features" and kind.labelled and name not in OTHERS
]  # fmt: skip
SLOW = ("1,000 classes", "1,000 classes far apart")  # here only what sums over pairs of classes


def shape_of(kind):
    shapes = hard.shapes_of(kind)
    return shapes[list(hard.HARD).index(kind) % 2] if len(shapes) > 2 else shapes[0]


@pytest.mark.parametrize("kind", hard.HARD)
def test_right_or_said(kind):
    features, labels = hard.HARD[kind](*shape_of(kind), 0)
    names = ["gbc"] if kind in SLOW else SCORES
    (model,) = nrjax.rank_batch({"m": features}, labels, scores=names).models
    wrong = {}
    for name in names:
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
        assert f"{name} of m is not certain: " in str(ranking)
