import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

import nrjax
from nrjax import kernels
from tests import oracles
from tests.oracles import F32_ATOL, blobs

DISTANCES = ["cosine", "euclidean", "sqeuclidean"]
ROUTES = [(d, m) for d in DISTANCES for m in ("linear", "blockwise") if (d, m) != ("euclidean", "linear")]
SHAPES = [(12, 7, 3), (300, 10, 4), (257, 3, 40), (50, 30, 2)]


@pytest.mark.parametrize(("distance", "method"), ROUTES)
@pytest.mark.parametrize(("samples", "dims", "classes"), SHAPES)
def test_agrees_with_scikit_learn(samples, dims, classes, distance, method):
    points, labels = blobs(samples, dims, classes)
    ours = nrjax.silhouette_samples(points, labels, distance=distance, method=method)
    np.testing.assert_allclose(ours, oracles.silhouette_samples(points, labels, distance), atol=F32_ATOL)
    score = nrjax.silhouette_score(points, labels, distance=distance, method=method)
    assert score == pytest.approx(
        metrics.silhouette_score(points.astype(np.float64), labels, metric=distance), abs=F32_ATOL
    )


@pytest.mark.parametrize(("distance", "method"), ROUTES)
@pytest.mark.parametrize("block_size", [1, 7, 100, 299, 1000])
def test_block_size_changes_nothing(block_size, distance, method):
    points, labels = blobs(300, 10, 4)
    ours = nrjax.silhouette_samples(points, labels, distance=distance, method=method, block_size=block_size)
    whole = nrjax.silhouette_samples(points, labels, distance=distance, method=method)
    np.testing.assert_allclose(ours, whole, atol=2e-6)


@pytest.mark.parametrize("distance", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("definition", ["rousseeuw", "centroid"])
def test_linear_and_blockwise_check_each_other(definition, distance):
    points, labels = blobs(500, 12, 7)
    linear, blockwise = (
        nrjax.silhouette_samples(points, labels, distance=distance, definition=definition, method=method)
        for method in ("linear", "blockwise")
    )
    np.testing.assert_allclose(linear, blockwise, atol=2e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_centroid_definition_written_out(distance):
    points, labels = blobs(60, 4, 3)
    points = points.astype(np.float64)
    pairs = metrics.pairwise_distances(points, metric=distance)
    centroids = np.stack([points[labels == k].mean(0) for k in range(3)])
    to_centroids = metrics.pairwise_distances(points, centroids, metric=distance)
    expected = []
    for i, k in enumerate(labels):
        others = (labels == k) & (np.arange(60) != i)
        a, b = pairs[i, others].mean() if others.any() else 0, np.delete(to_centroids[i], k).min()
        expected.append((b - a) / max(a, b) if others.any() else 0)
    ours = nrjax.silhouette_samples(points, labels, distance=distance, definition="centroid")
    np.testing.assert_allclose(ours, expected, atol=F32_ATOL)


@pytest.mark.parametrize(
    ("distance", "uci", "value"),
    [
        ("cosine", False, 0.7222943088),
        ("sqeuclidean", False, 0.6566670179),
        ("euclidean", False, 0.5034774407),
        ("cosine", True, 0.7222369298),
        ("sqeuclidean", True, 0.6564679231),
    ],
)
@pytest.mark.parametrize("method", ["auto", "blockwise"])
def test_iris(distance, uci, value, method):
    points, labels = oracles.iris(uci=uci)
    assert nrjax.silhouette_score(points, labels, distance=distance, method=method) == pytest.approx(value, abs=2e-6)
    with jax.enable_x64(True):
        ours = nrjax.silhouette_score(points, labels, distance=distance, method=method)
    assert ours == pytest.approx(value, abs=1e-9)


def test_by_hand():
    points = np.array([0, 1, 1, 2, 3, 3.0])[:, None]
    ours = nrjax.silhouette_samples(points, [0, 1, 1, 1, 2, 2], distance="euclidean")
    np.testing.assert_allclose(ours, [0, 0.5, 0.5, 0, 1, 1], atol=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_noise(distance):
    rng = np.random.default_rng(42)
    points, labels = rng.normal(size=(300, 10)), rng.integers(0, 4, 300)
    ours = nrjax.silhouette_samples(points, labels, distance=distance)
    np.testing.assert_allclose(ours, oracles.silhouette_samples(points, labels, distance), atol=F32_ATOL)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x, y, r: (x[p := r.permutation(len(x))], y[p]), id="permuted samples"),
        pytest.param(lambda x, y, r: (x, (y * 7 + 3) % 11), id="renamed classes"),
        pytest.param(lambda x, y, r: (np.pad(x, ((0, 0), (0, 9))), y), id="padded columns"),
        pytest.param(lambda x, y, r: (x @ np.linalg.qr(r.normal(size=(6, 6)))[0], y), id="rotated"),
        pytest.param(lambda x, y, r: (x * 1e-18, y), id="tiny"),
        pytest.param(lambda x, y, r: (x * 1e15, y), id="huge"),
        pytest.param(lambda x, y, r: (x * r.uniform(0.1, 9, (len(x), 1)), y), id="rows rescaled"),
    ],
)
@pytest.mark.parametrize("method", ["linear", "blockwise"])
def test_cosine_invariances(change, method):
    points, labels = blobs(200, 6, 4)
    same = change(points, labels, np.random.default_rng(0))
    before = nrjax.silhouette_score(points, labels, method=method)
    assert nrjax.silhouette_score(*same, method=method) == pytest.approx(before, abs=2e-6)


@pytest.mark.parametrize(("distance", "method"), ROUTES)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_neither_underflows_nor_overflows(scale, distance, method):
    points, labels = blobs(200, 6, 4)
    before = nrjax.silhouette_score(points, labels, distance=distance, method=method)
    after = nrjax.silhouette_score(points.astype(np.float64) * scale, labels, distance=distance, method=method)
    assert after == pytest.approx(before, abs=2e-6)


@pytest.mark.parametrize("method", ["linear", "blockwise"])
def test_nearly_parallel_rows_keep_their_digits(method):
    points, labels = blobs(300, 10, 4, offset=100.0)
    ours = nrjax.silhouette_samples(points, labels, method=method)
    np.testing.assert_allclose(ours, oracles.silhouette_samples(points, labels, "cosine"), atol=5e-5)
    assert nrjax.silhouette_score(points, labels, method=method) == pytest.approx(
        oracles.silhouette_samples(points, labels, "cosine").mean(), abs=F32_ATOL
    )


@pytest.mark.parametrize("method", ["linear", "blockwise"])
def test_zero_rows_are_far_from_everything(method):
    points, labels = blobs(300, 10, 4)
    points[[0, 5, 17, 30]] = 0
    ours = nrjax.silhouette_samples(points, labels, method=method)
    np.testing.assert_allclose(ours, oracles.silhouette_samples(points, labels, "cosine"), atol=F32_ATOL)


@pytest.mark.parametrize("method", ["linear", "blockwise"])
@pytest.mark.parametrize("distance", ["cosine", "sqeuclidean"])
def test_identical_points_score_zero(distance, method):
    points = np.full((10, 4), 1.7)
    np.testing.assert_allclose(
        nrjax.silhouette_samples(points, [0, 1] * 5, distance=distance, method=method), 0, atol=1e-6
    )


@pytest.mark.parametrize(("distance", "method"), ROUTES)
def test_masks_and_empty_classes_change_nothing(distance, method):
    points, labels = blobs(300, 10, 4)
    options = {"distance": distance, "method": method}
    alone = kernels.silhouette_samples(jnp.asarray(points), jnp.asarray(labels), n_classes=4, **options)
    more = jnp.concatenate([jnp.asarray(points), jnp.full((11, 10), 1e6)])
    more_labels = jnp.concatenate([jnp.asarray(labels) + 2, jnp.full(11, 3)])  # classes 0, 1, 6 are empty
    mask = jnp.arange(311) < 300
    masked = kernels.silhouette_samples(more, more_labels, n_classes=7, weights=mask.astype(jnp.float32), **options)
    np.testing.assert_allclose(masked[:300], alone, atol=2e-6)
    np.testing.assert_array_equal(masked[300:], 0)
    score = kernels.silhouette_score(more, more_labels, n_classes=7, weights=mask.astype(jnp.float32), **options)
    assert float(score) == pytest.approx(float(alone.mean()), abs=2e-6)


def test_thousands_of_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3000), 2)
    points = rng.normal(size=(3000, 8))[labels] + 0.1 * rng.normal(size=(6000, 8))
    ours = nrjax.silhouette_samples(points, labels)
    theirs = oracles.silhouette_samples(points, labels, "cosine")
    np.testing.assert_allclose(ours, theirs, atol=5e-5)  # the nearest of 3,000 classes is at 0.01: 2e-7 divided by it
    assert ours.mean() == pytest.approx(theirs.mean(), abs=1e-6)


def test_compiles_once_per_shape():
    points, labels = blobs(80, 5, 3)
    nrjax.silhouette_samples(points, labels)
    before = kernels.silhouette_samples._cache_size()
    nrjax.silhouette_samples(points[::-1], labels + 5)
    assert kernels.silhouette_samples._cache_size() == before
