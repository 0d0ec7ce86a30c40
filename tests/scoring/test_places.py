"""The mean of places by several scores, beside a ranking of each."""

import numpy as np
import pytest
from scipy import stats

import nrjax
from tests.oracles import blobs, one_line

SCORES = ("silhouette", "probe", "nce")
_, Y = blobs(90, 4, 3)
FEATURES = {f"m{i}": blobs(90, 6, 3, seed=i, separation=s)[0] for i, s in enumerate((0.2, 2.0, 0.6, 1.2))}
FEATURES["twin"] = FEATURES["m1"]
PROBABILITIES = {name: np.eye(3)[(Y + (np.arange(90) % (i + 2) == 0)) % 3] for i, name in enumerate(FEATURES)}


def test_is_the_mean_of_the_places_and_lower_is_better():
    ranking = nrjax.rank_batch(
        FEATURES, Y, scores=(*SCORES, "mean_rank"), by="mean_rank", probabilities=PROBABILITIES
    )  # fmt: skip
    names = ranking.order
    columns = [[ranking.column(score)[name] for name in names] for score in SCORES]
    expected = np.mean([stats.rankdata(-np.array(column)) for column in columns], axis=0)
    np.testing.assert_allclose([ranking.scores[name] for name in names], expected)
    assert list(expected) == sorted(expected)
    assert "lower is better" in one_line(ranking)


def test_models_that_lack_a_score_have_no_mean_and_do_not_move_the_others():
    probabilities = {name: theta for name, theta in PROBABILITIES.items() if name != "m3"}
    options = {"scores": (*SCORES, "mean_rank"), "by": "mean_rank", "probabilities": probabilities}
    ranking = nrjax.rank_batch(FEATURES | {"nan": np.full((90, 4), np.nan)}, Y, **options)
    assert ranking.failed["m3"] == "mean_rank: it is of 3 scores, and there is no nce"
    assert set(ranking.failed) == {"m3", "nan"}
    without = {name: array for name, array in FEATURES.items() if name != "m3"}
    assert ranking.scores == nrjax.rank_batch(without, Y, **options).scores


def test_confidence_says_nothing_of_it_but_agreement():
    ranking = nrjax.rank_batch(
        FEATURES, Y, scores=("silhouette", "probe", "mean_rank"), by="mean_rank", confidence=True
    )  # fmt: skip
    assert list(ranking.statements) == ["p_near_best"]
    assert ranking.p_near_best is not None
    assert all(model.interval is None for model in ranking.models)
    assert "Intervals" not in one_line(ranking)


@pytest.mark.parametrize("scores", ["mean_rank", ("mean_rank", "probe")])
def test_needs_two_others(scores):
    with pytest.raises(ValueError, match="mean_rank is the mean of places by at least two other scores"):
        nrjax.rank_batch(FEATURES, Y, scores=scores)


def test_a_score_that_means_nothing_for_the_target_is_left_out_of_the_mean():
    scores = ("silhouette", "probe", "average_precision", "mean_rank")  # of two classes, and there are more
    ranking = nrjax.rank_batch(FEATURES, Y, scores=scores, by="mean_rank")
    right = nrjax.rank_batch(FEATURES, Y, scores=("silhouette", "probe", "mean_rank"), by="mean_rank")
    assert ranking.column("mean_rank") == right.column("mean_rank")
    assert set(ranking.settings["undefined"]) == {"average_precision"}
