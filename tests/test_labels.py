"""One door for labels: what it takes, and what it refuses with a sentence."""

import datetime

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import nrjax
from nrjax.labels import encode

THREE = ["cat", "dog", "eel"] * 4
TAKEN = {
    "text": (THREE, 3),
    "text and a number that look alike": (["1", 1, 2] * 4, 3),
    "integers with gaps": ([7, -3, 7, 100] * 3, 3),
    "integers beyond int64": ([2**70, 1, 2**70 + 1] * 3, 3),
    "integers that float64 would melt": ([2**63 + 1, -1, 2**63] * 3, 3),
    "numbers that are equal": ([1, 1.0, 2] * 4, 2),
    "booleans": ([True, False] * 4, 2),
    "a column": (np.arange(12)[:, None] % 3, 3),
    "a column in a list": ([[i % 3] for i in range(12)], 3),
    "bytes": ([b"a", b"b"] * 4, 2),
    "dates": ([datetime.date(2026, 1, d) for d in (1, 2, 1, 3)], 3),
    "datetimes of NumPy": (np.array(["2026-01-01", "2026-01-02"] * 2, "M8[D]"), 2),
    "categories": (pd.Series(THREE, dtype="category"), 3),
    "nullable integers": (pd.Series([1, 2, 3] * 4, dtype="Int64"), 3),
    "an index": (pd.Index(THREE), 3),
    "a categorical": (pd.Categorical(THREE), 3),
    "scalars of JAX": ([jnp.asarray(i % 3) for i in range(12)], 3),
    "a frame of one column": (pd.DataFrame({"y": THREE}), 3),
    "jax": (jnp.arange(12) % 3, 3),
    "frozen sets": ([frozenset("a"), frozenset("ab"), frozenset("b")] * 4, 3),
    "tuples in an object array": (np.array([(1, 2), (3, 4), None], object)[[0, 1, 0, 1]], 2),
}


@pytest.mark.filterwarnings("ignore:classes with nearly the same name stay different. '1' and 1")
@pytest.mark.parametrize("case", TAKEN)
def test_taken(case):
    labels, classes = TAKEN[case]
    ids, names = encode(labels)
    assert ids.dtype == np.int32
    assert len(names) == classes == len(np.unique(ids))
    listed = [row[0] if isinstance(row, (list, np.ndarray)) else row for row in np.asarray(labels, object).tolist()] \
        if case != "tuples in an object array" else labels.tolist()  # fmt: skip
    for i, j in ((0, 1), (0, 2), (1, 3), (2, 3)):  # the same id for what is equal and of one kind, and only for that
        same = listed[i] == listed[j] and isinstance(listed[i], str) == isinstance(listed[j], str)
        assert (ids[i] == ids[j]) == same


def test_one_kind_is_sorted():
    assert encode(["b", "a", "c", "a"])[1].tolist() == ["a", "b", "c"]
    assert encode([10, 9, 2, 10])[1].tolist() == [2, 9, 10]


def with_missing(value):
    labels = list(THREE)
    labels[4] = value
    return labels


REFUSED = {
    "None": (with_missing(None), "missing; sample 4 has None"),
    "NaN among text": (with_missing(float("nan")), "missing; sample 4 has nan"),
    "NaN that NumPy made text": (np.array(with_missing(float("nan"))), "missing; sample 4 has nan"),
    "pandas NA": (pd.Series(with_missing(pd.NA), dtype="string"), "missing; sample 4 has <NA>"),
    "pandas NA in a list": (with_missing(pd.NA), "missing; sample 4"),
    "a category that is missing": (pd.Series(with_missing(None), dtype="category"), "missing; sample 4"),
    "nullable integers": (pd.Series([1, None, 2] * 4, dtype="Int64"), r"sample 1, 4, 7, 10 has <NA> \(4 in all\)"),
    "NaN": (np.array([0, 1, np.nan] * 4), "sample 2, 5, 8, 11 has nan"),
    "bytes": (np.array([b"a", b"nan"] * 4), "sample 1, 3, 5, 7 has"),
    "blanks": (with_missing("  "), "sample 4 has"),
    "no text": (np.array(with_missing("")), "sample 4 has"),
    "masked in a list": (with_missing(np.ma.masked), "sample 4 has"),
    "a categorical": (pd.Categorical(with_missing(None)), "sample 4"),
    "NaT": (np.array(["2026-01-01", "NaT"] * 4, "M8[D]"), "sample 1, 3, 5, 7 has NaT"),
    "a masked array": (np.ma.masked_array([0, 1, 2], [False, True, False]), "masked array"),
    "booleans among numbers": ([True, 1, 2] * 4, "booleans and numbers.*sample 0 has True, sample 1 has 1"),
    "sets": ([{"a"}, {"b"}, {"a", "b"}] * 4, "told apart"),
    "one-hot": (np.eye(3)[[0, 1, 2, 0]], r"one axis.*\(4, 3\).*argmax"),
    "a number": (np.array(3), r"one axis.*got shape \(\)"),
    "records": (np.zeros(4, "i4,f4"), "records"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    labels, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as raised:
        encode(labels)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("labels", [{"a", "b"}, "abc", {0: "a"}, 3])
def test_what_has_no_order(labels):
    with pytest.raises(TypeError, match="must be a sequence"):
        encode(labels)


X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
Y = np.arange(60) % 3


def test_features_that_are_masked_or_sparse_are_told_the_way_out():
    import scipy.sparse

    with pytest.raises(ValueError, match=r"masked one.*array.filled"):
        nrjax.rank_batch({"m": np.ma.masked_less(X, -2)}, Y)
    with pytest.raises(ValueError, match=r"sparse csr_array. Use array.toarray\(\)"):
        nrjax.rank_batch({"m": scipy.sparse.csr_array(X)}, Y)


def test_frames_with_nullable_and_boolean_columns():
    frame = pd.DataFrame({"a": pd.array(X[:, 0], dtype="Float64"), "b": pd.array(X[:, 1] > 0, dtype="boolean")})
    plain = np.stack([X[:, 0].astype(float), X[:, 1] > 0], axis=1)
    assert nrjax.rank_batch({"m": frame}, Y).scores == nrjax.rank_batch({"m": plain}, Y).scores
    frame.loc[7, "b"] = pd.NA
    with pytest.raises(ValueError, match="row 7 has nan"):
        nrjax.rank_batch({"m": frame}, Y)


def test_rows_and_labels_that_differ_in_number():
    with pytest.raises(ValueError, match="got 60 rows for 61 labels") as raised:
        nrjax.rank_batch({"m": X}, [*Y, 0])
    assert "Flatten" not in str(raised.value)


@pytest.mark.parametrize("column", [pd.date_range("2020", periods=60), np.full(60, 1j), ["a"] * 60])
def test_columns_that_are_no_numbers(column):
    frame = pd.DataFrame(X).assign(odd=column)
    with pytest.raises(ValueError, match="columns of real numbers; column 'odd' has dtype"):
        nrjax.rank_batch({"m": frame}, Y)


def test_text_files(tmp_path):
    from nrjax.datasets import read_labels

    path = tmp_path / "labels.txt"
    path.write_bytes(b'\xef\xbb\xbfcat\r\n"dog"\r\xef\xbb\xbfcat\ndog\n\n')
    assert read_labels(path).tolist() == ["cat", "dog", "cat", "dog"]
    path.write_text("cat\n\ndog\n")
    with pytest.raises(ValueError, match="line 2 is empty"):
        read_labels(path)
