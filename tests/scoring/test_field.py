"""Inputs that people have met, with the values that are right: from float64 by two routes, or from what they mean."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import nrjax
from nrjax.scoring import scores as registry


def noisy(seed, samples, dims, classes, by, change=lambda features: features) -> tuple[np.ndarray, np.ndarray]:
    rng, labels = np.random.default_rng(seed), np.arange(samples) % classes
    noise = rng.normal(size=(samples, dims))
    return change(noise + by * np.eye(classes)[labels] @ rng.normal(size=(classes, dims))), labels


def dead_units(features):
    wide = np.concatenate([features, np.zeros((150, 80))], axis=1)
    return wide[:, np.random.default_rng(7).permutation(120)].astype(np.float32)


def means_after_noise(samples, dims, classes, by=0.5):
    rng, labels = np.random.default_rng(0), np.arange(samples) % classes
    return rng, rng.normal(size=(samples, dims)) + by * rng.normal(size=(classes, dims))[labels], labels


def large_activation(factor):
    _, features, labels = means_after_noise(300, 50, 5)
    features[:, 0] *= factor
    return features, labels


def turned(smallest):
    """Columns from 1 to the smallest, mixed by a rotation: no such thing changes an H-score."""
    rng, features, labels = means_after_noise(1000, 64, 5)
    rotation = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    return (features * np.geomspace(1, smallest, 64)) @ rotation, labels


def broken_sample():
    rng, features, labels = means_after_noise(600, 64, 3, by=1)
    features[0] += 1e6 * rng.normal(size=64) / 8
    return features.astype(np.float32), labels


# score, features and labels, what is right, how near
RIGHT = {
    "dead units": ("logme", lambda: noisy(0, 150, 40, 5, 0.5, dead_units), -0.243097, 2e-5),
    "more dims than samples": ("logme", lambda: noisy(3, 100, 1000, 4, 0.7, np.float32), 0.4782, 2e-4),
    "an offset": ("logme", lambda: noisy(3, 600, 48, 5, 0.8, lambda x: x + 1000), 0.2121, 2e-4),
    "an activation 30-fold": ("logme", lambda: large_activation(30), -0.1695, 3e-4),
    "an activation 100-fold": ("logme", lambda: large_activation(100), -0.1735, 3e-4),
    "an activation 1,000-fold": ("logme", lambda: large_activation(1000), -0.1812, 3e-4),
    "columns turned": ("h_score", lambda: turned(1), 3.06021, 1e-3),
    "columns shrunk to 1e-4 and turned": ("h_score", lambda: turned(1e-4), 3.06021, 1e-3),
    "a dominant direction": ("h_score", lambda: noisy(3, 600, 48, 5, 0.8, lambda x: x[:, :1] + 1e-3 * x), 3.3042, 2e-3),
    "a broken sample": ("silhouette", broken_sample, 0.225771, 2e-5),
}


@pytest.mark.parametrize("case", RIGHT)
def test_is_right_and_nothing_is_said_against_it(case):
    name, make, right, near = RIGHT[case]
    features, labels = make()
    (model,) = nrjax.rank_batch({"m": features}, labels, scores=name).models
    assert model.score == pytest.approx(right, abs=near)
    assert model.uncertain == {}


@pytest.mark.parametrize(("far", "right"), [(1e4, 0.219198), (1e5, 0.201455), (1e6, 0.201195), (1e7, 0.201185)])
def test_one_entry_far_out(far, right):
    features, labels = noisy(4, 120, 32, 4, 1.0, np.float32)
    features[7, 3] = far
    ranking = nrjax.rank_batch({"m": features}, labels, confidence=True)
    assert ranking.scores["m"] == pytest.approx(right, abs=2e-5)
    assert ranking.models[0].uncertain == {}


def test_gbc_of_a_thousand_classes():
    rng, labels = np.random.default_rng(1), np.arange(5000) % 1000
    means, noise = rng.normal(size=(1000, 64)), rng.normal(size=(5000, 64))
    models = {f"by {by}": noise + by * means[labels] for by in (1, 3)}
    ranking = nrjax.rank_batch(models, labels, scores="gbc")
    assert ranking.order == ["by 3", "by 1"]
    assert ranking.scores["by 1"] == pytest.approx(-1.9e-5, abs=1e-6)
    assert -1e-30 < ranking.scores["by 3"] < 0  # the classes hardly overlap; rounding would give 1e-7


GOOD, LABELS = noisy(4, 120, 32, 4, 3.0, np.float32)
ROUNDING = np.finfo(np.float32).eps * np.random.default_rng(0).integers(-1, 2, GOOD.shape).astype(np.float32)
COLLAPSED = {
    "constant": np.full_like(GOOD, 3),
    "zero": np.zeros_like(GOOD),
    "equal rows": np.tile(GOOD[:1], (len(GOOD), 1)),
    "equal but for rounding": (np.abs(GOOD[:1]) + 1) * (1 + ROUNDING),
}


def never(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("case", COLLAPSED)
@pytest.mark.parametrize("name", ["silhouette", "h_score"])
def test_a_collapsed_model_scores_zero_and_spoils_nothing(name, case):
    ranking = nrjax.rank_batch({"same": COLLAPSED[case], "good": GOOD}, LABELS, scores=name, confidence=True)
    good, same = ranking.models
    assert (good.name, good.p_first, good.group) == ("good", 1.0, 1)
    assert good.interval[0] < good.interval[1]
    assert same.score == pytest.approx(0, abs=1e-6)
    assert (same.p_first, same.group) == (0.0, 2)
    assert "not vary" in same.uncertain[name] or "times their rounding" in same.uncertain[name]
    assert json.loads(ranking.to_json(), parse_constant=never)["models"][0]["p_first"] == 1.0


def test_a_model_that_is_not_finite_is_lost_alone():
    spoilt = GOOD.copy()
    spoilt[4, 2] = np.nan
    ranking = nrjax.rank_batch({"spoilt": spoilt, "good": GOOD}, LABELS, confidence=True)
    good, lost = json.loads(ranking.to_json(), parse_constant=never)["models"]
    assert (good["name"], good["p_first"]) == ("good", 1.0)
    assert (lost["score"], lost["interval"], lost["p_first"]) == (None, None, None)
    assert "row 4 has nan" in lost["reason"]


def test_influences_that_are_not_finite_cost_one_model_its_interval(monkeypatch):
    def partly(features, labels, *, n_classes):
        """A mean that is no number for parts of a model that begins above 50."""
        return jnp.where((len(features) < len(LABELS)) & (features[0, 0] > 50), jnp.nan, jnp.mean(features))

    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    nrjax.register_score("partly", partly)
    models = {"odd": GOOD - GOOD.mean() + 100, "a": GOOD + 1, "b": GOOD}
    ranking = nrjax.rank_batch(models, LABELS, scores="partly", confidence=True)
    odd, a, b = json.loads(ranking.to_json(), parse_constant=never)["models"]
    assert (odd["name"], odd["interval"], odd["p_first"], odd["group"]) == ("odd", None, None, None)
    assert odd["score"] == pytest.approx(100, abs=1e-3)
    for sure, mean in ((a, GOOD.mean() + 1), (b, GOOD.mean())):
        assert sure["interval"][0] < mean < sure["interval"][1]
    assert (a["group"], b["group"]) == (2, 3)


class Breaks(dict):
    """Computes on access, and breaks with one model."""

    def __init__(self, error, **models):
        super().__init__(breaks=None, **models)
        self._error = error

    def __getitem__(self, name):
        if name == "breaks":
            raise self._error
        return super().__getitem__(name)


NETWORK = nn.Dense(3), {"params": {"kernel": np.zeros((32, 3), np.float32), "bias": np.zeros(3, np.float32)}}
WAYS_IN = {
    "rank_batch": lambda error: nrjax.rank_batch(Breaks(error, sound=GOOD), LABELS, scores="h_score"),
    "rank": lambda error: nrjax.rank(Breaks(error, sound=NETWORK), GOOD, LABELS, layer=0, scores="h_score"),
}


@pytest.mark.parametrize("error", [RuntimeError, KeyError, IndexError, MemoryError])
@pytest.mark.parametrize("way", WAYS_IN)
def test_a_mapping_that_breaks_loses_that_model(way, error):
    ranking = WAYS_IN[way](error("gone"))
    assert ranking.order == ["sound"]
    assert ranking.failed == {"breaks": f"{error.__name__}: gone"}


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("way", WAYS_IN)
def test_the_users_wish_to_stop_goes_through(way, wish):
    if (way, wish) == ("rank", SystemExit):  # a candidate's own code calls sys.exit, not the user
        assert "sys.exit" in WAYS_IN[way](wish()).failed["breaks"]
        return
    with pytest.raises(wish):
        WAYS_IN[way](wish())
