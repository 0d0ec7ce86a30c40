"""Every error at the door: who, the rule, what came, what to do."""

import numpy as np
import pytest

import nrjax
from tests.oracles import blobs

X, Y = blobs(30, 6, 3)
INF = X.copy()
INF[4, 2] = np.inf

# features, labels, settings, error, words of its message
RANKING = {
    "NaN": (np.where(np.arange(6) == 1, np.nan, X), Y, {}, ValueError, "'m'|m: .*finite; row 0 has nan .30 of 30 rows"),
    "infinity": (INF, Y, {}, ValueError, "finite; row 4 has inf .1 of 30 rows"),
    "labels of another length": (X, Y[:-1], {}, ValueError, "one row per label; got 30 rows for 29 labels"),
    "one class": (X, np.zeros(30), {}, ValueError, "at least 2 classes.*got 1 classes in 30 samples"),
    "as many classes as samples": (X, np.arange(30), {}, ValueError, "fewer classes than samples.*got 30 classes"),
    "no labels": (X, [], {}, ValueError, "got 0 classes in 0 samples"),
    "missing labels": (X, [None, *Y[1:]], {}, ValueError, "missing; sample 0 has None"),
    "NaN labels": (X, np.r_[Y[:-1], np.nan], {}, ValueError, "missing; sample 29 has nan"),
    "one-hot labels": (X, np.eye(3)[Y], {}, ValueError, r"labels.argmax\(axis=1\) for classes, task=.multilabel"),
    "a score of classes for numbers": (
        X,
        X[:, 0],
        {"scores": "gbc", "task": "regression"},
        ValueError,
        "gbc.*not defined for numbers: take",
    ),
    "a level for confidence": (X, Y, {"confidence": 0.95}, TypeError, "True or False; got 0.95. .* probability 0.9"),
    "an unknown task": (X, Y, {"task": "ranking"}, ValueError, "classification, regression, multilabel; got 'ranking'"),
    "one group": (X, Y, {"groups": np.zeros(30)}, ValueError, "groups must be at least 2; got 1 group of 30 samples"),
    "groups without labels": (X, None, {"groups": Y}, ValueError, "task and groups need labels"),
    "no components": (X, Y, {"n_components": 0}, ValueError, "n_components must be at least 1; got 0"),
    "half a component": (X, Y, {"n_components": 2.5}, TypeError, "n_components must be an integer; got 2.5"),
    "boolean components": (X, Y, {"n_components": True}, TypeError, "integer; got True"),
    "1-D features": (X[:, 0], Y, {}, ValueError, r"\(30, dims\), one row per label; got \(30,\)"),
    "3-D features": (X.reshape(30, 3, 2), Y, {}, ValueError, r"got \(30, 3, 2\). Flatten or pool"),
    "0 rows": (X[:0], Y, {}, ValueError, "got 0 rows for 30 labels"),
    "0 columns": (X[:, :0], Y, {}, ValueError, r"got \(30, 0\)"),
    "object dtype": (X.astype(object), Y, {}, ValueError, "real numbers; got dtype object"),
    "complex dtype": (X + 1j, Y, {}, ValueError, "real numbers; got dtype complex"),
    "text": (X.astype(str), Y, {}, ValueError, "real numbers; got dtype <U"),
    "ragged lists": ([[1.0], [1.0, 2.0]], Y, {}, TypeError | ValueError, "NumPy refuses"),
    "unknown distance": (
        X,
        Y,
        {"distance": "manhattan"},
        ValueError,
        "cosine, euclidean, sqeuclidean; got 'manhattan'",
    ),
    "unknown definition": (X, Y, {"definition": "x"}, ValueError, "rousseeuw, centroid; got 'x'"),
    "unknown solver": (X, Y, {"solver": "x"}, ValueError, "auto, krylov, gram, svd; got 'x'"),
    "unknown method": (X, Y, {"method": "x"}, ValueError, "auto, linear, blockwise; got 'x'"),
    "linear Euclidean": (X, Y, {"distance": "euclidean", "method": "linear"}, ValueError, "Use method='blockwise'"),
    "block of nothing": (X, Y, {"block_size": 0}, ValueError, "block_size must be at least 1"),
}


@pytest.mark.parametrize("case", RANKING)
def test_rank_batch(case):
    features, labels, settings, error, words = RANKING[case]
    with pytest.raises((ValueError, TypeError), match=words) as raised:
        nrjax.rank_batch({"m": features}, labels, **settings)
    assert "\n" not in str(raised.value)
    if settings:
        assert isinstance(raised.value, error)


def test_empty_zoo():
    with pytest.raises(ValueError, match="at least one model; got none"):
        nrjax.rank_batch({}, Y)


def test_stack_without_models():
    with pytest.raises(ValueError, match=r"\(models, samples, dims\); got shape \(30, 6\)"):
        nrjax.rank_batch(X, Y)


def test_names_that_are_not_strings():
    with pytest.raises(TypeError, match="must be strings; got 3"):
        nrjax.rank_batch({3: X}, Y)


def test_score_batch_names_the_model():
    with pytest.raises(ValueError, match="Model 1: features must be finite; row 4"):
        nrjax.score_batch(np.stack([X, INF]), Y)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nrjax.pca(INF, 2), "features must be finite; row 4"),
        (lambda: nrjax.pca(X[0], 2), r"shape \(samples, dims\)"),
        (lambda: nrjax.pca(X[:1], 2), "at least 2 samples; got 1"),
        (lambda: nrjax.silhouette_score(X, Y[:5]), "points: expected one row per label; got 30 rows for 5"),
        (lambda: nrjax.silhouette_samples(INF, Y), "points: features must be finite"),
        (lambda: nrjax.silhouette_score(X, Y, distance="euclidean", method="linear"), "closed form"),
    ],
)
def test_metrics(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("labels", [np.linspace(0, 1.1, 40), np.eye(3)[np.arange(40) % 3], [["a"], ["a", "b"]] * 20])
@pytest.mark.parametrize("entry", ["batch", "stream", "silhouette"])
def test_what_is_of_classes_alone_says_who_takes_numbers_and_labels(labels, entry):
    features = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    call = {
        "batch": lambda: nrjax.score_batch(features[None], labels),
        "stream": lambda: nrjax.score_stream([(features, labels)]),
        "silhouette": lambda: nrjax.silhouette_score(features, labels),
    }[entry]
    with pytest.raises(ValueError, match=r"have no silhouette: rank_batch\(features, labels, task=...\) scores them"):
        call()
