"""A head is scikit-learn's ridge on standardised features, and it predicts what the probe had counted."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import average_precision_score, log_loss, r2_score
from sklearn.preprocessing import StandardScaler

import nrjax
from tests.oracles import blobs

FEATURES, LABELS = blobs(120, 12, 4)
FEATURES = FEATURES + np.random.default_rng(0).normal(0, 2, FEATURES.shape).astype(np.float32)
NEW, _ = blobs(40, 12, 4, seed=1)
WIDE = np.concatenate([FEATURES, FEATURES**2, np.sin(np.arange(1, 15)[:, None, None] * FEATURES).reshape(120, -1)], 1)
NUMBERS = FEATURES @ np.linspace(-1, 1, 12) + np.random.default_rng(1).normal(0, 0.3, 120)


def identity():
    """A model whose features are its inputs."""
    return nrjax.from_embedder(lambda arrays: np.asarray(arrays, np.float32), version="1")


@pytest.mark.parametrize("features", [FEATURES, WIDE, FEATURES * 1e-20, np.c_[FEATURES, np.ones(120)]])
def test_classes(features):
    features = np.asarray(features, np.float32)
    names = np.array(["a", "b", "c", "d"])[LABELS]
    head = nrjax.fit_head(identity(), features, names)
    scaler = StandardScaler().fit(features.astype(np.float64))
    reference = RidgeClassifier(alpha=head.alpha).fit(scaler.transform(features.astype(np.float64)), names)
    values = reference.decision_function(scaler.transform(features.astype(np.float64)))
    np.testing.assert_allclose(head.decision_function(features), values, atol=1e-5)
    assert (head.predict(features) == reference.predict(scaler.transform(features.astype(np.float64)))).all()
    assert head.score == nrjax.rank_batch({"m": features}, names, scores="probe").models[0].score


def test_probabilities_are_likelier_than_those_of_any_other_temperature():
    head = nrjax.fit_head(identity(), FEATURES, LABELS)
    left_out = np.zeros((120, 4))
    for i in range(120):
        rest = np.arange(120) != i
        scaled = StandardScaler().fit(FEATURES).transform(FEATURES)  # the scaling sees all samples
        fitted = RidgeClassifier(alpha=head.alpha).fit(scaled[rest], LABELS[rest])
        left_out[i] = fitted.decision_function(scaled[i : i + 1])[0]

    def surprise(temperature):
        exponents = np.exp((left_out - left_out.max(axis=1, keepdims=True)) / temperature)
        return log_loss(LABELS, exponents / exponents.sum(axis=1, keepdims=True))

    assert surprise(head.temperature) < min(surprise(0.8 * head.temperature), surprise(1.25 * head.temperature))
    probabilities = head.predict_proba(NEW)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == head.predict(NEW)).all()


@pytest.mark.parametrize("outputs", [1, 3])
def test_numbers(outputs):
    numbers = NUMBERS if outputs == 1 else np.stack([NUMBERS, 100 * FEATURES[:, 0], FEATURES[:, 1] - 7], axis=1)
    head = nrjax.fit_head(identity(), FEATURES, numbers, task="regression")
    scaled = StandardScaler().fit(FEATURES).transform(FEATURES)
    reference = Ridge(alpha=head.alpha).fit(scaled, numbers)
    np.testing.assert_allclose(head.predict(FEATURES), reference.predict(scaled), rtol=1e-4, atol=1e-4)
    left_out = np.stack([
        Ridge(alpha=head.alpha).fit(np.delete(scaled, i, 0), np.delete(numbers, i, 0)).predict(scaled[i : i + 1])[0]
        for i in range(120)
    ])  # fmt: skip
    assert head.score == pytest.approx(r2_score(numbers, left_out), abs=1e-5)
    with pytest.raises(ValueError, match="predict_proba is of classes and of several labels; this head gives numbers"):
        head.predict_proba(FEATURES)


def test_several_labels():
    labels = (FEATURES[:, :3] + np.random.default_rng(2).normal(0, 0.5, (120, 3)) > 0.5).astype(int)
    head = nrjax.fit_head(identity(), FEATURES, labels, task="multilabel")
    probed = nrjax.rank_batch({"m": FEATURES}, labels, task="multilabel", scores="probe")
    assert head.score == pytest.approx(probed["m"].score, abs=1e-6)
    probabilities = head.predict_proba(FEATURES)
    assert ((head.predict(FEATURES) > 0) == (probabilities > 0.5)).all()
    assert average_precision_score(labels, probabilities, average="macro") > head.score - 0.05
    assert abs(probabilities.mean() - labels.mean()) < 0.1


def test_of_a_ranking_by_several_layers(tiny_images):
    from tests.conftest import tiny_variables

    images, labels = tiny_images
    module, variables = tiny_variables()
    models = {"m": nrjax.from_linen(module, variables, input_shape=(8, 8, 1))}
    ranking = nrjax.rank(models, images, labels, layers=[0, "penultimate", -1], scores="probe")
    head = ranking.head()
    assert str(head.layer) == ranking["m"].layer
    assert head.score == pytest.approx(ranking["m"].score)
    assert head.predict(images[:5]).shape == (5,)
    assert ranking.with_settings(request={}).head("m").score == head.score
    assert pickle.loads(pickle.dumps(ranking)).scores == ranking.scores  # without the models
    with pytest.raises(KeyError, match="no model 'other'"):
        ranking.head("other")
    for other in (pickle.loads(pickle.dumps(ranking)), nrjax.Ranking.from_dict(ranking.to_dict())):
        with pytest.raises(ValueError, match="this ranking holds no models"):
            other.head()


def test_failed_models_and_samples_without_labels_have_none(tiny_images):
    images, labels = tiny_images
    models = {"good": nrjax.from_embedder(lambda x: x.reshape(len(x), -1)), "bad": nrjax.from_embedder(lambda x: 1 / 0)}
    with pytest.raises(ValueError, match="bad failed, so it has no head"):
        nrjax.rank(models, images, labels).head("bad")
    with pytest.raises(ValueError, match="a head needs labels"):
        nrjax.rank({"good": models["good"]}, images).head()


def test_files(tmp_path):
    head = nrjax.fit_head(identity(), FEATURES, np.array(["ä", "b", "c", "d"])[LABELS])
    head.save(tmp_path / "head")
    again = nrjax.load_head(tmp_path / "head", identity())
    assert (again.predict_proba(NEW) == head.predict_proba(NEW)).all()
    assert again.classes == head.classes
    described = json.loads((tmp_path / "head" / "head.json").read_text(encoding="utf-8"))
    assert described["fingerprint"]
    other = nrjax.from_embedder(lambda arrays: np.asarray(arrays, np.float32)[:, :6], version="2")
    with pytest.raises(ValueError, match="was fitted on another model"):
        nrjax.load_head(tmp_path / "head", other)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("head.json", "{}"), ("head.json", "no JSON"), ("head.safetensors", "no tensors"),
        ("head.json", json.dumps({"task": "classification", "layer": 0, "classes": [1], "temperature": -1, "offset": 0,
                                  "alpha": 1, "score": 1, "fingerprint": None})),
    ],
)  # fmt: skip
def test_damaged_files_are_one_sentence(tmp_path, name, content):
    nrjax.fit_head(identity(), FEATURES, LABELS).save(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match="holds no head that can be read"):
        nrjax.load_head(tmp_path, identity())
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match="is not there"):
        nrjax.load_head(tmp_path, identity())


def test_a_refused_model_stays_as_it_was(tmp_path):
    fitted = nrjax.models.as_model(identity())
    fitted.pool_by("mean")
    nrjax.fit_head(fitted, FEATURES, LABELS).save(tmp_path)
    other = nrjax.models.as_model(nrjax.from_embedder(lambda arrays: np.asarray(arrays, np.float32) * 2, version="2"))
    with pytest.raises(ValueError, match="was fitted on another model"):
        nrjax.load_head(tmp_path, other)
    assert other.pooling is None
    assert nrjax.load_head(tmp_path, identity()).model.pooling == "mean"


def test_a_column_that_is_constant_but_for_rounding_has_no_weight():
    step = 3 * np.finfo(np.float32).eps
    column = np.where(np.arange(len(FEATURES)) % 2, 100, np.float32(100 * (1 + step))).astype(np.float32)
    both = np.hstack([FEATURES, column[:, None]])
    head, without = (nrjax.fit_head(identity(), array, LABELS) for array in (both, FEATURES))
    assert not head.weights[-1].any()
    np.testing.assert_allclose(head.weights[:-1], without.weights, rtol=1e-4, atol=1e-6)


def test_a_feature_that_hardly_varied_does_not_blow_up_new_samples(tmp_path):
    rare = np.zeros((len(FEATURES) + len(NEW), 1), np.float32)
    rare[3], rare[-1] = 1e-4, 1.0  # a unit that is active for one of the samples, and for a new one
    both, new = np.split(np.hstack([np.concatenate([FEATURES, NEW]), rare]), [len(FEATURES)])
    head = nrjax.fit_head(identity(), both, NUMBERS, task="regression")
    without = nrjax.fit_head(identity(), FEATURES, NUMBERS, task="regression").predict(NEW)
    assert np.abs(head.predict(new) - without).max() < 0.3 * NUMBERS.std()
    unlimited = dataclasses.replace(head, limits=None)
    assert np.abs(unlimited.predict(new) - without)[-1] > 100 * NUMBERS.std()
    np.testing.assert_allclose(head.predict(new)[:-1], unlimited.predict(new)[:-1])
    head.save(tmp_path)
    assert (nrjax.load_head(tmp_path, identity()).predict(new) == head.predict(new)).all()


def test_one_picture_is_not_taken_for_many():
    zoo, images, labels = nrjax.load_demo()
    head = nrjax.fit_head(zoo["F10"], images[:50], labels[:50])
    with pytest.raises(ValueError, match=r"got \(28, 28, 1\), one image. For one, images\[None\]"):
        head.predict(images[0])
    assert head.predict(images[0][None]).shape == (1,)


def test_a_folder_without_a_head_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere/head.json is not there"):
        nrjax.load_head(tmp_path / "nowhere", identity())
