"""Labels as frames and files have them: dates, infinities, -1, bytes, invisible characters, rows in another order."""

import datetime
import enum
import re

import numpy as np
import pytest

import nrjax

TEXTS = [f"text {i}" for i in range(24)]
FEATURES = np.random.default_rng(0).normal(size=(24, 3))
pandas = pytest.importorskip("pandas")


def frame(labels):
    return pandas.DataFrame({"text": TEXTS, "label": labels})


DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(24)]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (DAYS, r"24 different dates or times for 24 samples.* task=.classification."),
        ([str(day) for day in DAYS], r"24 different dates or times"),
        (pandas.to_timedelta(range(24), unit="h"), "24 different dates or times"),
        ([0, 1, np.inf] * 8, r"must not be missing; row 3 \(index 2\), ... has inf"),
    ],
)
def test_what_is_no_class_is_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        nrjax.load_dataset(frame(labels))
    with pytest.raises(ValueError, match="labels must"):
        nrjax.rank_batch({"m": FEATURES}, labels)


@pytest.mark.parametrize("labels", [[0.1 * (i % 13) for i in range(24)], [DAYS[i // 2 * 2] for i in range(24)]])
def test_what_the_user_calls_classes_are_classes(labels):
    classes = len(set(labels))
    assert nrjax.rank_batch({"m": FEATURES}, labels, task="classification").settings["classes"] == classes
    assert len(nrjax.load_dataset(frame(labels), task="classification").class_names) == classes


def test_bytes_are_text():
    assert nrjax.load_dataset(frame([b"a", "a", b"b", "b"] * 6)).class_names == ("a", "b")


def test_the_way_out_for_numbers_is_named():
    with pytest.raises(ValueError, match=r'a continuous target\. Pass task="regression" to rank by the numbers'):
        nrjax.rank_batch({"m": FEATURES}, [f"{i / 7:.3f}" for i in range(24)])


@pytest.mark.parametrize("labels", [["dog", "do\N{SOFT HYPHEN}g"], ["1", "\N{FULLWIDTH DIGIT ONE}"]])
def test_invisible_and_wide_characters_are_said(labels):
    with pytest.warns(RuntimeWarning, match="nearly the same name"):
        nrjax.load_dataset(frame([*labels, "other"] * 8))


def test_minus_one_of_an_array_is_said():
    with pytest.warns(RuntimeWarning, match="labels have -1 beside 0"):
        assert nrjax.rank_batch({"m": FEATURES}, [-1, 0, 1] * 8).settings["classes"] == 3
    assert nrjax.rank_batch({"m": FEATURES}, [-1, 1] * 12).settings["classes"] == 2


def test_rows_in_another_order_are_refused():
    labels = pandas.Series([0, 1, 2] * 8)
    shuffled = labels.sample(frac=1, random_state=0)
    texts = pandas.Series(TEXTS)
    model = nrjax.from_embedder(lambda texts: np.array([[len(text), text.count("1")] for text in texts]), kind="text")
    for rank in (
        lambda labels: nrjax.rank_batch({"m": pandas.DataFrame(FEATURES)}, labels),
        lambda labels: nrjax.rank({"m": model}, texts, labels),
    ):
        with pytest.raises(ValueError, match=r"index of the samples in another order.*labels.loc\[samples.index\]"):
            rank(shuffled)
        right = rank(labels).scores
        assert rank(shuffled.loc[labels.index]).scores == right == rank(labels.to_numpy()).scores


def test_batches_of_records():
    pyarrow = pytest.importorskip("pyarrow")
    batch = pyarrow.record_batch({"text": TEXTS, "label": [0, 1] * 12})
    assert len(nrjax.load_dataset(batch).labels) == 24


@pytest.mark.parametrize(
    "write", ["{:.1f}%", "${:,.2f}", "{:.2f} €", "{:_.2f}"], ids=["percent", "dollars", "euros", "decimal comma"]
)
def test_numbers_with_their_unit_are_a_continuous_target(write):
    labels = [write.format(1234.5678 * i / 7).replace("_", "") for i in range(24)]
    labels = [label.replace(".", ",") for label in labels] if "_" in write else labels
    for door in (lambda: nrjax.load_dataset(frame(labels)), lambda: nrjax.rank_batch({"m": FEATURES}, labels)):
        with pytest.raises(ValueError, match=r"a continuous target\. Write them as numbers, without a unit and with a"):
            door()
    few = [write.format(10.0 * (i % 3)).replace("_", "") for i in range(24)]
    assert len(nrjax.load_dataset(frame(few)).class_names) == 3


def test_a_class_for_nearly_every_sample_is_said():
    labels = [f"customer {min(i, 22)}" for i in range(24)]
    with pytest.warns(RuntimeWarning, match="labels have 23 different texts for 24 samples, such as 'customer 0'"):
        assert len(nrjax.load_dataset(frame(labels)).class_names) == 23
    with pytest.warns(RuntimeWarning, match="labels have 23 different texts"):
        nrjax.rank_batch({"m": FEATURES}, labels)


class Colour(enum.Enum):
    RED, GREEN = "red", "green"


def test_members_of_an_enumeration_are_classes():
    labels = [[Colour.RED, Colour.GREEN][i % 2] for i in range(24)]
    expected = nrjax.rank_batch({"m": FEATURES}, [i % 2 for i in range(24)]).scores
    assert nrjax.rank_batch({"m": FEATURES}, labels).scores == pytest.approx(expected)


def test_true_and_the_text_of_it_are_said():
    with pytest.warns(RuntimeWarning, match="classes with nearly the same name stay different: True and 'true'"):
        nrjax.load_dataset(frame([True, "true", "no"] * 8))


@pytest.mark.parametrize("name", ["customer_id", "PassengerId", "patient id"])
def test_ids_of_rows_are_no_feature(name):
    data = pandas.DataFrame({"height": FEATURES[:, 0], name: range(100, 124), "label": ["a", "b"] * 12})
    with pytest.warns(RuntimeWarning, match=f"left out column '{name}', which numbers the rows"):
        assert nrjax.load_dataset(data).samples.shape == (24, 1)
    assert nrjax.load_dataset(data.rename(columns={name: "paid"})).samples.shape == (24, 2)


def test_lists_of_named_ids_are_several_labels():
    datasets = pytest.importorskip("datasets")
    names = datasets.Sequence(datasets.ClassLabel(names=["joy", "fear", "love"]))
    data = datasets.Dataset.from_dict({"text": TEXTS[:4], "label": [[0], [1, 2], [], [0, 2]]})
    loaded = nrjax.load_dataset(data.cast_column("label", names))
    assert (loaded.task, loaded.class_names) == ("multilabel", ("fear", "joy", "love"))
    assert loaded.labels.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 1]]


NO_LABELS = {
    "-100": [-100, 0, 1], "floats": [-1.0, 0.0, 1.0], "texts": ["-1", "0", "1"], "R": ["NA", "cat", "dog"],
    "SQL": ["NULL", "1", "2"], "Python": ["None", "cat", "dog"], "UCI": ["?", "cat", "dog"],
}  # fmt: skip


@pytest.mark.parametrize("case", NO_LABELS)
def test_what_data_have_where_there_is_no_label_is_said(case):
    labels = NO_LABELS[case]
    words = str(labels[0]).removesuffix(".0")
    with pytest.warns(RuntimeWarning, match=rf"labels have '?{re.escape(words)}'?.* counts as a class"):
        assert nrjax.rank_batch({"m": FEATURES}, labels * 8).settings["classes"] == 3


def test_ids_of_no_class_are_left_out_of_tables():
    with pytest.warns(RuntimeWarning, match="Left out 8 of 24 rows"):
        data = nrjax.load_dataset(frame([-100, 0, 1] * 8), skip_broken=True)
    assert data.class_names == ("0", "1")
    ratings = nrjax.load_dataset(frame([-2, -1, 0, 1, 2, 2] * 4))  # of which -1 is one
    assert np.bincount(ratings.labels).tolist() == [4, 4, 8, 4, 4]


TAGS = [["cat"], ["cat", "dog"], []] * 8
LISTS = {
    "a text without labels, split": lambda: [",".join(tags).split(",") for tags in TAGS],
    "blanks": lambda: [[f" {tag}" for tag in tags] for tags in TAGS],
    "arrays, as pandas reads Parquet": lambda: pandas.Series([np.array(tags, object) for tags in TAGS]),
    "polars": lambda: pytest.importorskip("polars").Series(TAGS),
    "pyarrow": lambda: pytest.importorskip("pyarrow").array(TAGS),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists_of_labels_however_they_are_held(case):
    right = nrjax.rank_batch({"m": FEATURES}, np.array([[1, 0], [1, 1], [0, 0]] * 8), scores="probe")
    ranking = nrjax.rank_batch({"m": FEATURES}, LISTS[case](), scores="probe")
    assert ranking.classes == ("cat", "dog")
    assert ranking.scores == right.scores
    if case.startswith("arrays"):
        assert nrjax.load_dataset(frame(LISTS[case]())).labels[:3].tolist() == [[1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize("missing", [None, float("nan"), pandas.NA, "nan"])
def test_labels_of_a_list_that_are_missing_are_refused(missing):
    with pytest.raises(ValueError, match=r"labels must not be missing; sample 1 has \['cat', "):
        nrjax.rank_batch({"m": FEATURES}, [["cat"], ["cat", missing], []] * 8)


def test_labels_of_lists_that_nearly_read_the_same():
    with pytest.warns(RuntimeWarning, match="nearly the same name stay different: 'Cat' and 'cat'"):
        nrjax.rank_batch({"m": FEATURES}, [["cat"], ["Cat", "dog"], []] * 8)
    with pytest.raises(ValueError, match=r"different labels must differ as text; got \(1, '1'"):
        nrjax.rank_batch({"m": FEATURES}, [[1], ["1", 2], []] * 8)


def test_rows_of_0_and_1_in_a_column_keep_their_number():
    rows = pandas.Series(list(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]] * 8)))
    assert nrjax.rank_batch({"m": FEATURES}, rows, task="multilabel").classes == (0, 1, 2)


@pytest.mark.parametrize("labels", [[1.0, 2.0, 3.0], ["1.0", "2.0", "3.0"], ["1", "2", "3"]])
def test_ids_that_gaps_have_made_floats_are_ids(labels):
    data = nrjax.load_dataset(frame(pandas.Series(labels * 8, dtype=object)), classes="1-2")
    assert {data.class_names[i] for i in data.labels} == {"1", "2"}


def test_numbers_that_choose_other_classes_are_said():
    with pytest.warns(RuntimeWarning, match=r"are ids, which choose the classes called 2, -3\. .*classes=\['1'\]"):
        nrjax.load_dataset(frame([-3, 1, 2] * 8), classes=[1, 2])
    with pytest.raises(ValueError, match="a class is named twice"):
        nrjax.load_dataset(frame(["cat", "dog"] * 12), classes=["cat", "cat", "dog"])


AS_TEXT = {
    "lists of Python": "['{}', '{}']", "JSON": '["{}", "{}"]', "arrays of NumPy": "['{}' '{}']",
    "sets": "{{'{}', '{}'}}", "bars": "{}|{}",
}  # fmt: skip


@pytest.mark.parametrize("case", AS_TEXT)
def test_lists_of_labels_that_are_written_as_text(case):
    write = AS_TEXT[case]
    labels = [write.format("red", "dark green"), write.format("red", "blue"), write.format("blue", "dark green")] * 8
    data = nrjax.load_dataset(frame(labels), task="multilabel")
    assert data.class_names == ("blue", "dark green", "red")
    assert data.labels[:3].tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_empty_lists_that_are_written_as_text():
    data = nrjax.load_dataset(frame(["['a', 'b']", "[]", "['b']"] * 8), task="multilabel")
    assert data.labels[:3].tolist() == [[1, 1], [0, 0], [0, 1]]


def test_several_labels_without_a_mark_between_them_are_said():
    with pytest.warns(
        RuntimeWarning, match=r"labels are texts such as 'haze primary', and each is taken for one label"
    ):
        data = nrjax.load_dataset(frame(["haze primary", "haze", "primary"] * 8), task="multilabel")
    assert data.class_names == ("haze", "haze primary", "primary")
