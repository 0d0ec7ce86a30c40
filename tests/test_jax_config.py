"""The user's own switches: the same table as without them."""

import contextlib
import warnings

import jax
import numpy as np
import pytest

import nrjax

ZOO, IMAGES, LABELS = nrjax.load_demo()
POINTS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
Y = np.arange(40) % 3


@contextlib.contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


SWITCHES = {
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "dtype promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "transfer guard": lambda: jax.transfer_guard("disallow"),
    "x64": lambda: jax.enable_x64(True),
    "NumPy raises": lambda: np.errstate(all="raise"),
    "warnings are errors": warnings_as_errors,
}


def everything():
    """Every way in, on little: a zoo with all scores and confidence, arrays, single kernels, a stream."""
    zoo = {name: ZOO[name] for name in ("F10", "C10")}
    ranking = nrjax.rank(
        zoo, IMAGES[:40], LABELS[:40], scores=list(nrjax.available_scores()), confidence=True, progress=False
    )
    table = {f"{m.name} {name}": value for m in ranking.models for name, value in m.scores.items()}
    table |= {f"{m.name} low": m.interval[0] for m in ranking.models}
    tiny = POINTS.astype(np.float64)
    tiny[0, 0] = 1e-60
    return table | nrjax.rank_batch({"tiny": tiny}, Y).scores | {
        "silhouette": nrjax.silhouette_score(POINTS, Y),
        "nce": nrjax.nce(np.full((40, 4), 0.25), Y),
        "pca": float(np.asarray(nrjax.pca(POINTS, 2).singular_values)[0]),
        "stream": nrjax.score_stream([(POINTS, Y)]),
        "batch": float(np.asarray(nrjax.score_batch(POINTS[None], Y))[0]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    return everything()


@pytest.mark.parametrize("switch", SWITCHES)
def test_switches_change_nothing(switch, expected):
    with SWITCHES[switch]():
        found = everything()
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_without_jit_everything_is_right_if_slow():
    expected = nrjax.rank_batch({"m": POINTS}, Y, scores=["silhouette", "probe", "logme", "knn", "gbc"])
    with jax.disable_jit():
        found = nrjax.rank_batch({"m": POINTS}, Y, scores=["silhouette", "probe", "logme", "knn", "gbc"])
    assert dict(found.models[0].scores) == pytest.approx(dict(expected.models[0].scores), rel=1e-6, abs=1e-5)
