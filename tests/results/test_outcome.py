"""What a ranking says beyond its order: classes, mistakes, disagreement, and what its statements are about."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import confusion_matrix, silhouette_samples
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import nrjax
from nrjax.kernels.probe import fit_probe
from tests.oracles import blobs, one_line

FEATURES, IDS = blobs(120, 8, 4, separation=0.6)
NAMES = np.array(["ant", "bee", "cat", "dog"])
LABELS = NAMES[IDS]
SCORES = ("silhouette", "probe", "knn")


@pytest.fixture(scope="module")
def ranking():
    noise = np.random.default_rng(1).normal(size=FEATURES.shape).astype(np.float32)
    models = {"whole": FEATURES, "blurred": FEATURES + 2 * noise, "broken": FEATURES[:5]}
    return nrjax.rank_batch(models, LABELS, scores=SCORES, confidence=True)


def test_by_class_has_the_means_of_every_class(ranking):
    expected = silhouette_samples(FEATURES.astype(float) - FEATURES.mean(axis=0), IDS, metric="cosine")
    for i, name in enumerate(NAMES):
        assert ranking.by_class["silhouette"]["whole"][name] == pytest.approx(expected[IDS == i].mean(), abs=1e-5)
    counts = np.bincount(IDS)
    for score in SCORES:
        assert list(ranking.by_class[score]) == [m.name for m in ranking.models if m.rank]
        for model, row in ranking.by_class[score].items():
            mean = sum(row[name] * n for name, n in zip(NAMES, counts, strict=True)) / len(IDS)
            assert mean == pytest.approx(ranking.column(score)[model], abs=1e-5)


def test_confused_are_the_pairs_of_the_classifiers_own_mistakes(ranking):
    """Of scikit-learn's ridge classifier and neighbours, each fitted without the sample."""
    rows = StandardScaler().fit_transform(FEATURES.astype(float))
    fit = jax.jit(fit_probe, static_argnames="n_classes")
    alpha = fit(jnp.asarray(FEATURES), jnp.asarray(IDS), n_classes=4).alpha.item()
    named = {
        "probe": cross_val_predict(RidgeClassifier(alpha), rows, IDS, cv=LeaveOneOut()),
        "knn": cross_val_predict(KNeighborsClassifier(5, metric="cosine"), FEATURES, IDS, cv=LeaveOneOut()),
    }
    assert set(ranking.confused) == set(named)
    for score, predicted in named.items():
        wrong = confusion_matrix(IDS, predicted) * (1 - np.eye(4, dtype=int))
        found = ranking.confused[score]["whole"]
        assert {(own, other): n for own, other, n in found} == {
            (NAMES[i], NAMES[j]): wrong[i, j] for i, j in zip(*np.nonzero(wrong), strict=True)
        }
        assert [n for *_, n in found] == sorted((n for *_, n in found), reverse=True)


def test_no_mistakes_are_no_pairs():
    perfect = (10.0 * np.eye(4, 8)[IDS] + 0.01 * FEATURES).astype(np.float32)
    ranking = nrjax.rank_batch({"perfect": perfect}, LABELS, scores=("probe", "logme"))
    assert ranking.confused == {"probe": {"perfect": []}}
    assert ranking.by_class == {"probe": {"perfect": dict.fromkeys(NAMES, 1.0)}}


def test_classes_that_look_alike_stay_apart():
    classes = ["1", 1, (2, 3), 2.5]
    labels = np.array([classes[i] for i in IDS], object)
    ranking = nrjax.rank_batch({"whole": FEATURES}, labels, scores=SCORES)
    assert len(ranking.by_class["probe"]["whole"]) == 4
    read = json.loads(json.dumps(ranking.to_dict(), allow_nan=False))
    assert sorted(map(str, read["classes"])) == sorted(map(str, classes))
    assert len(read["models"][0]["by_class"]["probe"]) == 4


def test_statements_say_what_they_are_about(ranking, tmp_path):
    read = json.loads(json.dumps(ranking.to_dict(), allow_nan=False))
    assert read["statements"]["p_first"] == "P(first by silhouette)"
    assert "silhouette of more such samples" in read["statements"]["interval"]
    assert "P(first by" in str(ranking).splitlines()[0]
    assert "not about accuracy after training" in one_line(ranking)
    assert "p_first" in ranking.to_csv().splitlines()[0]
    assert nrjax.rank_batch({"whole": FEATURES}, LABELS).statements == {}


@pytest.fixture(scope="module")
def at_odds():
    """`stretched` hides the classes from the silhouette alone; `plain` has them, in noise."""
    features, labels = blobs(300, 30, 3, separation=0.4)
    rng, stretched = np.random.default_rng(0), features.copy()
    stretched[:, :3] += 60 * rng.normal(size=(300, 3))
    return {"stretched": stretched, "plain": features + 1.5 * rng.normal(size=features.shape)}, labels


def test_two_first_choices_are_named_with_what_they_are_worth(at_odds):
    models, ids = at_odds
    ranking = nrjax.rank_batch(models, ids, scores=("silhouette", "probe", "knn", "logme"))
    assert ranking.order == ["plain", "stretched"]
    more, less = (100 * ranking.column("probe")[name] for name in ("stretched", "plain"))
    line = one_line(ranking)
    assert "Two first choices: " in line
    assert max(map(len, str(ranking).split("\n\n")[-1].splitlines())) <= 80
    assert "plain by silhouette, stretched by probe" in line
    assert f"{more:.1f} % of the samples with stretched and on {less:.1f} % with plain" in line
    assert f"{more - less:.1f} points of accuracy" in line
    assert "Also: logme puts stretched first. See 'Which score when'" in one_line(ranking)
    by_probe = nrjax.rank_batch(models, ids, scores=("silhouette", "probe", "knn", "logme"), by="probe")
    assert "stretched by probe, plain by silhouette" in one_line(by_probe)
    why = "Fine-tuning follows both about as well, a head on frozen features follows probe more."
    assert all(one_line(one).count(why) == 1 for one in (ranking, by_probe))
    by_others = nrjax.rank_batch(models, ids, scores=("probe", "knn"))
    assert "first choices" in one_line(by_others)
    assert why not in one_line(by_others)
    without = nrjax.rank_batch(models, ids, scores=("silhouette", "logme"))
    assert "The scores disagree: logme puts stretched first." in one_line(without)
    alike = nrjax.rank_batch(models, ids, scores=("probe", "knn", "logme"), by="logme")
    assert "first choices" not in one_line(alike)


@pytest.mark.parametrize("data", [{}, {"models": 3}, [], {"models": [{}]}])
def test_what_is_no_ranking_is_one_sentence(data):
    with pytest.raises(ValueError, match="from_dict takes what to_dict gave; got "):
        nrjax.Ranking.from_dict(data)
