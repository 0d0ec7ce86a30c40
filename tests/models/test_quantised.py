"""Networks whose weights torchao has made small: features, heads and fingerprints as of any other module."""

import numpy as np
import pytest

import nrjax
from tests.models import sources

pytest.importorskip("torch", exc_type=ImportError)
import torch

X = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
Y, T = np.arange(40) % 4, sources.texts(12)
CONFIGS = {
    "int8": ("Int8WeightOnlyConfig", {}),
    "int8 of activations too": ("Int8DynamicActivationInt8WeightConfig", {}),
    "int4": ("IntxWeightOnlyConfig", {"weight_dtype": torch.int4}),
}


@pytest.fixture
def quantization():
    return pytest.importorskip("torchao.quantization", reason="torchao is not installed")


def network(seed=0):
    torch.manual_seed(seed)
    layers = (
        torch.nn.Linear(64, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 32),
        torch.nn.ReLU(),
        torch.nn.Linear(32, 4),
    )
    return torch.nn.Sequential(*layers).eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", CONFIGS)
def test_features_and_fingerprints(quantization, config, tmp_path):
    small, same, other = network(), network(), network(1)
    for module in (small, same, other):
        kind, options = CONFIGS[config]
        quantization.quantize_(module, getattr(quantization, kind)(**options))
    assert type(small[0].weight) is not torch.nn.Parameter
    with torch.inference_mode():
        expected = small[:-1](torch.from_numpy(X)).numpy()
    features = nrjax.extract_features(small, X, batch_size=40)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert 1e-5 < np.abs(features - nrjax.extract_features(network(), X)).max() < 0.1
    prints = [nrjax.models.as_model(module).fingerprint for module in (small, same, other, network())]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    swept = [nrjax.sweep({"small": small}, X, Y, scores="silhouette", store=tmp_path / "r.db", progress=False)
             for _ in range(2)]  # fmt: skip
    assert [sweep.computed for sweep in swept] == [1, 0]


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_and_its_tokenizer(quantization, tmp_path):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    encoder = sources.save_bert(tmp_path / "bert", 0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "bert")
    quantization.quantize_(encoder, quantization.Int8WeightOnlyConfig())
    with torch.inference_mode():
        alone = [encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy() for text in T]
    ranking = nrjax.rank({"int8": (encoder, tokenizer), "float32": f"hf:{tmp_path / 'bert'}"}, T, np.arange(12) % 3,
                         scores="silhouette", progress=False)  # fmt: skip
    assert not ranking.failed
    assert np.allclose(nrjax.extract_features((encoder, tokenizer), T), alone, atol=1e-5)
