"""Classes of very different sizes: what the majority hides, and which score shows it."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

import nrjax
from nrjax.scoring.confidence import QUANTILE, interval_of_mean_share, interval_of_share
from nrjax.scoring.defaults import default_scores, why_default
from nrjax.scoring.influences import influences_of_halves
from nrjax.targets import Target
from tests.oracles import one_line
from tests.scoring.test_targets import left_out

ONE_SAMPLE = 1e-9  # scores are shares of samples: none may be off


def rare(samples=300, share=0.1, dims=6, seed=0, apart=1.5):
    rng = np.random.default_rng(seed)
    ids = (rng.permutation(samples) < share * samples).astype(int)
    return rng.normal(size=(samples, dims)) + apart * ids[:, None] * np.eye(dims)[0], ids


def test_balanced_scores_by_refitting():
    rng = np.random.default_rng(0)
    ids = rng.permutation(np.repeat([0, 1, 2], [70, 20, 10]))
    features = rng.normal(size=(100, 5)) + 1.5 * np.eye(5)[ids]
    named = left_out(features, 2 * np.eye(3)[ids] - 1).argmax(axis=1)
    voted = np.array([
        KNeighborsClassifier(5, metric="cosine").fit(np.delete(features, i, 0), np.delete(ids, i)).predict(
            features[i : i + 1]
        )[0] for i in range(100)
    ])  # fmt: skip
    ranking = nrjax.rank_batch({"m": features}, ids, scores=("balanced_probe", "balanced_knn", "probe"))
    scores = ranking.models[0].scores
    assert scores["balanced_probe"] == pytest.approx(balanced_accuracy_score(ids, named), abs=ONE_SAMPLE)
    assert scores["balanced_knn"] == pytest.approx(balanced_accuracy_score(ids, voted), abs=ONE_SAMPLE)
    assert ranking.by_class["balanced_probe"]["m"] == pytest.approx(ranking.by_class["probe"]["m"])
    assert ranking.confused["balanced_probe"] == ranking.confused["probe"]


def test_average_precision_of_the_rare_class():
    features, ids = rare(120)
    values = left_out(features, 2 * np.eye(2)[ids] - 1)[:, 1]
    for labels in (ids, 1 - ids):  # whatever the rare class is called
        score = nrjax.rank_batch({"m": features}, labels, scores="average_precision").scores["m"]
        assert score == pytest.approx(average_precision_score(ids, values), abs=1e-9)
    ranking = nrjax.rank_batch({"m": features}, np.arange(120) % 3, scores=("probe", "average_precision"))
    assert ranking.settings["undefined"]["average_precision"].endswith("take balanced_probe")
    assert "No model has average_precision: it is of two classes" in str(ranking)


def test_the_majority_hides_a_feature_and_the_balanced_scores_show_it():
    """3.3 % positives."""
    features, ids = rare(1500, 0.033, apart=2.0)
    noise = features[:, 1:]
    names = ("probe", "balanced_knn", "average_precision")
    ranking = nrjax.rank_batch({"noise": noise, "informative": features}, ids, scores=names)
    by_name = {model.name: model.scores for model in ranking.models}
    assert by_name["informative"]["probe"] - by_name["noise"]["probe"] < 0.01
    assert by_name["informative"]["average_precision"] > by_name["noise"]["average_precision"] + 0.2
    assert by_name["informative"]["balanced_knn"] > by_name["noise"]["balanced_knn"] + 0.02
    assert ranking.settings["majority"] == pytest.approx(1 - ids.mean())
    chances = {"probe": 1 - ids.mean(), "balanced_knn": 0.5, "average_precision": ids.mean()}
    assert ranking.settings["chance"] == pytest.approx(chances)
    assert "96.7 % of them in the largest (chance 0.967)" in one_line(ranking)


def test_nothing_is_said_of_classes_of_like_sizes():
    features, _ = rare()
    ranking = nrjax.rank_batch({"m": features}, np.arange(300) % 3, scores="probe")
    assert "300 samples in 3 classes; from 0 to 1" in one_line(ranking)
    assert ranking.settings["chance"] == {"probe": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    ("counts", "imbalanced"),
    [([50, 50], False), ([74, 26], False), ([97, 3], True), ([25, 25, 25, 25], False), ([31, *[10] * 7], False),
     ([70, *[5] * 6], True), ([40, *[6] * 10], True), ([20, *[8] * 10], False)],
)  # fmt: skip
def test_the_default_where_the_largest_class_has_three_times_its_share(counts, imbalanced):
    target = Target.of(np.repeat(np.arange(len(counts)), counts))
    assert target.is_imbalanced == imbalanced
    assert default_scores(target) == ("silhouette",)
    assert default_scores(target, beside=True)[0] == ("balanced_probe" if imbalanced else "silhouette")
    assert (why_default(target, beside=True) is not None) == imbalanced
    assert why_default(target) is None


def test_the_defaults_of_other_targets():
    assert default_scores(Target.unlabelled(10)) == ("clusters", "stability")
    for labels, task in ((np.random.default_rng(0).normal(size=50), "regression"), ([["a"], ["a", "b"], []], None)):
        target = Target.of(labels, task=task)
        assert default_scores(target) == default_scores(target, beside=True) == ("probe",)


@pytest.mark.parametrize("name", ["balanced_probe", "average_precision"])
def test_intervals_hold(name):
    """Nine in ten should. The truth is the mean of as many samples: they are about those.

    The share of the rare class differs from draw to draw, and moves what a probe says of it.
    """
    features, ids = rare(20_000, 0.15)
    rng, models = np.random.default_rng(0), []
    for _ in range(40):
        rows = rng.choice(len(ids), 1200, replace=False)
        models += nrjax.rank_batch({"m": features[rows]}, ids[rows], confidence=True, scores=name).models
    scores = [model.score for model in models]
    held = [model.interval[0] <= np.mean(scores) <= model.interval[1] for model in models]
    assert np.mean(held) >= 0.72  # 0.84 of 120 draws, but for two standard deviations of 40
    widths = [(model.interval[1] - model.interval[0]) / 2 / 1.645 for model in models]
    assert np.mean(widths) == pytest.approx(np.std(scores), rel=0.2)


def test_intervals_count_that_shares_differ():
    """A probe names the rare class the more often, the more of it is among the samples: its recall has their share."""
    features, ids = rare(1200, 0.15)
    target = Target.of(ids)

    def score_of(rows):
        (model,) = nrjax.rank_batch({"m": features[rows]}, ids[rows], scores="balanced_probe").models
        return model.score

    kept, free = (influences_of_halves(score_of, strata) for strata in (target.strata, np.zeros(1200, int)))
    (model,) = nrjax.rank_batch({"m": features}, ids, scores="balanced_probe", confidence=True).models
    width = (model.interval[1] - model.interval[0]) / 2 / 1.645
    by_units = [np.sqrt(np.sum(part**2) / (len(part) * (len(part) - 1))) for part in (kept, free)]
    assert by_units[1] > 1.05 * by_units[0]
    assert width == pytest.approx(by_units[1], rel=0.05)


def test_intervals_of_few_samples_lie_within_bounds():
    features, ids = rare(80, 0.2)
    for name in ("balanced_probe", "balanced_knn", "average_precision"):
        (model,) = nrjax.rank_batch({"m": features}, ids, confidence=True, scores=name).models
        assert 0 <= model.interval[0] < model.score < model.interval[1] <= 1


@pytest.mark.parametrize("shares", [(0.99, 0.95, 0.8, 0.9), (0.95, 0.6, 0.2, 0.03), (0.98, 0.9, 0.6, 0.3)])
def test_intervals_of_a_mean_of_shares_hold_where_classes_have_few_samples(shares):
    counts, rng = np.array([120, 50, 20, 10]), np.random.default_rng(0)
    held, plain = [], []
    for hits in rng.binomial(counts, shares, (2000, 4)):
        seen = hits / counts
        low, high = interval_of_mean_share(seen, counts)
        held.append(low <= np.mean(shares) <= high)
        half = QUANTILE * np.sqrt(np.sum(seen * (1 - seen) / counts)) / 4
        plain.append(abs(seen.mean() - np.mean(shares)) <= half)
    assert 0.88 <= np.mean(held) <= 0.94
    assert abs(np.mean(held) - 0.9) <= abs(np.mean(plain) - 0.9) + 0.01


def test_of_one_class_it_is_that_of_a_share_and_the_ranking_takes_it():
    assert interval_of_mean_share(np.array([0.7]), np.array([20])) == pytest.approx(interval_of_share(0.7, 20))
    ids = np.repeat([0, 1, 2], [60, 15, 6])
    features = np.eye(3)[ids] + np.random.default_rng(0).normal(0, 0.01, (81, 3))
    model = nrjax.rank_batch({"m": features}, ids, scores="balanced_probe", confidence=True).models[0]
    assert model.score == 1
    assert model.interval == pytest.approx((interval_of_mean_share(np.ones(3), np.array([60, 15, 6]))[0], 1))


def test_a_class_of_one_sample_costs_no_ranking():
    rng = np.random.default_rng(0)
    model = nrjax.from_embedder(lambda rows: rows, "array")
    ranking = nrjax.rank({"m": model}, rng.normal(size=(31, 4)), [0] * 30 + [1], progress=False)
    assert (ranking.order, ranking.settings["by"]) == (["m"], "silhouette")
    assert "every class needs at least 2; 1 of 2 classes have only 1" in " ".join(str(ranking).split())
