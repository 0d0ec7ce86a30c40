"""Layers: several of them, or the best, from one forward pass."""

import numpy as np
import pytest

import nrjax
from nrjax.models import _features as extract
from nrjax.models import from_linen
from tests.conftest import tiny_variables


@pytest.fixture
def models():
    return {f"m{seed}": from_linen(*tiny_variables(seed), input_shape=(8, 8, 1)) for seed in range(3)}


@pytest.fixture
def passes(monkeypatch):
    """Counts forward passes: calls of `extract_layers`."""
    calls = []
    real = extract.extract_layers

    def counted(model, images, layers, *options, **more):
        calls.append(layers)
        return real(model, images, layers, *options, **more)

    monkeypatch.setattr(extract, "extract_layers", counted)
    return calls


def test_the_table_of_layers_is_that_of_single_calls(models, tiny_images, passes):
    table = nrjax.rank(models, *tiny_images, layers=[0, 1, "penultimate", -1]).by_layer
    assert len(passes) == len(models)
    for layer in (0, 1, "penultimate", -1):
        alone = nrjax.rank(models, *tiny_images, layer=layer)
        assert {name: table[name][str(layer)] for name in models} == alone.scores
        assert alone.by_layer == {}


def test_the_best_layer_is_said(models, tiny_images, passes):
    ranking = nrjax.rank(models, *tiny_images, layer="best", confidence=True)
    assert len(passes) == len(models)
    names = [layer.name for layer in nrjax.layers(models["m0"])]
    for model in ranking.models:
        assert list(model.layers) == names
        assert model.layer == max(names[1:], key=model.layers.__getitem__)  # the input is no layer of the model
        assert model.score == model.layers[model.layer]
        assert (
            model.dims == dict(zip(names, (one.dims for one in nrjax.layers(models["m0"])), strict=True))[model.layer]
        )
        assert model.interval is not None
        assert model.layer in str(ranking)
    assert ranking.settings["layer"] == "best"
    assert [row["layer"] for row in ranking.rows()] == [model.layer for model in ranking.models]


def test_a_layer_that_some_models_lack(models, tiny_images):
    ranking = nrjax.rank(models, *tiny_images, layers=["nosuch", 1])
    assert {name: set(row) for name, row in ranking.by_layer.items()} == {name: {"1"} for name in models}
    with pytest.raises(ValueError, match="m0, m1, m2: nosuch: The model has no layer 'nosuch'"):
        nrjax.rank(models, *tiny_images, layers=["nosuch", "none"])


def test_a_broken_model_is_listed_once(models, tiny_images):
    module = models["m0"].definition.module
    models["broken"] = from_linen(module, {"params": {}}, input_shape=(8, 8, 1))
    for options in ({"layer": "best"}, {"layers": [0, 1]}, {"layer": "penultimate"}):
        ranking = nrjax.rank(models, *tiny_images, **options)
        assert list(ranking.failed) == ["broken"]
        assert set(ranking.order) == {"m0", "m1", "m2"}


def test_leep_reads_the_models_own_last_layer(models, tiny_images, passes):
    images, labels = tiny_images
    ranking = nrjax.rank(models, images, labels, scores=("silhouette", "leep", "nce"))
    assert len(passes) == len(models)
    logits = nrjax.extract_features(models["m1"], images, -1)
    theta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert ranking.column("leep")["m1"] == pytest.approx(nrjax.leep(theta, labels), abs=1e-6)
    assert ranking.column("nce")["m1"] == pytest.approx(nrjax.nce(theta, labels), abs=1e-6)


def test_bad_layers(models, tiny_images):
    for layers in ("dense", [], 3):
        with pytest.raises(ValueError, match="layers must be a list of at least one layer"):
            nrjax.rank(models, *tiny_images, layers=layers)
    with pytest.raises(TypeError, match="n_componets"):
        nrjax.rank(models, *tiny_images, **{"n_componets": 3})
