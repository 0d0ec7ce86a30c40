"""P(within 1 point): against the normal distribution, in repeated worlds, and where there is none."""

import json

import numpy as np
import pytest
from scipy import stats

import nrjax
from nrjax.scoring.influences import influences_of_samples
from nrjax.scoring.near_best import FITTED, POINT, Discrepancy, p_near_best
from tests.oracles import blobs, one_line


def hits_of(accuracies, samples, seed=0):
    """Hits of probes, independent of each other, `[models, samples]`."""
    drawn = np.random.default_rng(seed).random((len(accuracies), samples))
    return (drawn < np.asarray(accuracies)[:, None]).astype(float)


def influences_of(hits):
    return np.stack([influences_of_samples(row) for row in hits])


@pytest.mark.parametrize("accuracies", [(0.9, 0.88), (0.6, 0.6), (0.52, 0.55)])
def test_of_two_models_it_is_a_normal_tail(accuracies):
    hits = hits_of(accuracies, 1500)
    p, found = hits.mean(axis=1), Discrepancy(0.7, 0.06)
    chance = np.var(hits[0] - hits[1], ddof=1) / 1500
    spread = np.sqrt(found.slope**2 * chance + found.scale**2 * np.sum(p * (1 - p)))
    ahead = found.slope * (p[0] - p[1])
    expected = stats.norm.cdf([(ahead + POINT) / spread, (-ahead + POINT) / spread])
    np.testing.assert_allclose(p_near_best(p, influences_of(hits), found), expected, atol=0.02)


def test_models_that_err_alike_differ_by_what_training_makes_of_them():
    hits = np.repeat(hits_of([0.8], 1000), 2, axis=0)
    expected = stats.norm.cdf(POINT / (FITTED.scale * np.sqrt(2 * hits[0].mean() * (1 - hits[0].mean()))))
    np.testing.assert_allclose(p_near_best(hits.mean(axis=1), influences_of(hits)), expected, atol=0.02)


def test_what_is_far_behind_has_no_chance_and_one_model_is_the_best():
    hits = hits_of([0.95, 0.4], 1000)
    assert p_near_best(hits.mean(axis=1), influences_of(hits)).tolist() == [1, 0]
    assert p_near_best(hits.mean(axis=1)[:1], influences_of(hits[:1])).tolist() == [1]
    perfect = np.ones((2, 100))
    assert p_near_best(perfect.mean(axis=1), influences_of(perfect)).tolist() == [1, 1]


def test_statements_hold_as_often_as_they_say():
    """Heads that follow the probe's true accuracy as the formula has it; the probe is seen on 1,000 samples."""
    rng, said, held = np.random.default_rng(0), [], []
    for world in range(300):
        true = rng.uniform(0.6, 0.9, 6)
        hits = hits_of(true, 1000, seed=world)
        heads = FITTED.slope * true + FITTED.scale * np.sqrt(true * (1 - true)) * rng.normal(size=6)
        said += p_near_best(hits.mean(axis=1), influences_of(hits)).tolist()
        held += (heads >= heads.max() - POINT).tolist()
    said, held = np.array(said), np.array(held)
    assert said.mean() == pytest.approx(held.mean(), abs=0.03)
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 1)):
        some = (said >= low) & (said <= high)
        assert some.sum() > 100
        assert said[some].mean() == pytest.approx(held[some].mean(), abs=0.1)


FEATURES, LABELS = blobs(1200, 8, 3, separation=0.5)
NOISE = np.random.default_rng(2).normal(size=FEATURES.shape).astype(np.float32)
MODELS = {"good": FEATURES, "blurred": FEATURES + 2 * NOISE, "broken": FEATURES[:5]}


def test_a_ranking_says_it_of_every_model_that_has_a_probe():
    ranking = nrjax.rank_batch(MODELS, LABELS, scores=("silhouette", "probe"), confidence=True)
    good, blurred, broken = json.loads(json.dumps(ranking.to_dict(), allow_nan=False))["models"]
    assert ranking.p_near_best == good["p_near_best"] > 0.9
    assert blurred["p_near_best"] < 0.1
    assert broken["p_near_best"] is None
    assert "retrained head" in ranking.statements["p_near_best"]
    assert "P(within" in str(ranking).splitlines()[0]
    said = "A head retrained on good is within one point of accuracy of the best candidate's with probability"
    assert f"{said} {ranking.p_near_best:.2f}." in one_line(ranking)
    assert "p_near_best" in ranking.to_csv().splitlines()[0]


def test_the_model_that_can_be_believed_more_is_named():
    wide = blobs(1200, 30, 3, separation=0.5)[0]
    wide[:, :3] += 60 * np.random.default_rng(1).normal(size=(len(LABELS), 3))
    models = {"plain": FEATURES, "wide": wide}
    ranking = nrjax.rank_batch(models, LABELS, scores=("silhouette", "probe"), confidence=True)
    assert ranking.best == "plain"
    assert ranking.p_near_best < 0.5
    assert ", one on wide with 1.00." in one_line(ranking)


@pytest.mark.parametrize("options", [{"confidence": True}, {"scores": ("silhouette", "probe")}, {}])
def test_without_a_probe_or_without_confidence_nothing_is_said(options):
    ranking = nrjax.rank_batch(MODELS, LABELS, **options)
    assert ranking.p_near_best is None
    assert "p_near_best" not in ranking.statements
    assert "within 1 point" not in one_line(ranking)
