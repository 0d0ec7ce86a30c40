"""What a score feels of points that may be off: where a small share of them moves it by much, it is not certified."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nrjax import kernels
from nrjax.kernels import ScoreSettings
from nrjax.kernels._felt import DRAWS, SAFETY, Doubt, drawn, felt
from nrjax.kernels._pca import scaled_pca
from nrjax.scoring.walk import conditions
from tests import oracles

SETTINGS = {solver: ScoreSettings(n_components=2, solver=solver) for solver in ("krylov", "gram")}


def hard(seed):
    """Ten classes far apart in two components that the third is close to: 2e-6 of the points moved it by 9e-6 once."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, 800)
    rows = rng.choice([1, 3]) * rng.normal(size=(10, 400))[labels] + rng.normal(size=(800, 400))
    return (rows * np.exp(-np.arange(1, 401) / rng.uniform(10, 100))).astype(np.float32), labels


@pytest.mark.parametrize("solver", SETTINGS)
def test_what_is_certified_is_within_1e_6(solver):
    settings, off = SETTINGS[solver], []
    for seed in range(12):
        features, labels = hard(seed)
        with conditions(np.float32):
            score = kernels.score(jnp.asarray(features), jnp.asarray(labels), n_classes=10, settings=settings)
        right = oracles.neuralrank(features, labels, n_components=2)
        off.append((bool(score.error <= settings.max_error), abs(float(score.value) - right)))
    certified = [size for is_certified, size in off if is_certified]
    assert max(certified) <= 1e-6
    assert max(size for _, size in off) > 1e-6  # what is not certified is worse, or nothing was hard here


@pytest.mark.parametrize("distance", ["cosine", "sqeuclidean", "euclidean"])
def test_the_derivative_is_that_of_the_score(distance):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        labels = jnp.asarray(np.arange(90) % 3)
        points, images = jnp.asarray(rng.normal(size=(90, 4))), jnp.asarray(rng.normal(size=(90, 6)))
        tangents = jnp.asarray(rng.uniform(size=(4, 6)))
        options = {"n_classes": 3, "distance": distance}
        found = felt(points, labels, Doubt(images, tangents), weights=jnp.ones(90), **options)
        step, moved = 1e-6, []
        for normal in drawn((DRAWS, 4, 6)):
            displaced = [points + sign * step * images @ (normal * tangents).T for sign in (1, -1)]
            up, down = (float(kernels.silhouette_score(one, labels, **options)) for one in displaced)
            moved.append((up - down) / (2 * step))
        assert float(found) == pytest.approx(SAFETY * np.sqrt(np.mean(np.square(moved))), rel=1e-4)


def test_all_components_leave_nothing_in_doubt():
    features, labels = hard(0)
    with conditions(np.float32):
        score = kernels.score(
            jnp.asarray(features[:, :8]), jnp.asarray(labels), n_classes=10, settings=ScoreSettings(n_components=8)
        )
    assert float(score.value) == pytest.approx(oracles.neuralrank(features[:, :8], labels, n_components=8), abs=1e-6)
    assert float(score.error) <= ScoreSettings().max_error


def test_krylov_goes_on_where_more_is_felt_than_points_are_off():
    """Without the steps that it takes then, a use that feels ten times what is allowed would have to start anew."""
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(600, 300)) * np.arange(1, 301) ** -0.7).astype(np.float32)

    allowed = 100 * kernels.MAX_ERROR  # as for a tolerance of 1e-4: float32 has room below

    def found(factor):
        return scaled_pca(
            jnp.asarray(features), 4, solver="krylov", max_error=allowed,
            feels=lambda points, doubt: factor * jnp.linalg.norm(doubt.tangents) * 1e-9,
        )  # fmt: skip

    with conditions(np.float32):
        first = found(1.0)
        factor = 10 * allowed / float(first.felt)
        more = found(factor)
    assert factor * first.felt > allowed
    assert 0 < more.felt <= allowed
    assert more.projection.error < first.projection.error
