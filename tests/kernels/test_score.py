import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nrjax
from nrjax import kernels
from nrjax.scoring.operators import programs
from tests import oracles
from tests.oracles import F32_ATOL, X64_ATOL, blobs

GRID = {
    "12 x 7": {"samples": 12, "dims": 7, "classes": 3},
    "200 x 3,000": {"samples": 200, "dims": 3000, "classes": 4, "separation": 0.1},
    "5,000 x 1,024": {"samples": 5000, "dims": 1024, "classes": 10, "separation": 0.3},
    "slow decay": {"samples": 2000, "dims": 400, "classes": 5, "separation": 0.05, "decay": True},
    "white noise": {"samples": 1000, "dims": 100, "classes": 5, "separation": 0.0},
    "offset of 100 standard deviations": {"samples": 1000, "dims": 100, "classes": 5, "offset": 100.0},
    "many classes": {"samples": 1500, "dims": 64, "classes": 300},
    "square": {"samples": 100, "dims": 100, "classes": 4},
}


@functools.cache
def grid(case):
    """Features, labels, and their score."""
    features, labels = blobs(**GRID[case])
    return features, labels, oracles.neuralrank(features, labels)


@pytest.mark.parametrize("solver", ["svd", "gram", "krylov"])
@pytest.mark.parametrize("case", GRID)
def test_float32_agrees_with_scikit_learn_in_float64(case, solver):
    features, labels, right = grid(case)
    ours = nrjax.score_batch(features[None], labels, solver=solver)[0]
    assert float(ours) == pytest.approx(right, abs=F32_ATOL)
    through_buckets = nrjax.rank_batch({"model": features}, labels, solver=solver).scores["model"]
    assert through_buckets == pytest.approx(float(ours), abs=F32_ATOL)


@pytest.mark.parametrize("solver", ["svd", "gram", "auto"])
@pytest.mark.parametrize("case", ["12 x 7", "200 x 3,000", "slow decay", "offset of 100 standard deviations"])
def test_x64_agrees_with_scikit_learn(case, solver):
    features, labels, right = grid(case)
    with jax.enable_x64(True):
        ours = nrjax.rank_batch({"model": features.astype(np.float64)}, labels, solver=solver).scores["model"]
    assert ours == pytest.approx(right, abs=X64_ATOL)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x, y, r: (x[p := r.permutation(len(x))], y[p]), id="permuted samples"),
        pytest.param(lambda x, y, r: (x, (y * 7 + 3) % 11), id="renamed classes"),
        pytest.param(lambda x, y, r: (np.pad(x, ((0, 0), (0, 30))), y), id="padded columns"),
        pytest.param(lambda x, y, r: (x @ np.linalg.qr(r.normal(size=(50, 50)))[0], y), id="rotated"),
        pytest.param(lambda x, y, r: (x + r.normal(size=50), y), id="shifted"),
        pytest.param(lambda x, y, r: (x * 1e-25, y), id="tiny"),
        pytest.param(lambda x, y, r: (x * 1e25, y), id="huge"),
        pytest.param(lambda x, y, r: (np.hstack([x, np.full((len(x), 5), 4.0)]), y), id="constant columns"),
    ],
)
def test_invariances(change):
    features, labels = blobs(300, 50, 5, separation=0.5)
    same = change(features, labels, np.random.default_rng(0))
    before = float(nrjax.score_batch(features[None], labels)[0])
    assert float(nrjax.score_batch(same[0][None], same[1])[0]) == pytest.approx(before, abs=3e-6)


@pytest.mark.parametrize(("samples", "dims"), [(80, 30), (30, 80), (60, 300)])
def test_batched_is_one_at_a_time(samples, dims):
    stack = jnp.stack([blobs(samples, dims, 4, seed=seed)[0] for seed in range(4)])
    labels = jnp.asarray(blobs(samples, dims, 4)[1])
    together = kernels.score_models(stack, labels, n_classes=4).value
    alone = [float(kernels.score(features, labels, n_classes=4).value) for features in stack]
    np.testing.assert_allclose(together, alone, atol=2e-6)


@pytest.mark.parametrize("case", ["200 x 3,000", "many classes", "square"])
def test_pure_function_agrees(case):
    features, labels, right = grid(case)
    ours = kernels.score(jnp.asarray(features), jnp.asarray(labels), n_classes=int(labels.max()) + 1)
    assert float(ours.value) == pytest.approx(right, abs=F32_ATOL)


@pytest.mark.parametrize("dims", [20, 300])
def test_batch_compiles_once(dims):
    stack = np.stack([blobs(400, dims, 3, seed=seed)[0] for seed in range(3)])
    labels = blobs(400, dims, 3)[1]
    of_one = programs(False, None)
    nrjax.score_batch(stack, labels)
    before = of_one.multiply._cache_size()
    assert before
    nrjax.score_batch(stack + 1, labels[::-1].astype(str))
    assert of_one.multiply._cache_size() == before


def dots(jaxpr):
    """Every dot product and convolution of a traced program, the inner ones too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation
        for value in equation.params.values():
            for inner in jax.tree.leaves(value, is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from dots(inner)


@pytest.mark.parametrize("definition", ["rousseeuw", "centroid"])
@pytest.mark.parametrize("method", ["linear", "blockwise"])
@pytest.mark.parametrize("solver", ["svd", "gram"])
@pytest.mark.parametrize("shape", [(400, 600), (600, 400)])
def test_every_dot_product_asks_for_full_precision(shape, solver, method, definition):
    """The CPU ignores the setting, so an omission shows only in the program: TF32 on GPU, bfloat16 on TPU."""
    settings = kernels.ScoreSettings(solver=solver, method=method, definition=definition)

    def program(features, labels):
        return kernels.score(features, labels, n_classes=3, settings=settings)

    arguments = jnp.zeros(shape), jnp.zeros(shape[0], int)
    found = list(dots(jax.make_jaxpr(program)(*arguments).jaxpr))
    assert found
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert [equation for equation in found if equation.params["precision"] != highest] == []
    lowered = jax.jit(program).lower(*arguments).as_text()
    products = [line for line in lowered.splitlines() if "stablehlo.dot_general" in line]
    assert products  # fewer than found: equal helpers are shared
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


@pytest.mark.parametrize("solver", ["svd", "gram", "krylov", "auto"])
@pytest.mark.parametrize("method", ["linear", "blockwise"])
@pytest.mark.parametrize(("definition", "value"), [("rousseeuw", 0.3463), ("centroid", 0.3009)])
def test_mnist_pixels(mnist_dir, definition, value, method, solver):
    images, labels, _ = nrjax.load_dataset("mnist", "test", classes="0-4", data_dir=mnist_dir)
    assert len(images) == 5139
    ranking = nrjax.rank_batch(
        {"pixels": images.reshape(len(images), -1)}, labels, definition=definition, method=method, solver=solver
    )
    assert ranking.scores["pixels"] == pytest.approx(value, abs=5e-4)


def test_eq_3_taken_literally_is_a_misprint(mnist_dir):
    """With Eq. 4, and the distances to the own class divided by the number of samples: not the 0.346 of Table 2."""
    images, labels, _ = nrjax.load_dataset("mnist", "test", classes="0-4", data_dir=mnist_dir)
    points = np.asarray(nrjax.pca(images.reshape(len(images), -1).astype(np.float32), 10).points, np.float64)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    a, b = np.empty(len(labels)), np.full(len(labels), np.inf)
    for c in np.unique(labels):
        own = labels == c
        a[own] = (own.sum() - units[own] @ units[own].sum(0)) / len(labels)
        centroid = points[own].mean(0)
        b[~own] = np.minimum(b[~own], 1 - units[~own] @ centroid / np.linalg.norm(centroid))
    assert ((b - a) / np.maximum(a, b)).mean() == pytest.approx(0.852, abs=1e-3)


@pytest.mark.parametrize(
    ("distance", "definition"), [("cosine", "rousseeuw"), ("sqeuclidean", "centroid"), ("euclidean", "rousseeuw")]
)
def test_stacked_models_score_as_each_alone(distance, definition, monkeypatch):
    """As on accelerators: models of one shape together, in buckets; the last one needs more steps, one has ties."""
    from nrjax.scoring import compute, silhouettes

    labels, rng = np.arange(500) % 5, np.random.default_rng(0)
    rows = [rng.normal(size=(5, 200))[labels] + rng.normal(size=(500, 200)) for _ in range(6)]
    falls = np.arange(1, 201.0)
    stack = [x / falls for x in rows[:-2]] + [rows[-2] / falls**0.25, np.eye(200)[np.arange(500) % 200]]
    models = {str(i): features.astype(np.float32) for i, features in enumerate(stack)}
    options = {"distance": distance, "definition": definition, "confidence": True}
    alone = nrjax.rank_batch(models, labels, **options)
    for module in (compute, silhouettes):
        monkeypatch.setattr(module, "one_by_one", lambda: False)
    together = nrjax.rank_batch(models, labels, **options)
    assert {m.name: m.solver for m in together.models} == {m.name: m.solver for m in alone.models}
    for model in alone.models:
        other = next(m for m in together.models if m.name == model.name)
        assert other.score == pytest.approx(model.score, abs=1e-5)
        assert other.interval == pytest.approx(model.interval, abs=1e-3)
