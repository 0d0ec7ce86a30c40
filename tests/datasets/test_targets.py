"""Targets of tables: numbers, several labels, groups; told by the values, or asked about."""

import numpy as np
import pytest

import nrjax
from nrjax.datasets import ColumnChoice
from nrjax.ranking import LabelledSamples

SAID = "ignore:labels are numbers with fractions:RuntimeWarning"
pandas = pytest.importorskip("pandas", reason="pandas is not installed")


def frame(**columns):
    rows = len(next(iter(columns.values())))
    rng = np.random.default_rng(0)
    return pandas.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows), **columns})


PRICES = np.random.default_rng(1).normal(size=40).round(4)


def test_numbers_are_told_by_their_fractions():
    with pytest.warns(RuntimeWarning, match="so the task is regression"):
        data = nrjax.load_dataset(frame(price=PRICES), label="price")
    assert (data.task, data.class_names, data.samples.shape) == ("regression", ("price",), (40, 2))
    np.testing.assert_array_equal(data.labels, PRICES)


@pytest.mark.filterwarnings(SAID)
def test_numbers_in_text(tmp_path):
    lines = ["text,price"] + [f"word {i},{price}" for i, price in enumerate(PRICES)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = nrjax.load_dataset(tmp_path / "t.csv", label="price")
    assert data.task == "regression"
    np.testing.assert_array_equal(data.labels, PRICES)


@pytest.mark.filterwarnings(SAID)
def test_several_numbers():
    data = nrjax.load_dataset(frame(x=PRICES, y=2 * PRICES), label=["x", "y"])
    assert (data.task, data.class_names) == ("regression", ("x", "y"))
    np.testing.assert_array_equal(data.labels, np.stack([PRICES, 2 * PRICES], axis=1))


def test_whole_numbers_of_which_most_differ_are_asked_about():
    ages = 18 + 2 * np.arange(40)
    with pytest.raises(ValueError, match=r"column 'age': .*task=.regression.*task=.classification"):
        nrjax.load_dataset(frame(age=ages), label="age")
    data = nrjax.load_dataset(frame(age=ages), label="age", task="regression")
    np.testing.assert_array_equal(data.labels, ages)
    assert nrjax.load_dataset(frame(age=ages % 4), label="age").task == "classification"


@pytest.mark.parametrize(
    ("column", "task"),
    [
        ([["red"], ["red", "green"], [], ["blue"]] * 10, None),
        ([{"red"}, {"red", "green"}, set(), {"blue"}] * 10, None),
        (["red", "red|green", "green|blue", "blue"] * 10, "multilabel"),
    ],
    ids=["lists", "sets", "text"],
)
def test_several_labels(column, task):
    data = nrjax.load_dataset(frame(tags=column), label="tags", task=task)
    assert (data.task, data.class_names) == ("multilabel", ("blue", "green", "red"))
    np.testing.assert_array_equal(data.labels[:2], [[0, 0, 1], [0, 1, 1]])


def test_columns_of_0_and_1_are_labels():
    hot = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 10)
    data = nrjax.load_dataset(frame(cat=hot[:, 0], dog=hot[:, 1]), label="cat,dog")
    assert (data.task, data.class_names) == ("multilabel", ("cat", "dog"))
    np.testing.assert_array_equal(data.labels, hot)


def test_groups_are_a_column_and_no_feature():
    table = frame(label=np.arange(40) % 2, patient=np.repeat(np.arange(10), 4))
    data = nrjax.load_dataset(table, groups="patient")
    assert data.samples.shape == (40, 2)
    np.testing.assert_array_equal(data.groups, table.patient)
    part = nrjax.load_dataset(table, groups="patient", max_samples=18)
    assert len(part.labels) == 16
    assert {sum(part.groups == group) for group in part.groups} == {4}


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"label": [0, 1] * 20, "who": [None, *range(39)]}, {"groups": "who"}, "row 1 .* has no group in column 'who'"),
        ({"label": [0, 1] * 20}, {"groups": "who"}, "no column 'who' for the groups"),
        (
            {"label": [0, 1] * 20, "who": [*range(10)] * 4},
            {"groups": "who", "max_samples": 3},
            "less than the smallest",
        ),
        ({"y": PRICES}, {"label": "y", "classes": [0]}, "classes= chooses among classes"),
        ({"y": PRICES}, {"label": "y", "task": "ranking"}, "task must be one of classification, regression"),
        ({"y": PRICES, "z": ["a", "b"] * 20}, {"label": "y,z"}, "several columns of labels must be numbers.*; z is"),
        ({"y": [1.5, None, *PRICES[2:]]}, {"label": "y"}, "row 2 has no label in column 'y'"),
    ],
)
@pytest.mark.filterwarnings(SAID)
def test_what_bad_targets_get(columns, options, words):
    with pytest.raises(ValueError, match=words):
        nrjax.load_dataset(frame(**columns), **options)


def test_rows_without_a_number_may_be_left_out():
    table = frame(y=[1.5, None, *PRICES[2:]])
    with pytest.warns(RuntimeWarning, match="Left out 1 of 40 rows"):
        data = nrjax.load_dataset(table, label="y", task="regression", skip_broken=True)
    np.testing.assert_array_equal(data.labels, [1.5, *PRICES[2:]])


def test_a_folder_has_classes(tmp_path):
    with pytest.raises(ValueError, match="no table, so it has no columns"):
        nrjax.load_dataset(tmp_path, label="price")


def test_the_order_of_groups_has_no_group_twice():
    table = frame(label=np.arange(40) % 2, patient=np.arange(40) // 4)
    samples = LabelledSamples.of(table, groups="patient", columns=ColumnChoice(label="label"))
    groups = samples.target.groups[samples.order]
    assert sorted(samples.order.tolist()) == list(range(40))
    assert np.count_nonzero(np.diff(groups)) == 9


def test_columns_are_of_tables():
    with pytest.raises(ValueError, match="columns of a table; these samples have none"):
        LabelledSamples.of(np.zeros((4, 2)), [0, 1, 0, 1], columns=ColumnChoice(label="label"))
