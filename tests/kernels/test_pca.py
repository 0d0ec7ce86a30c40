import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

import nrjax
from nrjax import kernels
from nrjax.scoring.components import suits_krylov
from nrjax.scoring.metrics import PROJECTION_ERROR
from tests.oracles import F32_ATOL, blobs, neuralrank

SHAPES = [(12, 7), (7, 12), (40, 40), (300, 60), (60, 300)]


@pytest.mark.parametrize("solver", ["svd", "gram", "auto"])
@pytest.mark.parametrize(("samples", "dims"), SHAPES)
def test_agrees_with_scikit_learn(samples, dims, solver):
    features, _ = blobs(samples, dims, 3)
    ours = nrjax.pca(features, 2, solver=solver)  # three classes: the third component is noise, after a gap
    pca = PCA(2, svd_solver="full").fit(features.astype(np.float64))
    theirs = pca.transform(features.astype(np.float64))
    np.testing.assert_allclose(ours.singular_values, pca.singular_values_, rtol=1e-5)
    scale = np.square(theirs).sum(1).max()  # Gram matrices of the points do not depend on signs
    np.testing.assert_allclose(ours.points @ ours.points.T / scale, theirs @ theirs.T / scale, atol=F32_ATOL)


@pytest.mark.parametrize("solver", ["svd", "gram"])
def test_masked_samples_change_nothing(solver):
    features, _ = blobs(60, 20, 3)
    padded = np.concatenate([features, np.full((9, 20), 1e3, np.float32)])
    mask = jnp.arange(69) < 60
    ours = kernels.pca(jnp.asarray(padded), 4, solver=solver, mask=mask)
    alone = kernels.pca(jnp.asarray(features), 4, solver=solver)
    np.testing.assert_allclose(ours.singular_values, alone.singular_values, rtol=1e-5)
    np.testing.assert_array_equal(ours.points[60:], 0)


@pytest.mark.parametrize("solver", ["svd", "gram"])
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e30])
def test_scale_neither_underflows_nor_overflows(scale, solver):
    features, _ = blobs(50, 40, 3)
    ours = kernels.pca(jnp.asarray(features * np.float32(scale)), 4, solver=solver)
    alone = kernels.pca(jnp.asarray(features), 4, solver=solver)
    np.testing.assert_allclose(ours.singular_values / np.float32(scale), alone.singular_values, rtol=1e-4)


@pytest.mark.parametrize("solver", ["svd", "gram"])
def test_no_variance_gives_zero_points(solver):
    points, values, _ = nrjax.pca(np.full((20, 15), 3.7), 4, solver=solver)
    np.testing.assert_array_equal(points, 0)
    np.testing.assert_allclose(values, 0, atol=1e-5)


def test_takes_what_exists():
    assert nrjax.pca(blobs(5, 30, 2)[0], 10).points.shape == (5, 4)
    assert nrjax.pca(blobs(30, 3, 2)[0], 10).points.shape == (30, 3)


def test_rank_below_n_components_keeps_the_distances():
    features, _ = blobs(80, 3, 3)
    flat = features @ np.random.default_rng(1).normal(size=(3, 50)).astype(np.float32)
    points = nrjax.pca(flat, 10, solver="gram").points
    centred = flat - flat.mean(0)
    np.testing.assert_allclose(points @ points.T, centred @ centred.T, atol=1e-3 * np.abs(centred @ centred.T).max())


@functools.cache
def low_rank(samples=1500, dims=900, seed=0):
    """Features like a trained layer's: a few strong directions, then a fast decay; not to be changed in place."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, samples)
    scales = 1 / np.arange(1, dims + 1) ** 1.5
    features = (rng.normal(size=(5, dims))[labels] + rng.normal(size=(samples, dims))) * scales
    return (features @ np.linalg.qr(rng.normal(size=(dims, dims)))[0]).astype(np.float32), labels


@pytest.mark.parametrize("transposed", [False, True])
def test_krylov_is_certified_on_a_decaying_spectrum(transposed):
    features = low_rank()[0].T if transposed else low_rank()[0]
    ours = nrjax.pca(features, 10, solver="krylov")
    theirs = PCA(10, svd_solver="full").fit(features.astype(np.float64))
    assert float(ours.error) <= PROJECTION_ERROR
    np.testing.assert_allclose(ours.singular_values, theirs.singular_values_, rtol=1e-5)


def with_spectrum(values, samples=2000, dims=600, seed=0):
    """Features with these singular values, float32, and labels that follow some of the directions."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(samples, dims)))[0]
    right = np.linalg.qr(rng.normal(size=(dims, dims)))[0]
    labels = (left[:, 0] > 0) + 2 * (left[:, 2] > 0)
    return ((left * values) @ right).astype(np.float32), labels


J = np.arange(1, 601)
HARD = {
    "linear decay": np.linspace(1, 0.01, 600),
    "white noise": np.ones(600) + 0.05 * np.random.default_rng(1).normal(size=600),
    "slow decay": 1 / np.sqrt(J),
    "tie at the boundary": np.where(J == 11, 1 / 10, 1 / J),
    "tie of equals at the boundary": np.where(J <= 20, 1.0, 0.3),
    "rank below n_components": np.where(J <= 5, 1 / J, 0),
    "steep": 10.0 ** -(J / 3.0),
    "one of a thousand": np.where(J == 1, 1000, 2 - J / 600),
}


@functools.cache
def hard(case, wide=False):
    """Features of a hard spectrum, labels, and their score."""
    features, labels = with_spectrum(HARD[case])
    if wide:  # 600 samples of 2,000 dims; labels follow the leading directions again
        features = np.ascontiguousarray(features.T)
        leading = np.linalg.svd(features, full_matrices=False)[0]
        labels = (leading[:, 0] > 0) + 2 * (leading[:, 2] > 0)
    return features, labels, neuralrank(features, labels)


@pytest.mark.parametrize("solver", ["krylov", "gram"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("case", HARD)
def test_hard_spectra(case, wide, solver):
    features, labels, right = hard(case, wide)
    ours = nrjax.rank_batch({"hard": features}, labels, solver=solver).scores["hard"]
    assert ours == pytest.approx(right, abs=F32_ATOL)


@pytest.mark.parametrize("offset", [0, 100])
def test_krylov_with_a_constant_column_and_an_offset(offset):
    features, labels = low_rank()[0].copy(), low_rank()[1]
    features[:, 3] = 7
    features += offset * features.std(0)
    (model,) = nrjax.rank_batch({"m": features}, labels, solver="krylov").models
    assert model.solver == "krylov"
    assert model.score == pytest.approx(neuralrank(features, labels), abs=F32_ATOL)


def test_krylov_finds_what_its_sample_has_no_trace_of():
    """Rows that no stride meets, in columns of their own, and a mean of zero: only a random direction can see them."""
    half = low_rank(800, 800)[0].copy()
    half[:, 400:] = 0
    hidden = np.arange(1, 800, 50)
    half[hidden] = 0
    half[hidden, 400:] = 0.4 * np.random.default_rng(3).normal(size=(len(hidden), 400))
    features = np.concatenate([half, -half])
    theirs = PCA(10, svd_solver="full").fit(features.astype(np.float64))
    ours = nrjax.pca(features, 10, solver="krylov")
    np.testing.assert_allclose(ours.singular_values, theirs.singular_values_, rtol=1e-4)


@pytest.mark.parametrize("case", ["white noise", "linear decay", "tie of equals at the boundary"])
def test_what_iteration_cannot_certify_is_decomposed_in_float64(case):
    features, labels, right = hard(case)
    (model,) = nrjax.rank_batch({"hard": features}, labels, solver="krylov").models
    assert model.solver == "gram, float64"
    assert model.score == pytest.approx(right, abs=F32_ATOL)


def test_solver_that_auto_takes():
    assert suits_krylov(5000, 1024, 10)
    assert not suits_krylov(5000, 100, 10)
    assert not suits_krylov(5000, 1024, 400)
    features, labels = low_rank()
    for solver, name in {"auto": "krylov", "gram": "gram, float64", "svd": "svd, float64"}.items():
        assert nrjax.rank_batch({"m": features}, labels, solver=solver).models[0].solver == name
    assert nrjax.rank_batch({"m": features[:, :50]}, labels, solver="krylov").models[0].solver == "gram, float64"


@pytest.mark.parametrize("solver", ["gram", "svd"])
def test_is_differentiable(solver):
    """By the trace of the squared singular values, whose derivative is known."""
    features, _ = blobs(30, 6, 3)
    total = lambda x: jnp.sum(kernels.pca(x, 6, solver=solver).singular_values ** 2)  # noqa: E731
    slope = jax.grad(total)(jnp.asarray(features))
    np.testing.assert_allclose(slope, 2 * (features - features.mean(0)), atol=1e-3)


def test_vmapped_is_one_at_a_time():
    stack = jnp.stack([blobs(50, 40, 3, seed=s)[0] for s in range(3)])
    together = jax.vmap(lambda x: kernels.pca(x, 4, solver="gram").singular_values)(stack)
    alone = jnp.stack([kernels.pca(x, 4, solver="gram").singular_values for x in stack])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
