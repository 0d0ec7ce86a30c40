"""Data and truth of the benchmark of other targets, whose answers are known."""

import json

import numpy as np
import pytest

from benchmarks.trust.targets import data, document
from benchmarks.trust.targets.__main__ import RESULTS, judged
from benchmarks.trust.targets.truth import truth


def test_numbers_of_placed_digits_are_where_the_digit_is():
    made = data.placed_digits()
    pictures, rows = made.samples[..., 0].astype(float), made.targets["row"][1]
    bright = np.where(pictures > 60, pictures, 0)
    middle = (bright.sum(axis=2) * np.arange(28)).sum(axis=1) / bright.sum(axis=(1, 2))
    assert np.corrcoef(middle, rows)[0, 1] > 0.95
    ink, sizes = bright.sum(axis=(1, 2)), made.targets["size"][1]
    assert np.corrcoef(ink, sizes)[0, 1] > 0.7


def test_pairs_have_the_labels_of_both_digits():
    made = data.pairs_of_digits()
    present = made.targets["digits in pairs"][1]
    assert set(present.sum(axis=1)) == {1, 2}
    assert (present.mean(axis=0) > 0.1).all()


@pytest.mark.parametrize("make", [data.placed_digits, data.digits_of_writers, data.diabetes])
def test_judges_share_nothing_with_the_labelled(make):
    made = make()
    assert not set(made.labelled) & set(made.judges)
    if made.groups is not None:
        assert not set(made.groups[made.labelled]) & set(made.groups[made.judges])


@pytest.mark.parametrize("task", ["regression", "multilabel", "classification"])
def test_heads_on_what_tells_all_and_on_noise(task):
    rng = np.random.default_rng(0)
    classes = np.arange(400) % 3
    labels = np.eye(3, dtype=int)[classes]
    target = {"regression": rng.normal(size=400), "multilabel": labels, "classification": classes}[task]
    known = target[:, None] if task == "regression" else np.eye(3)[classes]
    known = np.hstack([known, rng.normal(size=(400, 5))])
    made = data.Data(known, {"x": (task, target)}, np.arange(200), np.arange(200, 400))
    worth, halves = truth(known, target, task, made)
    assert worth > 0.95
    assert np.mean(halves) == pytest.approx(worth, abs=0.02)
    chance = {"regression": 0, "multilabel": 1 / 3, "classification": 1 / 3}[task]
    assert truth(rng.normal(size=(400, 5)), target, task, made)[0] == pytest.approx(chance, abs=0.15)


def test_what_is_judged():
    models = {
        f"m{i}": {"accuracy": i / 10, "halves": [i / 10, i / 10], "scores": {"right": i, "wrong": -i}} for i in range(8)
    }
    found = judged(models)
    assert (found["right"]["weighted_tau"], found["right"]["regret"]) == (1, 0)
    assert (found["wrong"]["weighted_tau"], found["wrong"]["regret"]) == (-1, 70)
    assert found["ceiling"]["weighted_tau"] == 1


def test_the_page_is_that_of_the_numbers():
    doc = json.loads((RESULTS / "targets.json").read_text(encoding="utf-8"))
    assert document.readme(doc) == (RESULTS / "README.md").read_text(encoding="utf-8")
    parts = [part for name, part in doc.items() if name != "made_with"]
    for found in [found for part in parts for found in part.values()]:
        assert found["judged"] == judged(found["models"])
