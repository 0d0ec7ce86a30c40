"""Samples as rows that hold their labels, too: lists of pairs and of dicts."""

import numpy as np
import pytest

import nrjax

TEXTS = [f"text {'a' * (i % 3)}{i}" for i in range(24)]
LABELS = [["x", "y", "z"][i % 3] for i in range(24)]
IMAGES = np.zeros((24, 4, 4, 3), np.uint8)
TEXT = nrjax.from_embedder(lambda texts: np.array([[len(text), text.count("a")] for text in texts]), kind="text")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(text, i % 3) for i, text in enumerate(TEXTS)], "pairs of a sample and its label; give them apart"),
        ([(image, "cat") for image in IMAGES], "pairs of a sample and its label; give them apart"),
        ([(image, np.int64(1)) for image in IMAGES], "pairs of a sample and its label; give them apart"),
        (
            [{"text": text, "label": 1} for text in TEXTS],
            r"dicts of columns; make a frame.*pandas.DataFrame\(samples\)",
        ),
    ],
)
def test_rows_that_hold_their_labels_are_told_the_way_out(rows, words):
    with pytest.raises(ValueError, match=words):
        nrjax.rank({"m": TEXT}, rows)


def test_labels_that_look_like_second_texts_are_said():
    with pytest.warns(
        RuntimeWarning, match="of which the second are 3 different ones, such as 'x'. If those are labels"
    ):
        nrjax.rank({"m": TEXT}, list(zip(TEXTS, LABELS, strict=True)))


def test_pairs_of_texts_and_rows_of_numbers_are_samples():
    nrjax.rank({"m": TEXT}, [(text, text[::-1]) for text in TEXTS])
    numbers = [(i % 3 + 0.01 * i, i) for i in range(24)]
    model = nrjax.from_embedder(np.asarray, kind="array")
    expected = nrjax.rank_batch({"m": np.array(numbers)}, LABELS, scores="probe").scores
    assert nrjax.rank({"m": model}, numbers, LABELS, scores="probe").scores == expected
