"""nrjax beside scikit-learn, agreement asserted after timing.

    pytest benchmarks/kernels --benchmark-only --benchmark-group-by=group

Compilation happens in the warm-up rounds and is not counted; `block_until_ready` ends every call.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

import nrjax
from nrjax import kernels

pytest.importorskip("pytest_benchmark")


def classes(samples: int, dims: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes, float32, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, samples)
    points = 0.3 * rng.normal(size=(n_classes, dims))[labels] + rng.normal(size=(samples, dims))
    return points.astype(np.float32), labels.astype(np.int32)


@pytest.mark.parametrize("who", ["nrjax linear", "nrjax blockwise", "scikit-learn"])
def test_silhouette(benchmark, who):
    """10,000 samples x 10 dims, 10 classes, cosine distance."""
    benchmark.group = "silhouette, 10,000 x 10, 10 classes"
    points, labels = classes(10_000, 10, 10)
    if who == "scikit-learn":
        value = benchmark.pedantic(silhouette_score, (points, labels), {"metric": "cosine"}, rounds=3)
    else:
        device_points, device_labels = jnp.asarray(points), jnp.asarray(labels)

        def run():
            return kernels.silhouette_score(
                device_points, device_labels, n_classes=10, method=who.split()[1]
            ).block_until_ready()  # fmt: skip

        value = benchmark.pedantic(run, rounds=7, warmup_rounds=2)
    expected = silhouette_score(points.astype(np.float64), labels, metric="cosine")
    assert float(value) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("who", ["nrjax", "scikit-learn"])
def test_score(benchmark, who):
    """PCA to 10 components and silhouette of 5,000 samples x 1,024 dims, 5 classes, decaying spectrum."""
    benchmark.group = "score, 5,000 x 1,024, 5 classes"
    features, labels = classes(5_000, 1_024, 5)
    features /= np.arange(1, 1_025, dtype=np.float32)  # as in a trained layer, most variance is in few directions

    def theirs(features):
        return silhouette_score(PCA(10).fit_transform(features), labels, metric="cosine")

    if who == "scikit-learn":
        value = benchmark.pedantic(theirs, (features,), rounds=3)
    else:
        value = benchmark.pedantic(nrjax.score_batch, (features[None], labels), rounds=7, warmup_rounds=2)[0]
    points = PCA(10, svd_solver="full").fit_transform(features.astype(np.float64))
    assert float(value) == pytest.approx(silhouette_score(points, labels, metric="cosine"), abs=1e-5)
