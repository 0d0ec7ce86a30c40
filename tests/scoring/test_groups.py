"""Samples that belong together are left out together; held against scikit-learn that refits for every group."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import average_precision_score, r2_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier

import nrjax
from nrjax.kernels.ridge import ALPHAS
from nrjax.scoring.twins import share_of_twins
from tests.oracles import one_line
from tests.scoring.test_targets import EXACT, left_out, neighbours, numbers, pearson, precision, standardised

SIZES = {"alike": [6] * 10, "very different": [1, 1, 2, 3, 5, 8, 13, 40], "two": [30, 20]}

SHAPES = [("alike", 5), ("very different", 5), ("very different", 200), ("two", 200)]


def grouped(sizes, dims, classes=3, seed=0):
    """Features with an offset of each group, class ids of which every group has several, shuffled groups."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    ids = rng.permutation(np.arange(len(groups)) % classes)
    centres = rng.normal(size=(classes, dims))
    offsets = rng.normal(size=(len(sizes), dims))
    return 0.7 * centres[ids] + offsets[groups] + rng.normal(size=(len(groups), dims)), ids, groups


def splits_of(features, groups):
    return list(LeaveOneGroupOut().split(features, groups=groups))


def scores_of(features, labels, groups, names, **options):
    (model,) = nrjax.rank_batch({"m": features}, labels, groups=groups, scores=names, **options).models
    assert not model.uncertain
    return model.scores


@pytest.mark.parametrize(("sizes", "dims"), SHAPES)
def test_classes_by_refitting(sizes, dims):
    features, ids, groups = grouped(SIZES[sizes], dims)
    splits = splits_of(features, groups)
    signs = 2 * np.eye(3)[ids] - 1
    named = left_out(features, signs, splits).argmax(axis=1)
    voted = np.empty(len(ids))
    for train, test in splits:
        fitted = KNeighborsClassifier(5, metric="cosine").fit(features[train], ids[train])
        voted[test] = fitted.predict(features[test])
    scores = scores_of(features, ids, groups, ("probe", "knn", "balanced_probe"))
    assert scores["probe"] == pytest.approx(np.mean(named == ids), abs=EXACT)
    assert scores["knn"] == pytest.approx(np.mean(voted == ids), abs=EXACT)
    each = [np.mean(named[ids == c] == c) for c in range(3)]
    assert scores["balanced_probe"] == pytest.approx(np.mean(each), abs=EXACT)


def test_the_penalty_and_its_classes_are_those_of_ridge_classifier():
    """`left_out` above regresses signs; scikit-learn's own classifier names the same classes."""
    features, ids, groups = grouped([6] * 10, 5)
    scaled = standardised(features)
    splits = splits_of(features, groups)
    errors = {}
    for alpha in ALPHAS:
        values = np.empty((len(ids), 3))
        for train, test in splits:
            values[test] = RidgeClassifier(alpha).fit(scaled[train], ids[train]).decision_function(scaled[test])
        errors[alpha] = np.mean((values - (2 * np.eye(3)[ids] - 1)) ** 2), np.mean(values.argmax(axis=1) == ids)
    assert scores_of(features, ids, groups, "probe")["probe"] == pytest.approx(min(errors.values())[1], abs=EXACT)


@pytest.mark.parametrize(("sizes", "dims"), SHAPES)
def test_numbers_and_labels_by_refitting(sizes, dims):
    features, ids, groups = grouped(SIZES[sizes], dims)
    splits = splits_of(features, groups)
    y = features[:, :2] + np.random.default_rng(1).normal(size=(len(ids), 2))
    scores = scores_of(features, y, groups, ("probe", "knn"), task="regression")
    assert scores["probe"] == pytest.approx(r2_score(standardised(y), left_out(features, standardised(y), splits)))
    assert scores["knn"] == pytest.approx(pearson(neighbours(features, y, splits=splits), y), abs=EXACT)
    labels = (y > 0).astype(float)
    scores = scores_of(features, labels, groups, ("probe", "knn"), task="multilabel")
    assert scores["probe"] == pytest.approx(precision(left_out(features, labels, splits), labels), abs=EXACT)
    assert scores["knn"] == pytest.approx(precision(neighbours(features, labels, splits=splits), labels), abs=EXACT)


def test_a_group_of_more_samples_than_directions():
    """The other route: solved in the directions."""
    features, y = numbers(300, 6, 1)
    groups = np.minimum(np.arange(300) // 5, 20)  # the last of 200
    scores = scores_of(features, y, groups, "probe", task="regression")
    values = left_out(features, standardised(y), splits_of(features, groups))
    assert scores["probe"] == pytest.approx(r2_score(standardised(y), values))


def test_copies_of_samples_with_random_labels_are_at_chance():
    """40 groups of 10 copies; alone the copies say what the label is."""
    rng = np.random.default_rng(0)
    alone, together = [], []
    for _ in range(5):
        groups = np.repeat(np.arange(40), 10)
        features = rng.normal(size=(40, 32))[groups] + 0.1 * rng.normal(size=(400, 32))
        ids = rng.integers(0, 2, 40)[groups]
        alone.append(nrjax.rank_batch({"m": features}, ids, scores=("probe", "knn")).models[0].scores)
        together.append(scores_of(features, ids, groups, ("probe", "knn")))
    assert np.mean([s["knn"] for s in alone]) > 0.99
    assert np.mean([s["probe"] for s in alone]) > 0.9
    for name in ("probe", "knn"):  # 200 groups in all: chance is off by 0.035
        assert np.mean([s[name] for s in together]) == pytest.approx(0.5, abs=0.11)


def test_what_must_not_change_a_score():
    features, ids, groups = grouped([3, 4, 5, 6, 7, 9], 8)
    order = np.random.default_rng(1).permutation(len(ids))
    names = ("probe", "knn")
    before = scores_of(features, ids, groups, names)
    assert scores_of(features[order], ids[order], groups[order], names) == pytest.approx(before, abs=EXACT)
    renamed = [f"patient {(7 * g) % 11}" for g in groups]
    assert scores_of(features, ids, renamed, names) == pytest.approx(before, abs=EXACT)
    other = scores_of(features, ids, np.arange(len(ids)) // 2, names)
    assert other != pytest.approx(before, abs=EXACT)  # or groups would not count


def test_groups_of_one_are_no_groups():
    features, ids, _ = grouped([6] * 10, 8)
    plain = nrjax.rank_batch({"m": features}, ids, scores=("probe", "knn"))
    ranking = nrjax.rank_batch({"m": features}, ids, groups=np.arange(60), scores=("probe", "knn"))
    assert ranking.models[0].scores == plain.models[0].scores
    assert "Every group has one sample, so groups have no effect." in one_line(ranking)


def test_scores_that_leave_nothing_out_are_unchanged():
    features, ids, groups = grouped([6] * 10, 8)
    names = ("silhouette", "logme", "h_score", "transrate", "gbc")
    plain = nrjax.rank_batch({"m": features}, ids, scores=names)
    ranking = nrjax.rank_batch({"m": features}, ids, groups=groups, scores=names)
    assert ranking.models[0].scores == plain.models[0].scores
    assert ranking.settings["groups"] == 10


@pytest.mark.parametrize("name", ["probe", "silhouette"])
def test_intervals_are_of_groups(name):
    """Ten copies of every sample say no more than one: the interval is that of the samples, not a third of it."""
    rng = np.random.default_rng(0)
    ids = np.arange(120) % 2
    features = rng.normal(size=(120, 6)) + 0.9 * ids[:, None] * np.eye(6)[0]
    groups = np.repeat(np.arange(120), 10)
    copies = features[groups] + 1e-3 * rng.normal(size=(1200, 6))

    def width(*data, **options):
        (model,) = nrjax.rank_batch({"m": data[0]}, data[1], confidence=True, scores=name, **options).models
        return model.interval[1] - model.interval[0]

    of_groups = width(copies, ids[groups], groups=groups)
    assert of_groups == pytest.approx(width(features, ids), rel=0.35)
    assert width(copies, ids[groups]) < 0.6 * of_groups


def test_confidence_needs_groups():
    features, ids, groups = grouped([10] * 5, 4)
    with pytest.raises(ValueError, match="confidence needs at least 8 groups; got 5"):
        nrjax.rank_batch({"m": features}, ids, groups=groups, confidence=True)


def test_too_few_samples_beside_a_group():
    features, ids, groups = grouped([20, 2, 2], 4, classes=2)
    ranking = nrjax.rank_batch({"m": features}, ids, groups=groups, scores=("probe", "knn"))
    assert ranking.settings["undefined"] == {"knn": "5 neighbours need more samples than that; got 5"}


def test_twins_are_said_without_groups():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 20)).astype(np.float32)
    ids = np.arange(500) % 2
    copied = features.copy()
    copied[:10] = copied[250:260] * np.float32(1 + 1e-7)
    assert share_of_twins(features) == 0
    assert share_of_twins(copied) == pytest.approx(20 / 500)
    ranking = nrjax.rank_batch({"plain": features, "copied": copied}, ids, scores=("knn", "logme"))
    by_name = {model.name: model.uncertain for model in ranking.models}
    assert by_name["plain"] == {}
    assert set(by_name["copied"]) == {"knn"}
    assert "4.0 % of the samples have a twin" in by_name["copied"]["knn"]
    assert "groups=" in str(ranking)
    groups = np.r_[np.arange(250), np.arange(250)]
    assert not nrjax.rank_batch({"m": copied}, ids, groups=groups, scores="knn").models[0].uncertain


def test_one_sample_far_out_makes_no_twins():
    features = np.random.default_rng(0).normal(size=(300, 8))
    features[0] *= 1e9  # in whose scale the others are as one
    assert share_of_twins(features) == 0


def test_average_precision_by_groups():
    features, ids, groups = grouped([6] * 10, 8, classes=4)
    ids = (ids == 0).astype(int)
    values = left_out(features, 2 * np.eye(2)[ids] - 1, splits_of(features, groups))[:, 1]
    score = scores_of(features, ids, groups, "average_precision")["average_precision"]
    assert score == pytest.approx(average_precision_score(ids, values), abs=EXACT)


def test_ridge_needs_no_group_twice():
    """Of two groups each is fitted by the other alone."""
    features, y = numbers(40, 3, 1)
    groups = np.arange(40) % 2
    scaled, targets = standardised(features), standardised(y)
    best = np.inf
    for alpha in ALPHAS:
        values = np.empty_like(targets)
        for g in (0, 1):
            fitted = Ridge(alpha).fit(scaled[groups != g], targets[groups != g])
            values[groups == g] = fitted.predict(scaled[groups == g]).reshape(-1, 1)
        best = min(best, np.mean((values - targets) ** 2))
    assert scores_of(features, y, groups, "probe", task="regression")["probe"] == pytest.approx(1 - best)
