"""One table of tests over models of all frameworks; what is not installed skips and says so."""

import numpy as np
import pytest

import nrjax
from nrjax.models import LayerError
from tests.models.sources import SOURCES

ATOL = 1e-5  # features against the framework's own, of the size of 1


@pytest.fixture(scope="module", params=SOURCES, ids=lambda make: make.__name__)
def source(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("source"))


def features(source, layer="penultimate", **options):
    return nrjax.extract_features(source.model, source.samples, layer, **options)


def test_penultimate_features_are_the_frameworks_own(source):
    outputs = features(source)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, source.expected, atol=ATOL * max(1, np.abs(source.expected).max()))


def test_layers_in_order_of_execution(source):
    listed = nrjax.layers(source.model)
    names = [layer.name for layer in listed]
    places = [names.index(name) for name in source.order]
    assert places == sorted(places)
    outputs = features(source, names)
    assert {name: outputs[name].shape[1] for name in names} == {layer.name: layer.dims for layer in listed}
    for place in (0, 1, -1):
        np.testing.assert_array_equal(features(source, place), outputs[names[place]])


def test_batches_change_nothing(source):
    whole = features(source, batch_size=10)
    for size in (1, 3, 4):  # 3 leaves one sample for the last batch
        np.testing.assert_allclose(
            features(source, batch_size=size), whole, atol=2 * ATOL * max(1, np.abs(whole).max())
        )  # fmt: skip


def test_nothing_is_trained(source):
    before = source.model.fingerprint
    mode = None if source.live is None else source.live.training
    first, again = features(source), features(source)
    np.testing.assert_array_equal(first, again)
    assert source.model.fingerprint == before
    if source.live is not None:
        assert source.live.training is mode
        assert not any(module._forward_hooks for module in source.live.modules())


def test_the_fingerprint_is_of_the_weights(source):
    assert len(source.model.fingerprint) == 64
    assert source.changed().fingerprint != source.model.fingerprint


def test_what_is_known_of_it(source):
    described = source.model.description
    assert described.parameters > 0
    assert described.bytes >= 2 * described.parameters
    assert source.model.inputs.preprocessing


@pytest.mark.parametrize("layer", ["nonsense", 99, -99])
def test_a_layer_that_is_not_there(source, layer):
    with pytest.raises(LayerError, match=r"The model has no layer .*; it has .*\(0\)"):
        features(source, layer)


def test_the_other_kind_of_samples_is_refused(source):
    other = ["a text"] * 4 if source.model.inputs.kind != "text" else np.zeros((4, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"the model takes .*; the samples are"):
        nrjax.extract_features(source.model, other)


def test_half_precision_is_near_or_refused(source):
    whole = features(source)
    try:
        half = features(source, precision="bfloat16")
    except ValueError as error:
        assert "leave precision out" in str(error)  # noqa: PT017
        return
    assert half.dtype == np.float32
    assert 0 < np.abs(half - whole).max() < 0.1 * np.abs(whole).max()


def test_images_of_every_size_come_to_its_own(source):
    if source.model.inputs.kind != "image" or source.model.inputs.shape in (None,):
        pytest.skip("takes inputs of every size")
    rng = np.random.default_rng(0)
    ragged = [rng.integers(0, 255, (20 + i, 30 - i, 3)).astype(np.uint8) for i in range(5)]
    assert nrjax.extract_features(source.model, ragged).shape == (5, source.expected.shape[1])
