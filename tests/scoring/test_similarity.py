"""Similarity of pairs without training, held against SciPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

import nrjax
from nrjax.kernels import similarity
from nrjax.kernels.similarity import similarities

SCORES = ("similarity", "similarity_pearson")
EXACT = 1e-9


def pairs_of(u, v):
    return np.concatenate([u, v, abs(u - v), u * v], axis=1)


def cosines(u, v):
    return np.sum(u * v, axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)


def example(samples=80, dims=7, seed=0, dtype=np.float64):
    """Halves that are nearer to each other, the larger the number; numbers in steps, as people give them."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 21, samples) / 4
    u = rng.normal(size=(samples, dims)) + 0.3
    v = u + rng.normal(size=(samples, dims)) * (6 - numbers[:, None]) / 2
    return u.astype(dtype), v.astype(dtype), numbers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("samples", "dims"), [(80, 7), (31, 1), (20, 300)])
def test_agrees_with_scipy(samples, dims, dtype):
    u, v, numbers = example(samples, dims, dtype=dtype)
    (model,) = nrjax.rank_batch({"m": pairs_of(u, v)}, numbers, task="regression", scores=SCORES).models
    wide = np.round(cosines(u.astype(np.float64), v.astype(np.float64)), 9)  # of one dimension they are 1 and -1
    assert model.scores["similarity"] == pytest.approx(spearmanr(wide, numbers).statistic, abs=EXACT)
    assert model.scores["similarity_pearson"] == pytest.approx(pearsonr(wide, numbers).statistic, abs=1e-7)
    assert not model.uncertain


def test_equal_texts_are_tied():
    u, v, numbers = example(400, 50, dtype=np.float32)
    v[:150] = u[:150]  # whose cosine is 1, whatever rounding makes of it
    (model,) = nrjax.rank_batch({"m": pairs_of(u, v)}, numbers, task="regression", scores="similarity").models
    exact = np.where(np.arange(400) < 150, 1, cosines(u.astype(np.float64), v.astype(np.float64)))
    assert model.score == pytest.approx(spearmanr(exact, numbers).statistic, abs=EXACT)
    assert not model.uncertain


def test_several_numbers_are_averaged():
    u, v, numbers = example()
    other = np.random.default_rng(1).normal(size=80)
    both = np.stack([numbers, other], axis=1)
    ranking = nrjax.rank_batch({"m": pairs_of(u, v)}, both, task="regression", scores=SCORES)
    each = [spearmanr(cosines(u, v), column).statistic for column in (numbers, other)]
    assert ranking.scores["m"] == pytest.approx(np.mean(each), abs=EXACT)
    assert list(ranking.by_class["similarity"]["m"].values()) == pytest.approx(each, abs=EXACT)


def test_what_changes_nothing():
    u, v, numbers = example()
    before = nrjax.rank_batch({"m": pairs_of(u, v)}, numbers, task="regression", scores=SCORES).models[0].scores
    order = np.random.default_rng(1).permutation(80)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(7, 7)))[0]
    for first, second, of in (
        (v, u, numbers), (u[order], v[order], numbers[order]), (1e-30 * u, 1e12 * v, numbers),
        (u @ rotation, v @ rotation, 1e6 + 3 * numbers),
    ):  # fmt: skip
        after = nrjax.rank_batch({"m": pairs_of(first, second)}, of, task="regression", scores=SCORES).models[0]
        assert after.scores == pytest.approx(before, abs=EXACT)


def test_a_text_without_a_vector_has_similarity_0():
    u, v, _ = example(6)
    u[2] = 0
    with jax.enable_x64(True):
        found = np.asarray(similarities(jnp.asarray(pairs_of(u, v))))
    assert found[2] == 0
    np.testing.assert_allclose(np.delete(found, 2), np.delete(cosines(*example(6)[:2]), 2), atol=1e-11)


def test_the_kernel_traces():
    u, v, numbers = example()
    value = jax.jit(similarity)(jnp.asarray(pairs_of(u, v), jnp.float32), jnp.asarray(numbers[:, None], jnp.float32))
    assert float(value) == pytest.approx(spearmanr(cosines(u, v), numbers).statistic, abs=1e-3)


@pytest.mark.parametrize("features", ["other", "joint", "swapped"])
def test_other_features_have_none_and_say_why(features):
    u, v, numbers = example()
    rng = np.random.default_rng(3)
    array = {
        "other": rng.normal(size=(80, 10)), "joint": rng.normal(size=(80, 28)),
        "swapped": np.concatenate([u, v, u * v, abs(u - v)], axis=1),
    }[features]  # fmt: skip
    models = {"apart": pairs_of(u, v), "joint": array}
    ranking = nrjax.rank_batch(models, numbers, task="regression", scores=SCORES)
    assert ranking.order == ["apart"]
    assert "similarity: it compares two vectors a pair" in ranking.failed["joint"]
    beside = nrjax.rank_batch(models, numbers, task="regression", scores=("probe", *SCORES))
    assert len(beside.order) == 2
    assert {"similarity", "similarity_pearson"} == set(next(m for m in beside.models if m.name == "joint").missing)


def test_classes_have_none():
    u, v, numbers = example()
    with pytest.raises(ValueError, match=r"'similarity': it is not defined for classes: .*task='regression'"):
        nrjax.rank_batch({"m": pairs_of(u, v)}, numbers > 2, scores="similarity")
    is_similar = nrjax.rank_batch({"m": pairs_of(u, v)}, numbers > 2, scores="similarity", task="regression")
    assert is_similar.scores["m"] == pytest.approx(spearmanr(cosines(u, v), numbers > 2).statistic, abs=EXACT)


def test_intervals_hold():
    u, v, numbers = example(20000, 5)
    truth = nrjax.rank_batch({"m": pairs_of(u, v)}, numbers, task="regression", scores=SCORES).models[0].scores
    held = dict.fromkeys(SCORES, 0)
    for i in range(40):
        rows = slice(500 * i, 500 * i + 500)
        for by in SCORES:
            (model,) = nrjax.rank_batch(
                {"m": pairs_of(u[rows], v[rows])}, numbers[rows], task="regression", scores=by, confidence=True
            ).models
            held[by] += model.interval[0] <= truth[by] <= model.interval[1]
    assert min(held.values()) >= 31  # of 40 at 90 %: fewer come up once in 100 times
