"""Scores of numbers and of several labels, held against scikit-learn in float64 that refits for every sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_linnerud
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, r2_score
from sklearn.model_selection import LeaveOneOut
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import nrjax
from nrjax.kernels.agreement import average_precision
from nrjax.kernels.knn import estimate_knn_of_numbers
from nrjax.kernels.linear_mse import linear_mse
from nrjax.kernels.ridge import ALPHAS
from tests.oracles import one_line

pytestmark = pytest.mark.filterwarnings("ignore:labels are numbers with fractions:RuntimeWarning")

EXACT = 1e-9  # of float64: spectra are as good as eps of their largest entry, beside a penalty of 0.1
NAMES = {"regression": ("probe", "knn", "logme", "linear_mse"), "multilabel": ("probe", "knn", "logme")}


def standardised(array):
    return (array - array.mean(axis=0)) / array.std(axis=0)


@threadpool_limits.wrap(limits=1)  # hundreds of small fits: threads of OpenBLAS would wait for each other
def left_out(features, targets, splits=None):
    """Values that ridge gives each sample, refitted without it; the penalty of the least squared error so."""
    features = StandardScaler().fit_transform(features)
    splits = list(LeaveOneOut().split(features) if splits is None else splits)
    best = None
    for alpha in ALPHAS:
        values = np.empty(targets.shape)
        for train, test in splits:
            fitted = Ridge(alpha).fit(features[train], targets[train]).predict(features[test])
            values[test] = fitted.reshape(values[test].shape)
        error = np.mean((values - targets) ** 2)
        best = (error, alpha, values) if best is None or error < best[0] else best
    return best[2]


@threadpool_limits.wrap(limits=1)
def neighbours(features, targets, k=5, metric="cosine", splits=None):
    values = np.empty(targets.shape)
    for train, test in LeaveOneOut().split(features) if splits is None else splits:
        fitted = KNeighborsRegressor(k, metric=metric).fit(features[train], targets[train])
        values[test] = fitted.predict(features[test])
    return values


def pearson(values, targets):
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(values.T, targets.T, strict=True)])


def precision(values, targets):
    return np.mean([average_precision_score(b, a) for a, b in zip(values.T, targets.T, strict=True)])


def scores_of(features, labels, names, **options):
    (model,) = nrjax.rank_batch({"m": features}, labels, scores=names, **options).models
    assert not model.missing
    assert not model.uncertain
    return model.scores


def numbers(samples, dims, outputs, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(samples, dims)) / np.arange(1, dims + 1) ** 0.5
    return features, 7 + 3 * features[:, :outputs] + rng.normal(size=(samples, outputs)) * np.arange(1, outputs + 1)


def labels_of(samples, dims, seed=0):
    features, values = numbers(samples, dims, 3, seed)
    return features, (values > np.quantile(values, [0.5, 0.8, 0.3], axis=0).diagonal()).astype(int)


def test_diabetes():
    features, y = map(standardised, load_diabetes(return_X_y=True))
    scores = scores_of(features, y, NAMES["regression"])
    assert scores["probe"] == pytest.approx(0.4940863420, abs=EXACT)
    assert scores["logme"] == pytest.approx(-1.0990414697, abs=EXACT)
    assert scores["knn"] == pytest.approx(0.654362, abs=1e-6)
    assert scores["linear_mse"] == pytest.approx(-0.6486276935, abs=EXACT)
    raw = scores_of(features, load_diabetes().target, ("logme", "probe"), task="regression")
    assert raw["logme"] == pytest.approx(-6.5235639622, abs=EXACT)
    assert raw["probe"] == pytest.approx(0.4940863420, abs=EXACT)  # whatever the unit


@pytest.mark.parametrize(("k", "expected"), [(1, 0.506330), (3, 0.585336), (5, 0.624351), (13, 0.665413)])
def test_euclidean_neighbours_of_diabetes(k, expected):
    features, y = map(standardised, load_diabetes(return_X_y=True))
    with jax.enable_x64(True):
        found = estimate_knn_of_numbers(jnp.asarray(features), jnp.asarray(y[:, None]), metric="euclidean", k=k)
    assert float(found.value) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("penalty", "expected"), [(0, -0.4822515778), (0.01, -0.4870937042), (1, -0.6486276935)])
def test_linear_mse_of_diabetes(penalty, expected):
    features, y = map(standardised, load_diabetes(return_X_y=True))
    with jax.enable_x64(True):
        value = linear_mse(jnp.asarray(features), jnp.asarray(y[:, None]), penalty=float(penalty))
    assert float(value) == pytest.approx(expected, abs=EXACT)


def test_linnerud():
    features, y = map(standardised, load_linnerud(return_X_y=True))
    ranking = nrjax.rank_batch({"m": features}, y, scores="logme")
    assert ranking.scores["m"] == pytest.approx(-1.3496774213, abs=EXACT)
    each = list(ranking.by_class["logme"]["m"].values())
    assert each == pytest.approx([-1.3833811, -1.2467126, -1.4189385], abs=1e-7)


def test_iris_as_labels():
    features, ids = load_iris(return_X_y=True)
    assert scores_of(features, np.eye(3)[ids], "logme", task="multilabel")["logme"] == pytest.approx(
        nrjax.rank_batch({"m": features}, ids, scores="logme").scores["m"], abs=EXACT
    )
    labels = np.stack([ids != 0, features[:, 1] > 3, features[:, 0] > 5.8], axis=1)
    ranking = nrjax.rank_batch({"m": features}, labels, scores="logme")
    assert ranking.scores["m"] == pytest.approx(-0.1465561468, abs=EXACT)
    each = list(ranking.by_class["logme"]["m"].values())
    assert each == pytest.approx([0.3269914605, -0.4432687673, -0.3233911337], abs=EXACT)


@pytest.mark.parametrize(("samples", "dims", "outputs"), [(60, 8, 1), (40, 70, 3), (50, 50, 2)])
def test_numbers_by_refitting(samples, dims, outputs):
    features, y = numbers(samples, dims, outputs)
    scores = scores_of(features, y, ("probe", "knn"), task="regression")
    values = left_out(features, standardised(y))
    assert scores["probe"] == pytest.approx(r2_score(standardised(y), values), abs=EXACT)
    assert scores["knn"] == pytest.approx(pearson(neighbours(features, y), y), abs=EXACT)


@pytest.mark.parametrize(("samples", "dims"), [(60, 8), (40, 70)])
def test_labels_by_refitting(samples, dims):
    features, y = labels_of(samples, dims)
    scores = scores_of(features, y, ("probe", "knn"))
    assert scores["probe"] == pytest.approx(precision(left_out(features, y.astype(float)), y), abs=EXACT)
    assert scores["knn"] == pytest.approx(precision(neighbours(features, y.astype(float)), y), abs=EXACT)
    in_float32 = scores_of(features.astype(np.float32), y, ("probe", "knn"))
    assert in_float32["probe"] == pytest.approx(scores["probe"], abs=1e-3)  # what it promises


def test_linear_mse_is_the_least_there_is():
    features, y = numbers(60, 80, 2)
    for penalty in (0.01, 1.0):
        fitted = Ridge(60 * penalty).fit(features, y)
        least = np.mean(np.sum((y - fitted.predict(features)) ** 2, axis=1)) + penalty * np.sum(fitted.coef_**2)
        with jax.enable_x64(True):
            assert float(linear_mse(jnp.asarray(features), jnp.asarray(y), penalty=penalty)) == pytest.approx(-least)


def test_average_precision_of_ties():
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 4, 50) / 4, rng.normal(size=50), np.zeros(50)):
        positive = rng.random(50) < 0.3
        ours = average_precision(jnp.asarray(values, jnp.float32), jnp.asarray(positive, jnp.float32))
        assert float(ours) == pytest.approx(average_precision_score(positive, values), abs=1e-6)


@pytest.mark.parametrize("task", NAMES)
def test_what_must_not_change_a_score(task):
    features, y = numbers(70, 12, 2) if task == "regression" else labels_of(70, 12)
    order = np.random.default_rng(1).permutation(70)
    before = scores_of(features, y, NAMES[task], task=task)
    assert scores_of(features[order], y[order], NAMES[task], task=task) == pytest.approx(before, abs=EXACT)
    assert scores_of(features, y[:, ::-1], NAMES[task], task=task) == pytest.approx(before, abs=EXACT)
    moved = scores_of(features, y[::-1], NAMES[task], task=task)
    assert all(moved[name] < before[name] - 0.01 for name in NAMES[task])  # or a constant would pass


def test_numbers_may_have_any_unit():
    features, y = numbers(70, 12, 2)
    before = scores_of(features, y, ("probe", "knn"), task="regression")
    after = scores_of(features, 1e6 + y * [1e-3, 1e4], ("probe", "knn"), task="regression")
    assert after == pytest.approx(before, abs=1e-6)  # 1e6 leaves ten digits of 1e-3


@pytest.mark.parametrize("task", NAMES)
def test_what_means_nothing_says_what_to_take(task):
    features, y = numbers(30, 5, 2) if task == "regression" else labels_of(30, 5)
    others = [name for name, kind in nrjax.available_scores().items() if kind.reads == "features"]
    others = [name for name in others if name not in NAMES[task]]
    ranking = nrjax.rank_batch({"m": features}, y, scores=(*others, "probe"), by="probe", task=task)
    assert not ranking.models[0].missing
    assert set(ranking.settings["undefined"]) == set(others)
    assert all("take probe, knn" in reason for reason in ranking.settings["undefined"].values())
    with pytest.raises(ValueError, match=r"silhouette.*not defined for .*take probe, knn"):
        nrjax.rank_batch({"m": features}, y, scores="silhouette", task=task)
    with pytest.raises(ValueError, match=r"linear_mse.*not defined for classes: take silhouette"):
        nrjax.rank_batch({"m": features}, np.arange(30) % 2, scores="linear_mse")


def test_the_default_is_the_probe_and_the_ranking_says_what_it_is_of():
    features, y = numbers(60, 8, 1)
    ranking = nrjax.rank_batch({"good": features, "bad": features[:, 4:]}, y[:, 0])
    assert ranking.settings["by"] == "probe"
    assert (ranking.settings["task"], ranking.settings["outputs"]) == ("regression", 1)
    assert ranking.order == ["good", "bad"]
    assert "R² of a linear probe, leaving one sample out, 60 samples with a number each" in one_line(ranking)
    assert nrjax.Ranking.from_dict(ranking.to_dict()).scores == ranking.scores


def test_a_constant_label_is_left_out_and_said():
    features, y = labels_of(40, 6)
    with_constant = np.column_stack([np.ones(40), y])
    ranking = nrjax.rank_batch({"m": features}, with_constant)
    assert ranking.scores == nrjax.rank_batch({"m": features}, y).scores
    assert "Left out, because all samples or none have it: label 0 (1 of 4)." in one_line(ranking)
    assert list(ranking.by_class["probe"]["m"]) == [1, 2, 3]


def intervals(labels_at, features, truth, draws, size, **options):
    """Share of the intervals, of samples of one population, that hold its score."""
    rng, held = np.random.default_rng(0), []
    for _ in range(draws):
        rows = rng.choice(len(features), size, replace=False)
        (model,) = nrjax.rank_batch({"m": features[rows]}, labels_at(rows), confidence=True, **options).models
        low, high = model.interval
        held.append(low <= truth <= high)
    return np.mean(held)


@pytest.mark.parametrize("name", ["probe", "knn"])
def test_intervals_of_numbers_hold(name):
    """Nine in ten should; of 40 draws 36 +- 2 do."""
    features, y = numbers(4000, 4, 1)
    truth = scores_of(features, y[:, 0], name)[name]
    assert 0.78 <= intervals(lambda rows: y[rows, 0], features, truth, 40, 300, scores=name) <= 1


def test_confidence_of_numbers_and_labels_stays_within_bounds():
    features, y = labels_of(60, 6)
    ranking = nrjax.rank_batch({"a": features, "b": features[:, 3:]}, y, confidence=True)
    for model in ranking.models:
        assert 0 <= model.interval[0] <= model.score <= model.interval[1] <= 1
    assert ranking.p_near_best is None
    assert "P(within 1 point) is about the accuracy of retrained heads, so it is left out" in one_line(ranking)
