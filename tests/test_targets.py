"""The door of targets: what labels are taken for, and what it refuses to guess."""

import numpy as np
import pandas as pd
import pytest

import nrjax
from nrjax.datasets import Pairs, Recordings, Words
from nrjax.targets import Target

pytestmark = pytest.mark.filterwarnings("ignore:labels are numbers with fractions:RuntimeWarning")

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=60)
FEW = RNG.integers(0, 3, 60)

TOLD = {
    "words": (["a", "b", "a"], "classification"),
    "whole numbers": (FEW, "classification"),
    "floats that are whole": (FEW.astype(float), "classification"),
    "many ids": (np.arange(60) % 30, "classification"),
    "ids from one": (np.arange(60) % 30 + 1, "classification"),
    "ratings in halves": (np.arange(60) % 9 / 2, "classification"),
    "booleans": (NUMBERS > 0, "classification"),
    "numbers": (NUMBERS, "regression"),
    "a list of numbers": (NUMBERS.tolist(), "regression"),
    "a column of numbers": (NUMBERS[:, None], "regression"),
    "a series of numbers": (pd.Series(NUMBERS), "regression"),
    "a frame of numbers": (pd.DataFrame({"x": NUMBERS, "y": NUMBERS**2}), "regression"),
    "several outputs": (np.stack([NUMBERS, NUMBERS**2], axis=1), "regression"),
    "a multi-hot matrix": (RNG.integers(0, 2, (60, 3)), "multilabel"),
    "a multi-hot matrix of booleans": (RNG.integers(0, 2, (60, 3)) > 0, "multilabel"),
    "sets": ([{"a"}, {"a", "b"}, set()], "multilabel"),
    "lists of several lengths": ([["a"], ["a", "b"], []], "multilabel"),
    "a series of lists": (pd.Series([["a"], ["a", "b"], []]), "multilabel"),
}
ASKED = {
    "whole numbers with many values": (RNG.integers(0, 500, 60), "classification", "regression"),
    "whole floats with many values": (RNG.integers(0, 500, 60).astype(float), "classification", "regression"),
    "few fractions": (NUMBERS[:12], "classification", "regression"),
    "a 0/1 column beside numbers": (np.stack([NUMBERS > 0, NUMBERS], axis=1), "regression", "labels"),
    "one-hot rows": (np.eye(3)[FEW], "multilabel", "argmax"),
    "probabilities": (RNG.dirichlet([1, 1, 1], 60), "regression", "argmax"),
    "columns of whole numbers": (RNG.integers(0, 9, (60, 2)), "regression", "labels"),
    "a table of words": (np.array([["a", "b"], ["b", "c"], ["c", "a"]]), "multilabel", "column"),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_labels_are_taken_for(name):
    labels, task = TOLD[name]
    target = Target.of(labels)
    assert target.task == task
    assert len(target) == len(labels)
    assert target.values.dtype == (np.int32 if task == "classification" else np.float64)
    assert target.values.ndim == (1 if task == "classification" else 2)


@pytest.mark.parametrize("name", ASKED)
def test_what_could_be_two_things_is_asked_about(name):
    labels, way, other = ASKED[name]
    with pytest.raises(ValueError, match="labels") as error:
        Target.of(labels)
    assert f'task="{way}"' in str(error.value)
    assert other in str(error.value)
    assert "\n" not in str(error.value)


def test_the_task_may_be_given():
    whole = RNG.integers(0, 500, 60)
    assert Target.of(whole, task="regression").values[:, 0].tolist() == whole.tolist()
    assert Target.of(["3.5", "2", "7"], task="regression").values[:, 0].tolist() == [3.5, 2, 7]
    assert Target.of(np.r_[whole, whole], task="classification").n_classes == len(set(whole.tolist()))
    assert Target.of(np.eye(3)[FEW], task="multilabel").values.tolist() == np.eye(3)[FEW].tolist()
    assert Target.of(np.stack([NUMBERS > 0, NUMBERS], axis=1), task="regression").n_classes == 2


def test_labels_of_lists_are_columns_in_order():
    target = Target.of([["b", "a"], ["c"], [], ["a "]])
    assert target.classes == ("a", "b", "c")
    assert target.values.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_names_of_columns():
    frame = pd.DataFrame({"price": NUMBERS, "size": NUMBERS**2})
    assert Target.of(frame).classes == ("price", "size")


@pytest.mark.parametrize(
    ("labels", "options", "told"),
    [
        (np.r_[NUMBERS[:40], np.nan], {}, "sample 40 has nan"),
        (np.r_[NUMBERS[:40], np.inf], {}, "sample 40 has inf"),
        ([*NUMBERS[:40], None], {}, "sample 40 has nan"),
        (np.ones(30), {"task": "regression"}, "they are 1 for every sample"),
        (np.stack([NUMBERS, 0 * NUMBERS], 1), {"task": "regression"}, "output 1 is 0 for every sample"),
        (["a", "b", "c"], {"task": "regression"}, "sample 0 has 'a'"),
        ([1.5, 2.5], {"task": "regression"}, "at least 3 samples"),
        ([["a"], None, ["a", "b"]], {}, "sample 1 has None"),
        (np.ones((5, 2)), {"task": "multilabel"}, "every sample has the same"),
        (np.full((5, 2), 3), {"task": "multilabel"}, "a matrix .* of 0 and 1"),
        (FEW, {"task": "numbers"}, "classification, regression, multilabel; got 'numbers'"),
        (np.zeros((5, 2, 2)), {}, "one axis"),
    ],
)
def test_what_is_refused(labels, options, told):
    with pytest.raises(ValueError, match=told) as error:
        Target.of(labels, **options)
    assert "\n" not in str(error.value)


def test_places_are_named_as_the_user_knows_them():
    with pytest.raises(ValueError, match="row 42 has nan"):
        Target.of(np.r_[NUMBERS[:40], np.nan], place=lambda i: f"row {i + 2}")


def test_groups():
    target = Target.of(FEW, groups=[f"p{i // 6}" for i in range(60)])
    assert target.groups.dtype == np.int32
    assert target.independent == 10
    assert target.fewest_left == 54
    part = target.take(np.arange(6, 18))
    assert part.groups.tolist() == [0] * 6 + [1] * 6
    assert part.n_classes == target.n_classes


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (np.zeros(60), "got 1 group of 60 samples"),
        (FEW, "every class is in one group alone"),
        (np.where(FEW == 1, 9, np.arange(60) % 4), "class 1 is in one group alone"),
        ([None, *range(59)], "sample 0 has none"),
        (np.r_[np.nan, np.arange(59)], "sample 0 has none"),
        (np.arange(59), "shape .59,. for 60 samples"),
    ],
)
def test_groups_that_are_refused(groups, told):
    with pytest.raises(ValueError, match=told) as error:
        Target.of(FEW, groups=groups)
    assert str(error.value).startswith("groups")
    assert "\n" not in str(error.value)


def test_groups_of_one_sample_change_nothing_and_say_so():
    target = Target.of(FEW, groups=np.arange(60))
    assert target.groups is None
    assert target.remarks == ("Every group has one sample, so groups have no effect.",)


def test_members_of_groups_of_any_size():
    sizes = [1, 1, 2, 3, 5, 8, 60, 1000]
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    target = Target.of(NUMBERS[np.arange(len(groups)) % 60], groups=groups)
    places = np.concatenate([array[array < len(groups)] for array in target.members])
    assert sorted(places.tolist()) == list(range(len(groups)))
    assert sum(array.size for array in target.members) < 1.2 * len(groups)  # a large group costs small ones nothing
    flat = np.concatenate([array.reshape(-1) for array in target.members])
    assert flat[target.positions].tolist() == list(range(len(groups)))
    for array in target.members:
        for row in array:
            assert len(set(groups[row[row < len(groups)]].tolist())) == 1


def test_names_of_columns_are_those_of_labels_that_are_left_out():
    target = Target.of(np.stack([FEW > 0, FEW > 1, FEW > 9], axis=1).astype(int), names=["red", "green", "blue"])
    assert target.classes == ("red", "green")
    assert "label blue (1 of 3)" in target.remarks[0]
    assert Target.of(FEW, names=["a", "b", "c"]).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("samples", "words"),
    [(Pairs([("a", "b")] * 5), "one per pair of texts; got 3 labels for 5 pairs of texts"),
     (Words.of([["a", "b"], ["c"]]), "one per word; got 4 labels for 3 words"),
     (Recordings.of(np.ones((5, 100)), 8000), "one per recording; got 3 labels for 5 recordings"),
     (["a", "b", "c", "d", "e"], "one per text; got 3 labels for 5 texts"),
     (np.ones((5, 3)), "one per sample; got 3 labels for 5 samples")],
)  # fmt: skip
def test_samples_are_called_what_they_are(samples, words):
    labels = [0, 1, 0] if len(samples) > 3 else [0, 1, 0, 1]
    with pytest.raises(ValueError, match=f"labels must be {words}"):
        nrjax.rank({"m": nrjax.from_embedder(len)}, samples, labels, progress=False)
