"""Features, labels and groups of pandas: rows in another order, columns that number rows or hold the labels."""

import types

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

import nrjax

pandas = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
FEATURES = RNG.normal(size=(60, 6)) + 2 * np.eye(3, 6)[LABELS]
PROBABILITIES = 0.8 * np.eye(3)[LABELS] + 0.2 / 3
FRAME, SERIES = pandas.DataFrame(FEATURES), pandas.Series(LABELS)
GROUPS = pandas.Series([f"patient {i // 6}" for i in range(60)])
SHUFFLED = RNG.permutation(60)
OTHER = FRAME.iloc[SHUFFLED]
MODEL = nrjax.from_embedder(np.asarray, kind="array")

DOORS = {
    "groups beside labels": lambda: nrjax.rank_batch({"m": FEATURES}, SERIES, groups=GROUPS.iloc[SHUFFLED]),
    "groups beside features": lambda: nrjax.rank_batch({"m": FRAME}, LABELS, groups=GROUPS.iloc[SHUFFLED]),
    "groups beside samples": lambda: nrjax.rank({"m": MODEL}, FRAME, LABELS, groups=GROUPS.iloc[SHUFFLED]),
    "groups beside a table": lambda: nrjax.rank(
        {"m": MODEL}, FRAME.assign(label=LABELS), groups=GROUPS.iloc[SHUFFLED], scores="probe"
    ),
    "another mapping": lambda: nrjax.rank_batch(types.MappingProxyType({"m": OTHER}), SERIES),
    "probabilities": lambda: nrjax.rank_batch(
        {"m": FEATURES}, SERIES, scores="leep", probabilities={"m": pandas.DataFrame(PROBABILITIES).iloc[SHUFFLED]}
    ),
    "silhouette_samples": lambda: nrjax.silhouette_samples(OTHER, SERIES),
    "leep": lambda: nrjax.leep(pandas.DataFrame(PROBABILITIES).iloc[SHUFFLED], SERIES),
    "score_stream": lambda: nrjax.score_stream([(OTHER, SERIES)]),
    "fit_head": lambda: nrjax.fit_head(MODEL, OTHER, SERIES),
}


@pytest.mark.parametrize("door", DOORS)
def test_rows_in_another_order_are_refused_at_every_door(door):
    with pytest.raises(ValueError, match=r"have the index of the samples in another order.*\.loc\[samples.index\]"):
        DOORS[door]()


def test_models_whose_rows_differ_in_order_are_not_compared():
    ranking = nrjax.rank_batch({"a": FRAME, "b": OTHER, "array": FEATURES}, LABELS)
    assert sorted(ranking.order) == ["a", "array"]
    assert ranking.scores["a"] == ranking.scores["array"]
    assert "features have the index of the samples in another order" in ranking["b"].reason


@pytest.mark.parametrize("name", ["id", "Unnamed: 0", "index", "PassengerId"])
def test_a_column_that_numbers_the_rows_is_no_feature(name):
    frame = FRAME.rename(columns="f{}".format).assign(**{name: range(60)})
    with pytest.warns(RuntimeWarning, match=f"Model 'm': left out column '{name}', which numbers the rows"):
        score = nrjax.rank_batch({"m": frame}, LABELS).scores["m"]
    right = silhouette_score(PCA(6, svd_solver="full").fit_transform(FEATURES), LABELS, metric="cosine")
    assert score == pytest.approx(right, abs=1e-5)
    assert nrjax.rank_batch({"m": frame.rename(columns={name: "age"})}, LABELS)["m"].dims == 7


CODES = np.array([5.0, -2.0, 3.0])
COPIES = {
    "the labels": (LABELS, LABELS, "classification"),
    "other codes of them": (CODES[LABELS], LABELS, "classification"),
    "numbers": (FEATURES[:, 0] * 3, FEATURES[:, 0] * 3, "regression"),
    "one of several labels": (LABELS == 1, np.stack([LABELS == 1, FEATURES[:, 0] > 0], axis=1), "multilabel"),
}


@pytest.mark.parametrize("case", COPIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_among_the_features_are_said(case, dtype):
    column, labels, task = COPIES[case]
    leaking = np.c_[FEATURES, column].astype(dtype)
    ranking = nrjax.rank_batch({"m": leaking, "plain": FEATURES.astype(dtype)}, labels, task=task, scores="probe")
    assert ranking["m"].uncertain["probe"].startswith("feature 6, counted from 0, has one value for each label")
    assert "probe" not in ranking["plain"].uncertain


def test_features_that_are_like_labels_by_chance_are_not_remarked_on():
    few = np.array([0, 0, 1, 1, 2, 2, 2, 2])
    assert not nrjax.rank_batch({"m": np.c_[FEATURES[:8], few]}, few, scores="probe")["m"].uncertain
    zeros = np.c_[np.zeros((60, 2)), FEATURES, LABELS > 0]  # of which no column tells all three classes apart
    assert not nrjax.rank_batch({"m": zeros}, LABELS, scores="probe")["m"].uncertain


SAME_GROUPS = {
    "blanks": lambda i: f"p{i // 6}" + " " * (i % 2),
    "numbers and texts": lambda i: i // 6 if i % 2 else str(i // 6),
    "1 and 1.0": lambda i: f"{i // 6}" + ".0" * (i % 2),
    "composed and decomposed": lambda i: f"caf\u00e9 {i // 6}" if i % 2 else f"cafe\u0301 {i // 6}",
}


@pytest.mark.parametrize("case", SAME_GROUPS)
def test_groups_that_read_the_same_are_one(case):
    copies, labels = np.repeat(FEATURES[::6], 6, axis=0) + 1e-3 * FEATURES, LABELS[RNG.permutation(60)]
    groups = [SAME_GROUPS[case](i) for i in range(60)]
    ranking = nrjax.rank_batch({"m": copies}, labels, groups=groups, scores=("probe", "knn"))
    right = nrjax.rank_batch({"m": copies}, labels, groups=np.arange(60) // 6, scores=("probe", "knn"))
    assert ranking["m"].scores == right["m"].scores
    assert ranking.settings["groups"] == 10


def test_groups_that_nearly_read_the_same_are_said_and_words_for_none_are_refused():
    with pytest.warns(RuntimeWarning, match="groups with nearly the same name stay different: 'P0' and 'p0'"):
        nrjax.rank_batch({"m": FEATURES}, LABELS, groups=[f"{'pP'[i % 2]}{i // 6}" for i in range(60)])
    with pytest.raises(ValueError, match=r"groups must not be missing; sample 0 has none \(9 in all\)"):
        nrjax.rank_batch({"m": FEATURES}, LABELS, groups=[f"p{i // 6}" if i % 7 else "NA" for i in range(60)])
