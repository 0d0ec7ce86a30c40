"""Clusters without labels: what scikit-learn finds, numbers of clusters, halves, and samples that do not cluster."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

import nrjax
from nrjax import kernels
from nrjax.kernels.clusters import adjusted_rand, cluster_ids
from tests.oracles import one_line

RNG = np.random.default_rng(0)


def blobs(classes, samples=400, dims=32, apart=3.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    return (rng.normal(size=(samples, dims)) + apart * rng.normal(size=(classes, dims))[labels]).astype(
        np.float32
    ), labels


def unit_points(features):
    points = np.asarray(kernels.pca(jnp.asarray(features), 10).points, np.float64)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("apart", [3.0, 0.7, 0.3])
def test_they_fit_as_well_as_those_of_scikit_learn(apart):
    """On unit vectors the squared distance to a mean and the cosine to its direction have the same best clusters."""
    features, _ = blobs(5, apart=apart)
    order = np.argsort(features @ np.cos(np.arange(features.shape[1])))  # in which `clusters` puts them, to draw starts
    features = features[order]
    rows = unit_points(features)
    ids = np.asarray(jax.jit(cluster_ids, static_argnums=1)(jnp.asarray(rows, jnp.float32), 5))
    theirs = KMeans(5, n_init=20, random_state=0).fit(rows).labels_

    def fit(ids):
        return sum(np.linalg.norm(rows[ids == k].sum(axis=0)) for k in range(5))

    assert fit(ids) > 0.995 * fit(theirs)
    value = nrjax.rank_batch({"m": features}, None, n_clusters=5).scores["m"]
    assert value == pytest.approx(silhouette_score(rows, ids, metric="cosine"), abs=1e-5)


def test_the_adjusted_rand_index_is_that_of_scikit_learn():
    index = jax.jit(functools.partial(adjusted_rand, n_clusters=6))
    for _ in range(10):
        one, other = RNG.integers(0, 6, (2, 300))
        mixed = np.where(RNG.random(300) < 0.7, one, other)
        for pair in ((one, other), (one, mixed), (one, (one + 1) % 6), (one, 0 * one), (0 * one, 0 * one)):
            mine = float(index(*map(jnp.asarray, pair)))
            assert mine == pytest.approx(adjusted_rand_score(*pair), abs=1e-5)


@pytest.mark.parametrize("classes", [3, 5, 8])
def test_the_number_that_is_most_apart_is_found(classes):
    features, _ = blobs(classes)
    chosen = nrjax.rank_batch({"m": features}, None)
    given = {k: nrjax.rank_batch({"m": features}, None, n_clusters=k).scores["m"] for k in (3, 5, 8)}
    assert chosen.scores["m"] == pytest.approx(given[classes], abs=1e-3)
    assert max(given, key=given.__getitem__) == classes
    assert chosen.column("stability")["m"] > 0.95


def test_what_does_not_cluster_is_not_stable():
    noise = RNG.normal(size=(400, 32)).astype(np.float32)
    ranking = nrjax.rank_batch({"noise": noise, "blobs": blobs(5)[0]}, None, n_clusters=5)
    assert ranking.order == ["blobs", "noise"]
    assert ranking.column("stability")["noise"] < 0.4 < 0.95 < ranking.column("stability")["blobs"]
    assert "Without labels" in one_line(ranking)
    assert "in 5 clusters" in one_line(ranking)


def test_degenerate_features():
    twins = np.repeat(np.eye(3, 4, dtype=np.float32), 20, axis=0)
    constant = np.ones((60, 4), np.float32)
    ranking = nrjax.rank_batch({"twins": twins, "constant": constant}, None, n_clusters=3)
    assert ranking.scores["twins"] == pytest.approx(1, abs=1e-5)
    assert ranking.scores["constant"] == 0


def test_labels_are_needed_or_not():
    features, labels = blobs(3)
    with pytest.raises(ValueError, match="silhouette, probe need labels; without them there are clusters, stability"):
        nrjax.rank_batch({"m": features}, None, scores=("silhouette", "probe"))
    with pytest.raises(ValueError, match="n_clusters must be an integer of at least 2; got 1"):
        nrjax.rank_batch({"m": features}, None, n_clusters=1)
    with pytest.raises(ValueError, match="n_clusters is of samples without labels"):
        nrjax.rank_batch({"m": features}, labels, n_clusters=3)
    both = nrjax.rank_batch({"m": features}, labels, scores=("probe", "clusters"))
    assert both.column("clusters")["m"] == nrjax.rank_batch({"m": features}, None, n_clusters=3).scores["m"]
    sure = nrjax.rank_batch({"m": features, "other": blobs(3, seed=1)[0]}, None, n_clusters=3, confidence=True)
    assert all(model.interval is not None for model in sure.models)


def test_models_on_samples_without_labels(tmp_path, save_tiny, tiny_images):
    for seed in range(3):
        save_tiny(tmp_path / "zoo", f"m{seed}", seed)
    images, _ = tiny_images
    options = {"n_clusters": 3, "progress": False}
    ranking = nrjax.rank(tmp_path / "zoo", images, **options)
    features = {name: nrjax.extract_features(model, images) for name, model in nrjax.load_zoo(tmp_path / "zoo").items()}
    assert ranking.scores == nrjax.rank_batch(features, None, n_clusters=3).scores
    stored = nrjax.sweep(tmp_path / "zoo", images, store=tmp_path / "r.db", **options)
    again = nrjax.sweep(tmp_path / "zoo", images, store=tmp_path / "r.db", **options)
    other = nrjax.sweep(tmp_path / "zoo", images, store=tmp_path / "r.db", progress=False)
    assert (stored.ranking.scores, again.stored, other.stored) == (ranking.scores, 3, 0)


@pytest.mark.parametrize("change", [lambda x: 1e200 * x, lambda x: 1e-250 * x, lambda x: x + 1e9])
def test_scale_and_mean_of_float64_features_do_not_matter(change):
    features = blobs(3, samples=90)[0].astype(np.float64)
    before, after = (
        nrjax.rank_batch({"m": x}, None, scores=["clusters", "stability"]).models[0].scores
        for x in (features, change(features))
    )
    assert after == pytest.approx(before, abs=1e-6)
