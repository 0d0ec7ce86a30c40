"""What models cost stands beside their scores, and the front holds those that none beats in both."""

import itertools

import numpy as np
import pytest

import nrjax
from nrjax.results import Ranking, ScoredModel, ScoreMeaning
from nrjax.results.cost_plot import pareto_front

ABOUT = {"probe": ScoreMeaning("accuracy", 0.0, 1.0), "linear_mse": ScoreMeaning("error", 0.0, None, False)}


def ranking(by, models):
    settings = {"by": by, "scores": [by], "confidence": None, "samples": 10, "classes": 2, "n_components": 10}
    return Ranking.of([ScoredModel(**fields) for fields in models], {"broken": "no"}, settings, ABOUT, (0, 1))


@pytest.mark.parametrize("by", ["probe", "linear_mse"])
def test_nothing_on_the_front_is_beaten_and_all_else_is(by):
    rng = np.random.default_rng(0)
    models = [
        {"name": str(i), "score": score, "ms": ms}
        for i, (score, ms) in enumerate(zip(rng.random(40), rng.integers(1, 15, 40).astype(float), strict=True))
    ]
    ranked = ranking(by, models)
    front = pareto_front(ranked, "ms")
    sign = 1 if by == "probe" else -1

    def beats(a, b):
        no_worse = sign * a.score >= sign * b.score and a.ms <= b.ms
        return no_worse and (a.score, a.ms) != (b.score, b.ms)

    scored = [model for model in ranked if model.score is not None]
    assert not any(beats(a, b) for a, b in itertools.product(scored, front))
    for model in scored:
        assert model in front or any(beats(one, model) for one in front)


def test_rank_says_what_candidates_cost_and_a_store_remembers(tmp_path, tiny_images):
    from nrjax.models import from_linen
    from tests.conftest import tiny_variables

    images, labels = tiny_images
    module, variables = tiny_variables()
    models = {"m": from_linen(module, variables, input_shape=(8, 8, 1))}
    count = sum(array.size for array in map(np.asarray, _leaves(variables["params"])))
    ranked = nrjax.rank(models, images, labels, batch_size=len(images) // 4)
    assert ranked["m"].parameters == count
    assert ranked["m"].bytes == 4 * count
    assert ranked["m"].ms > 0
    assert ranked.rows()[0]["ms"] == ranked["m"].ms
    assert "ms a sample" in ranked.to_html()
    assert nrjax.rank(models, images, labels, batch_size=len(images))["m"].ms is None  # it has compiled
    first, second = (
        nrjax.sweep(models, images, labels, store=tmp_path / "s.db", batch_size=len(images) // 4, progress=False)
        for _ in range(2)
    )
    assert second.stored == 1
    assert second.ranking["m"].ms == first.ranking["m"].ms > 0


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)


def test_a_picture_or_one_sentence():
    axes = ranking("probe", [{"name": "a$x^", "score": 0.9, "ms": 2.0}, {"name": "b", "score": 0.8}]).plot("cost")
    assert "milliseconds" in axes.get_xlabel() or "parameters" in axes.get_xlabel()
    axes.figure.canvas.draw()
    with pytest.raises(ValueError, match="has no costs"):
        ranking("probe", [{"name": "a", "score": 0.9}]).plot("cost")
    with pytest.raises(ValueError, match="plot draws scores, cost, samples; got 'bars'"):
        ranking("probe", [{"name": "a", "score": 0.9}]).plot("bars")
