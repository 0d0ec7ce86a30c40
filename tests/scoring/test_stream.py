import jax
import numpy as np
import pytest

import nrjax
from nrjax.scoring import streaming
from tests.conftest import tiny_variables
from tests.kernels.test_pca import HARD, hard
from tests.oracles import F32_ATOL, neuralrank


class Batches:
    """Rows of an array in batches of changing size; counts its passes."""

    def __init__(self, features, labels, sizes=(700, 1, 4096, 33)):
        self.features, self.labels, self.sizes, self.passes = features, labels, sizes, 0

    def __iter__(self):
        self.passes += 1
        start, i = 0, 0
        while start < len(self.features):
            stop = start + self.sizes[i % len(self.sizes)]
            yield self.features[start:stop], self.labels[start:stop]
            start, i = stop, i + 1


def low_rank(samples, dims, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, samples)
    scales = 1 / np.arange(1, dims + 1)
    return ((rng.normal(size=(5, dims))[labels] + rng.normal(size=(samples, dims)) + offset) * scales).astype(
        np.float32
    ), labels


@pytest.mark.parametrize("scale", [1e-25, 1, 1e25])
@pytest.mark.parametrize("offset", [0, 100])
def test_same_score_as_in_memory(offset, scale):
    features, labels = low_rank(9001, 300, offset=offset)
    features = features * np.float32(scale)
    batches = Batches(features, labels)
    assert nrjax.score_stream(batches) == pytest.approx(
        nrjax.rank_batch({"m": features}, labels).scores["m"], abs=F32_ATOL
    )
    assert batches.passes == 3  # a look at the first batch, and two passes


@pytest.mark.parametrize("case", HARD)
def test_hard_spectra(case):
    features, labels, right = hard(case)
    assert nrjax.score_stream(Batches(features, labels)) == pytest.approx(right, abs=F32_ATOL)


@pytest.mark.parametrize("sorted_by_class", [False, True])
def test_wide_features_take_as_many_passes_as_the_certificate_asks_for(sorted_by_class):
    features, labels = low_rank(1200, streaming.GRAM_DIMS + 100)
    if sorted_by_class:  # the first batch, where the Krylov space starts from, has one class only
        features, labels = features[np.argsort(labels)], np.sort(labels)
    batches = Batches(features, labels, sizes=(200,))
    assert nrjax.score_stream(batches) == pytest.approx(
        nrjax.rank_batch({"m": features}, labels).scores["m"], abs=F32_ATOL
    )
    assert 4 <= batches.passes <= 7


def test_wide_features_that_cannot_be_certified_are_refused(monkeypatch):
    monkeypatch.setattr(streaming, "GRAM_DIMS", 500)
    tied, labels, _ = hard("tie of equals at the boundary")
    with pytest.raises(ValueError, match="spectrum of these 600 dims decays too slowly"):
        nrjax.score_stream(Batches(tied, labels))


@pytest.mark.parametrize("options", [{"distance": "sqeuclidean"}, {"definition": "centroid"}, {"n_components": 3}])
def test_options(options):
    features, labels = low_rank(800, 40)
    expected = nrjax.rank_batch({"m": features}, labels, **options).scores["m"]
    assert nrjax.score_stream(Batches(features, labels), **options) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("shape", [(6, 40), (40, 3)])
def test_takes_the_components_there_are(shape):
    features, labels = low_rank(*shape)
    labels = np.arange(len(labels)) % 2
    expected = nrjax.rank_batch({"m": features}, labels).scores["m"]
    assert nrjax.score_stream(Batches(features, labels)) == pytest.approx(expected, abs=2e-6)


def test_any_number_of_batches_compiles_once():
    features, labels = low_rank(3000, 77)
    nrjax.score_stream(Batches(features, labels))
    before = streaming._gram._cache_size()
    nrjax.score_stream(Batches(features[:2500], labels[:2500], sizes=(1, 99, 1000)))
    assert streaming._gram._cache_size() == before


def test_model_and_images(tiny_images):
    images, labels = tiny_images
    module, variables = tiny_variables()
    source = [(images[:15], labels[:15]), (images[15:], labels[15:])]
    batches = nrjax.FeatureBatches((module, variables), source)
    expected = nrjax.rank({"m": (module, variables)}, images, labels).scores["m"]
    assert nrjax.score_stream(batches) == pytest.approx(expected, abs=2e-6)


X, Y = low_rank(60, 20)


class Shuffles(Batches):
    def __iter__(self):
        order = np.random.default_rng(self.passes).permutation(len(self.labels))
        self.features, self.labels = self.features[order], self.labels[order]
        return super().__iter__()


BAD = {
    "generator": ((pair for pair in [(X, Y)]), TypeError, "one-shot iterator generator"),
    "empty": ([], ValueError, "at least one batch"),
    "widths": ([(X, Y), (X[:, :5], Y)], ValueError, "Batch 1: expected 20 dims"),
    "labels": ([(X, Y[:-1])], ValueError, "Batch 0: expected one row per label; got 60 rows for 59 labels"),
    "nan": ([(X, Y), (X * np.nan, Y)], ValueError, "Batch 1: features must be finite"),
    "one class": ([(X, Y * 0)], ValueError, "at least 2 classes"),
    "order": (Shuffles(X, Y), ValueError, "same samples in the same order in every pass"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    batches, error, words = BAD[case]
    with pytest.raises(error, match=words):
        nrjax.score_stream(batches)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("change", ["noise", "order within the classes"])
def test_batches_that_change_from_pass_to_pass_are_refused(change, offset):
    features, labels = low_rank(500, 20, offset=offset)
    rng = np.random.default_rng(1)

    class Changing:
        def __iter__(self):
            if change == "noise":
                return iter(Batches(features + 0.3 * rng.normal(size=features.shape) * features.std(axis=0), labels))
            rows = np.arange(500)
            for c in range(5):
                rows[labels == c] = rng.permutation(rows[labels == c])
            return iter(Batches(features[rows], labels, sizes=(50,)))

    with pytest.raises(ValueError, match=r"the features differ\. Turn off random augmentation"):
        nrjax.score_stream(Changing())


def test_batches_that_hardly_change_and_an_empty_one_in_front():
    features, labels = low_rank(500, 20)
    rng = np.random.default_rng(1)

    class Rounded:
        def __iter__(self):
            yield features[:0], labels[:0]
            yield from Batches(features * (1 + 1e-6 * rng.normal(size=features.shape)), labels)

    assert nrjax.score_stream(Rounded()) == pytest.approx(neuralrank(features, labels), abs=F32_ATOL)


def test_x64():
    features, labels = low_rank(900, 60)
    with jax.enable_x64(True):
        ours = nrjax.score_stream(Batches(features.astype(np.float64), labels))
    assert ours == pytest.approx(neuralrank(features, labels), abs=1e-9)
