import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import nrjax
from nrjax._utils import memory
from nrjax.scoring import compute, silhouettes
from nrjax.scoring.array_features import ArrayFeatures
from nrjax.scoring.operators import programs
from tests.oracles import blobs, neuralrank, one_line

FEATURES, LABELS = blobs(60, 20, 3)


def test_orders_by_score_best_first():
    models = {f"separated {s}": blobs(200, 30, 4, separation=s)[0] for s in (0.1, 1.0, 0.4)}
    labels = blobs(200, 30, 4)[1]
    ranked = nrjax.rank_batch(models, labels)
    assert ranked.order == ["separated 1.0", "separated 0.4", "separated 0.1"]
    assert ranked.best == "separated 1.0"
    for name, features in models.items():
        assert ranked.scores[name] == pytest.approx(neuralrank(features, labels), abs=1e-5)


def test_stacked_array_is_models_by_number():
    stack = np.stack([blobs(60, 20, 3, separation=s)[0] for s in (0.2, 2.0)])
    ranked = nrjax.rank_batch(stack, LABELS)
    assert ranked.order == ["1", "0"]
    np.testing.assert_allclose([ranked.scores["0"], ranked.scores["1"]], nrjax.score_batch(stack, LABELS), atol=2e-6)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(LABELS * 1000 - 7, id="integers with gaps"),
        pytest.param(np.array(["cat", "dog", "emu"])[LABELS], id="strings"),
        pytest.param([["a", 1, (2, 3)][i] for i in LABELS], id="mixed types"),
        pytest.param(LABELS.astype(float), id="floats"),
        pytest.param(jnp.asarray(LABELS), id="jax"),
        pytest.param(LABELS.tolist(), id="list"),
    ],
)
def test_labels_of_any_type(labels):
    if isinstance(labels, list) and isinstance(labels[0], str | tuple):
        array = np.empty(len(labels), object)
        array[:] = labels
        labels = array
    expected = nrjax.rank_batch({"m": FEATURES}, LABELS).scores["m"]
    assert nrjax.rank_batch({"m": FEATURES}, labels).scores["m"] == pytest.approx(expected, abs=1e-6)


class ArrayLike:
    def __array__(self, dtype=None, copy=None):
        return FEATURES if dtype is None else FEATURES.astype(dtype)


class DLPackOnly:
    """Memory that NumPy cannot see as an array, such as a tensor on another device."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert to numpy")

    def __dlpack__(self, **options):
        return jnp.asarray(FEATURES).__dlpack__(**options)

    def __dlpack_device__(self):
        return jnp.asarray(FEATURES).__dlpack_device__()


@pytest.mark.parametrize(
    ("features", "tolerance"),
    [
        pytest.param(FEATURES.tolist(), 1e-6, id="list"),
        pytest.param(jnp.asarray(FEATURES), 1e-6, id="jax"),
        pytest.param(ArrayLike(), 1e-6, id="__array__"),
        pytest.param(DLPackOnly(), 1e-6, id="dlpack"),
        pytest.param(FEATURES.astype(np.float64), 1e-6, id="float64"),
        pytest.param(np.asfortranarray(FEATURES), 1e-6, id="column order"),
        pytest.param(FEATURES.astype(np.float16), 2e-3, id="float16"),
        pytest.param(FEATURES.astype(ml_dtypes.bfloat16), 2e-2, id="bfloat16"),
        pytest.param(jnp.asarray(FEATURES, jnp.bfloat16), 2e-2, id="jax bfloat16"),
        pytest.param((FEATURES * 1e6).astype(np.int64), 1e-5, id="integers"),
    ],
)
def test_features_of_any_kind(features, tolerance):
    expected = nrjax.rank_batch({"m": FEATURES}, LABELS).scores["m"]
    assert nrjax.rank_batch({"m": features}, LABELS).scores["m"] == pytest.approx(expected, abs=tolerance)


def test_one_program_a_width():
    """Spectra that fall, in a few dims at least: what float32 cannot certify is another program, in float64."""
    """One program a width that reads the features, and no more than these for a width that is known."""
    jax.clear_caches()
    widths = [170, 200, 230, 260, 290]
    rng = np.random.default_rng(0)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    labels = np.arange(400) % 3

    def features(dims):
        return (rng.normal(size=(400, dims)) * 0.5 ** np.minimum(np.arange(dims), 30)).astype(np.float32)

    ranked = nrjax.rank_batch({f"{w} wide": features(w) for w in widths}, labels)
    assert {model.solver for model in ranked.models} == {"krylov"}
    of_one = programs(False, None)
    assert of_one.multiply._cache_size() == len(widths)
    assert len(widths) <= len(compiled) <= len(widths) + 3  # it rotates and scores; the event is still called so
    before = len(compiled)
    nrjax.rank_batch({f"{w} wide": features(w) for w in widths}, labels)
    assert len(compiled) == before  # not even a small helper compiles again


def test_adding_a_model_never_changes_anothers_score():
    few = {f"m{w}": blobs(60, w, 3, seed=w)[0] for w in (5, 90)}
    many = few | {f"m{w}": blobs(60, w, 3, seed=w)[0] for w in (91, 2000)} | {"broken": np.zeros((2, 2))}
    before, after = nrjax.rank_batch(few, LABELS).scores, nrjax.rank_batch(many, LABELS).scores
    assert {name: after[name] for name in few} == before


@pytest.mark.parametrize("held", [1, 10**6, 10**9])
def test_batches_of_an_accelerator_give_the_same_scores(monkeypatch, held):
    models = {f"m{i}": blobs(200, w, 3, seed=i)[0] for i, w in enumerate([20, 20, 300, 20, 300])}
    labels = blobs(200, 20, 3)[1]
    alone = nrjax.rank_batch(models, labels).scores
    for module in (compute, silhouettes):
        monkeypatch.setattr(module, "one_by_one", lambda: False)
    monkeypatch.setattr(memory, "UNKNOWN_MEMORY", held)
    batched = nrjax.rank_batch(models, labels).scores
    assert batched == pytest.approx(alone, abs=2e-6)


def test_a_broken_model_never_costs_the_others():
    class Explodes(dict):
        def __getitem__(self, name):
            if name == "explodes":
                raise OSError("disk gone")
            return super().__getitem__(name)

    models = Explodes(good=FEATURES, short=FEATURES[:-1], nan=np.full_like(FEATURES, np.nan), explodes=None)
    ranked = nrjax.rank_batch(models, LABELS)
    assert ranked.order == ["good"]
    assert [model.name for model in ranked.models] == ["good", "short", "nan", "explodes"]
    assert ranked.failed["explodes"] == "disk gone"
    assert "got 59 rows for 60 labels" in ranked.failed["short"]
    assert "row 0 has nan" in ranked.failed["nan"]
    assert all(model.rank is None and model.score is None for model in ranked.models[1:])
    text = str(ranked)
    assert "short failed: expected one row per label; got 59 rows" in text


def test_fewer_components_than_asked_are_said():
    ranked = nrjax.rank_batch({"narrow": FEATURES[:, :4], "wide": FEATURES}, LABELS)
    used = {model.name: model.n_components for model in ranked.models}
    assert used == {"narrow": 4, "wide": 10}
    assert "4 of 10 components" in str(ranked)
    assert ranked.scores["narrow"] == pytest.approx(neuralrank(FEATURES[:, :4], LABELS), abs=1e-5)


def test_ties_share_a_rank():
    ranked = nrjax.rank_batch({"b": FEATURES, "a": FEATURES[:, ::-1], "c": FEATURES[:, :2]}, LABELS)
    ranks = {model.name: model.rank for model in ranked.models}
    assert ranks["a"] == ranks["b"]
    assert sorted(ranks.values()) in ([1, 1, 3], [1, 2, 2])
    assert str(ranked).count("tied") == 2


def test_exports_agree():
    ranked = nrjax.rank_batch({"a": FEATURES, "bad": FEATURES[:3], "c": FEATURES[:, :2]}, LABELS)
    frame = ranked.to_pandas()
    assert json.loads(ranked.to_json()) == ranked.to_dict()
    assert list(frame["name"]) == [model["name"] for model in ranked.to_dict()["models"]]
    lines = ranked.to_csv().splitlines()
    assert lines[0] == "name,score,dims,n_components,solver,rank,reason"
    assert [line.split(",")[0] for line in lines[1:]] == list(frame["name"])
    settings = ranked.to_dict()["settings"]
    assert settings["n_components"] == 10
    assert settings["samples"] == 60
    assert settings["nrjax"] == nrjax.__version__


def test_a_ranking_is_a_container_of_its_models():
    ranked = nrjax.rank_batch({"a": FEATURES, "bad": FEATURES[:3], "c": FEATURES[:, :2]}, LABELS)
    assert len(ranked) == 3
    assert [model.name for model in ranked] == [*ranked.order, "bad"]
    assert ranked["a"].score == ranked.scores["a"]
    assert ranked["bad"].rank is None
    with pytest.raises(KeyError, match="no model 'd'; it has"):
        ranked["d"]
    assert (
        repr(ranked) == f"<Ranking of 3 models by silhouette: {ranked.best} {ranked.scores[ranked.best]:.4f}, 1 failed>"
    )


def test_exports_go_to_files_too(tmp_path):
    ranked = nrjax.rank_batch({"a": FEATURES, "c": FEATURES[:, :2]}, LABELS)
    for name in ("csv", "json", "html"):
        text = getattr(ranked, f"to_{name}")(tmp_path / f"ranking.{name}")
        assert (tmp_path / f"ranking.{name}").read_text(encoding="utf-8") == text
    with pytest.raises(ValueError, match="there is no folder"):
        ranked.to_csv(tmp_path / "missing" / "ranking.csv")


@pytest.mark.parametrize("options", [{}, {"scores": ("silhouette", "probe", "knn"), "confidence": True}])
def test_a_ranking_comes_back_from_its_dict(options):
    ranked = nrjax.rank_batch({"a": FEATURES, "bad": FEATURES[:3], "c": FEATURES[:, :2]}, LABELS, **options)
    for data in (ranked.to_dict(), json.loads(ranked.to_json())):
        again = nrjax.Ranking.from_dict(data)
        assert str(again) == str(ranked)
        assert again.to_dict() == ranked.to_dict()
    assert nrjax.Ranking.from_dict(ranked.to_dict()) == ranked


def test_hostile_names_are_shown_and_not_obeyed():
    name = "<script>alert(1)</script>[red]$x^$\x1b[2J"
    ranked = nrjax.rank_batch({name: FEATURES, "b": FEATURES[:, :2]}, LABELS)
    assert "<script>" not in ranked._repr_html_()
    assert "&lt;script&gt;" in ranked._repr_html_()
    assert "\x1b" not in str(ranked)
    assert "[red]" in str(ranked)
    ranked.plot().figure.canvas.draw()


def test_plot_draws_every_model():
    import matplotlib

    matplotlib.use("Agg")
    ranked = nrjax.rank_batch({"a": FEATURES, "bad": FEATURES[:3], "c": FEATURES[:, :2]}, LABELS)
    axes = ranked.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [model.name for model in ranked.models]
    assert sorted(bar.get_width() for bar in axes.patches) == pytest.approx(sorted([*ranked.scores.values(), 0.0]))
    assert axes.yaxis_inverted()  # the best on top


def test_tolerance_is_kept_recorded_and_checked():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 900)
    decaying = (2 * rng.normal(size=(6, 400))[labels] + rng.normal(size=(900, 400))) / np.arange(1, 401) ** 0.1
    models = {"m": decaying.astype(np.float32)}
    exact = neuralrank(models["m"], labels)
    for tolerance in (1e-6, 1e-4, 1e-3):
        ranked = nrjax.rank_batch(models, labels, tolerance=tolerance)
        assert abs(ranked.scores["m"] - exact) <= tolerance
        assert ranked.settings["tolerance"] == tolerance
        assert ("to within" in one_line(ranked)) == (tolerance != 1e-5)


def test_a_coarser_tolerance_reads_the_features_less_often(monkeypatch):
    reads = []
    monkeypatch.setattr(ArrayFeatures, "multiply", lambda self, block, real=ArrayFeatures.multiply: (
        reads.append(1), real(self, block))[1])  # fmt: skip
    features, labels = blobs(900, 400, 6, decay=True)
    taken = []
    for tolerance in (1e-6, 1e-3):
        reads.clear()
        nrjax.rank_batch({"m": features / np.arange(1, 401, dtype=np.float32)}, labels, tolerance=tolerance)
        taken.append(len(reads))
    assert taken[0] > taken[1] >= 2


@pytest.mark.parametrize(
    ("tolerance", "error"), [(0, ValueError), (1, ValueError), ("1e-6", TypeError), (True, TypeError)]
)
def test_tolerances_that_are_none(tolerance, error):
    with pytest.raises(error, match="tolerance must be"):
        nrjax.rank_batch({"m": FEATURES}, LABELS, tolerance=tolerance)
