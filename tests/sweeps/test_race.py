"""Who is dropped, and whether it was right."""

import numpy as np
import pytest

import nrjax
from nrjax.ranking._samples import LabelledSamples
from nrjax.scoring.model_scores import ModelScores
from nrjax.sweeps._race import dropped, round_sizes
from tests.sweeps.faulty import Linear


def test_rounds_double_until_all():
    assert round_sizes(5000, 10) == [400, 800, 1600, 5000]
    assert round_sizes(10_000, 10) == [400, 800, 1600, 3200, 10_000]
    assert round_sizes(10_000, 100) == [2000, 4000, 10_000]
    assert round_sizes(799, 10) == [799]


def test_every_beginning_of_the_order_has_the_classes_proportions():
    labels = np.repeat([0, 1, 2, 3], [500, 300, 199, 1])
    order = LabelledSamples.of(np.zeros((1000, 2)), labels).order
    assert sorted(order) == list(range(1000))
    for n in (100, 400, 700):
        share = np.bincount(labels[order[:n]], minlength=4)
        assert np.abs(share - np.array([0.5, 0.3, 0.199, 0.001]) * n).max() <= 1


def test_none_is_dropped_that_comes_first_in_the_end():
    """Accuracies of models whose hits on all samples are known: a race of 400 targets, wrong at most 1 in 100."""
    rng = np.random.default_rng(0)
    n, total, wrong, went = 400, 3200, 0, 0
    for _ in range(400):
        skill = rng.uniform(0.5, 0.8, 12)
        easy = rng.normal(size=total)  # what models have in common
        hits = (skill[:, None] + 0.15 * easy + 0.3 * rng.normal(size=(12, total)) > 0.6).astype(float)
        final = hits.mean(axis=1)
        best = np.argsort(-final)[:3]
        seen = hits[:, :n]
        found = {
            str(i): ModelScores(1, {"s": float(seen[i].mean())}, influences={"s": seen[i] - seen[i].mean()})
            for i in range(12)
        }
        lost = dropped(found, "s", 1, samples=n, total=total, top=3, level=0.99, comparisons=12)
        wrong += bool({str(i) for i in best} & set(lost))
        went += len(lost)
    assert wrong <= 4 + 2 * 2  # 1 % of 400 and two standard deviations
    assert went > 400 * 3  # and it is of use


def test_directions_ties_and_models_without_influences():
    influences = {"s": np.array([0.1, -0.1] * 50)}
    apart = {"s": np.array([-0.1, 0.1] * 50)}
    one, two = ModelScores(1, {"s": 1.0}, influences=influences), ModelScores(1, {"s": 2.0}, influences=apart)
    options = {"samples": 100, "total": 1000, "top": 1, "level": 0.99, "comparisons": 2}
    assert list(dropped({"one": one, "two": two}, "s", 1, **options)) == ["one"]
    assert list(dropped({"one": one, "two": two}, "s", -1, **options)) == ["two"]
    assert not dropped({"one": one, "twin": one, "same": one}, "s", 1, **options)
    unknown = ModelScores(1, {"s": 0.0}, influences={"s": np.full(100, np.nan)})
    assert list(dropped({"one": one, "two": two, "unknown": unknown}, "s", 1, **options)) == ["one"]
    assert dropped({"one": one, "two": two}, "s", 1, **options)["one"].ahead == "two"


@pytest.fixture(scope="module")
def many():
    """Arrays of which some directions tell classes apart, and models that look at few or many of them."""
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 4
    return rng.normal(size=(2000, 6)).astype(np.float32) + 2 * np.eye(4, 6)[labels], labels


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_a_race_ends_with_the_same_first_models(tmp_path, many, engine):
    models = {f"m{seed}": Linear(seed, marks=str(tmp_path)) for seed in range(8)}
    options = {"progress": False, "scores": ("silhouette", "probe")}
    whole = nrjax.rank(models, *many, **options)
    (tmp_path / "passes").unlink()
    raced = nrjax.sweep(models, *many, top=2, engine=engine, store=tmp_path / "r.db", **options)
    assert raced.ranking.order[:2] == whole.order[:2]
    for name, score in raced.ranking.scores.items():
        assert score == pytest.approx(whole.scores[name], abs=1e-6)
    assert set(raced.ranking.order) | set(raced.dropped) == set(models)
    assert raced.dropped
    for name, one in raced.dropped.items():
        assert one.samples in (400, 800)
        assert one.behind[0] > 0
        assert one.behind[1] > 3
        assert whole.scores[name] < whole.scores[whole.order[1]]
    assert "too far behind to be among the first 2" in str(raced)
    passes = len((tmp_path / "passes").read_text().split())
    assert not (tmp_path / "r.db.features").exists()
    again = nrjax.sweep(models, *many, top=2, engine=engine, store=tmp_path / "r.db", **options)
    assert (again.computed, again.ranking.to_dict(), again.dropped) == (0, raced.ranking.to_dict(), raced.dropped)
    assert len((tmp_path / "passes").read_text().split()) == passes


@pytest.mark.parametrize(("noise", "apart"), [(1e-7, 0.0), (1e-6, 0.0), (0.0, 0.0), (1e-7, 1.0)])
def test_equals_within_the_error_are_tied(many, noise, apart):
    """Ten models that differ by rounding; the last four are worse, or not."""
    (x,), labels = Linear(0).outputs(many[0], ["hidden"]), many[1]
    rng, models = np.random.default_rng(0), {}
    for i in range(10):
        blur = apart * rng.standard_normal(x.shape) if i >= 6 else 0.0
        features = ((x + blur) * (1 + noise * rng.standard_normal(x.shape))).astype(np.float32)
        models[f"m{i}"] = nrjax.from_embedder(
            lambda rows, f=features: f[rows[:, 0].astype(int)], "array", version=str(i)
        )
    rows = np.arange(len(x), dtype=np.float32)[:, None]
    raced = nrjax.sweep(models, rows, labels, top=3, scores="silhouette", progress=False)
    assert set(raced.dropped) == ({f"m{i}" for i in range(6, 10)} if apart else set())
