"""Models of recordings: features are the framework's own of each recording alone, whatever else is in the batch."""

import itertools

import numpy as np
import pytest

import nrjax
from nrjax.datasets import Recordings
from nrjax.models import _audio_windows

transformers = pytest.importorskip("transformers", exc_type=ImportError)
torch = pytest.importorskip("torch", exc_type=ImportError)

RATE = 16000
ROUNDING = 1e-5  # relative: sums of float32 in another order
WAVES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": (8, 8),
    "conv_kernel": (40, 8), "conv_stride": (20, 8), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 6, "num_labels": 3,
}  # fmt: skip
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 8, "max_source_positions": 50, "vocab_size": 20,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "classifier_proj_size": 6,
    "num_labels": 3,
}  # fmt: skip
AST = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 16,
    "num_mel_bins": 32, "max_length": 64, "num_labels": 3,
}  # fmt: skip
LAYERS = ["penultimate", "hidden_states.0", "hidden_states.1", "hidden_states.2"]


def noise(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.normal(0, 0.1, n) * np.linspace(0.2, 1, n)).astype(np.float32) for n in lengths]


def network(name: str, **fields):
    """A small random network, in inference mode, and its feature extractor."""
    torch.manual_seed(0)
    if name.startswith("Whisper"):
        net = getattr(transformers, name)(transformers.WhisperConfig(**WHISPER | fields))
        return net.eval(), transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    if name.startswith("AST"):
        net = getattr(transformers, name)(transformers.ASTConfig(**AST | fields))
        return net.eval(), transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=64)
    family = name.removesuffix("Model").removesuffix("ForSequenceClassification").removesuffix("ForCTC")
    config = getattr(transformers, f"{family}Config")(**WAVES | fields)
    return getattr(transformers, name)(config).eval(), transformers.Wav2Vec2FeatureExtractor()


def saved(folder, net, extractor) -> str:
    net.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return f"hf:{folder}"


def alone(net, extractor, wave: np.ndarray) -> dict[str, np.ndarray]:
    """Layers of one recording by the framework, without padding and without what nrjax does."""
    name, options = type(net).__name__, {"output_hidden_states": True}
    inputs = extractor(wave, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        if name.startswith("Whisper"):
            encoder = net.encoder if name.endswith("Classification") else net.get_encoder()
            output = encoder(inputs.input_features, **options)
            frames = int(np.ceil(len(wave) / (extractor.n_samples / WHISPER["max_source_positions"])))
            means = [state[0, :frames].mean(0) for state in output.hidden_states]
            last = output.last_hidden_state
            read = net.projector(last).mean(1)[0] if name.endswith("Classification") else last[0, :frames].mean(0)
        elif name.startswith("AST"):
            base = getattr(net, "audio_spectrogram_transformer", net)
            output = base(inputs.input_values, **options)
            frames, columns = 1 + (len(wave) - 400) // 160, (64 - 16) // 10 + 1
            valid = [t for t in range(columns) if t * 10 < frames]
            grids = [state[0, 2:].reshape(-1, columns, state.shape[-1]) for state in output.hidden_states]
            means, read = [grid[:, valid].mean((0, 1)) for grid in grids], output.pooler_output[0]
        else:
            base = net.base_model
            output = base(inputs.input_values, **options)
            means = [state[0].mean(0) for state in output.hidden_states]
            last = output.last_hidden_state
            read = net.projector(last).mean(1)[0] if name.endswith("Classification") else last[0].mean(0)
    layers = {f"hidden_states.{i}": mean.numpy() for i, mean in enumerate(means)}
    return layers | {"penultimate": read.numpy()}


NETWORKS = [
    ("Wav2Vec2Model", {}), ("Wav2Vec2Model", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    ("Wav2Vec2ForSequenceClassification", {"feat_extract_norm": "layer"}), ("Wav2Vec2ForCTC", {"vocab_size": 9}),
    ("HubertModel", {}), ("HubertForSequenceClassification", {"feat_extract_norm": "layer"}),
    ("WavLMModel", {"feat_extract_norm": "layer"}), ("WavLMForSequenceClassification", {}),
    ("Data2VecAudioModel", {}), ("UniSpeechModel", {"feat_extract_norm": "layer"}),
    ("UniSpeechSatModel", {"feat_extract_norm": "layer"}), ("Wav2Vec2ConformerModel", {"feat_extract_norm": "layer"}),
    ("WhisperForConditionalGeneration", {}), ("WhisperForAudioClassification", {}),
    ("ASTModel", {}), ("ASTForAudioClassification", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields"), NETWORKS, ids=[f"{n}{'-'.join(f)}" for n, f in NETWORKS])
def test_features_are_those_of_each_recording_alone(tmp_path, name, fields):
    net, extractor = network(name, **fields)
    waves = noise(9000, 3000, 10000, 6400, 9000, 800)
    model = saved(tmp_path, net, extractor)
    layers = [layer.name for layer in nrjax.load_model(model).layers()]
    assert layers == ["hidden_states.0", "hidden_states.1", "hidden_states.2", "pooled"]
    features = nrjax.extract_features(model, Recordings.of(waves, RATE), LAYERS)
    for layer in LAYERS:
        right = np.stack([alone(net, extractor, wave)[layer] for wave in waves])
        np.testing.assert_allclose(features[layer], right, atol=ROUNDING * np.abs(right).max(), err_msg=layer)
        assert np.ptp(right, axis=0).max() > 100 * ROUNDING * np.abs(right).max()  # recordings differ


@pytest.mark.parametrize("name", ["WhisperForConditionalGeneration", "ASTForAudioClassification", "Wav2Vec2Model"])
def test_long_recordings_are_averaged_over_windows(monkeypatch, name):
    monkeypatch.setattr("nrjax.models._huggingface_sound.WaveInputs.seconds", 0.5)
    net, extractor = network(name)
    seconds = {"Whi": 1.0, "AST": 0.64, "Wav": 0.5}[name[:3]]
    waves = noise(40001, 8000)
    parts = -(-40001 // int(seconds * RATE))
    bounds = [40001 * i // parts for i in range(parts + 1)]
    windows = [waves[0][a:b] for a, b in itertools.pairwise(bounds)]
    vectors = [alone(net, extractor, window)["penultimate"] for window in windows]
    right = np.average(vectors, axis=0, weights=[len(window) for window in windows])
    with pytest.warns(RuntimeWarning, match="1 of 2 recordings are longer than"):
        features = nrjax.extract_features((net, extractor), Recordings.of(waves, RATE))
    np.testing.assert_allclose(features[0], right, atol=ROUNDING * np.abs(right).max())
    right = alone(net, extractor, waves[1])["penultimate"]
    np.testing.assert_allclose(features[1], right, atol=ROUNDING * np.abs(right).max())


@pytest.mark.filterwarnings("ignore:.*longer than 1 s")
def test_hours_are_never_in_memory_at_once(monkeypatch):
    pair = network("WhisperForConditionalGeneration")
    recordings = Recordings.of(noise(90000, 80000, 8000), RATE)
    right = nrjax.extract_features(pair, recordings)
    monkeypatch.setattr(_audio_windows, "AHEAD", 1.5)
    read: list[int] = []
    at_rate = nrjax.datasets.Recording.at_rate
    monkeypatch.setattr(
        nrjax.datasets.Recording, "at_rate", lambda *args: read.append(args[3] - args[2]) or at_rate(*args)
    )
    batch = nrjax.models.as_model(pair).inputs.prepare(list(recordings))
    assert sum(read) <= 1.5 * RATE * len(recordings)
    read.clear()
    for _, arrays in batch.parts():
        assert sum(read) <= len(recordings) * RATE  # no more than a window for each recording
        assert len(arrays["input_features"]) <= len(recordings)
        read.clear()
    np.testing.assert_array_equal(nrjax.extract_features(pair, recordings), right)


def test_any_rate_comes_to_the_models():
    pair = network("ASTModel")
    waves = noise(44100 // 2)
    resampled = Recordings.of(waves, 44100)[0].at_rate(RATE)
    features = nrjax.extract_features(pair, Recordings.of(waves, 44100))
    np.testing.assert_array_equal(features, nrjax.extract_features(pair, Recordings.of([resampled], RATE)))


def test_too_short_recordings_are_filled_up():
    net, extractor = network("Wav2Vec2Model")
    waves = noise(100, 4000)
    with pytest.warns(RuntimeWarning, match=r"1 of 2 recordings are shorter than 0.01125 s: silence fills them up"):
        features = nrjax.extract_features((net, extractor), Recordings.of(waves, RATE))
    right = alone(net, extractor, np.pad(waves[0], (0, 80)))["penultimate"]
    np.testing.assert_allclose(features[0], right, atol=ROUNDING * np.abs(right).max())


def test_an_adapter_that_mixes_padding_runs_by_length():
    fields = {"feat_extract_norm": "layer", "add_adapter": True, "num_adapter_layers": 2, "output_hidden_size": 16}
    net, extractor = network("Wav2Vec2Model", **fields)
    waves = noise(9000, 7000, 5000)
    features = nrjax.extract_features((net, extractor), Recordings.of(waves, RATE), LAYERS)
    for layer in LAYERS:
        right = np.stack([alone(net, extractor, wave)[layer] for wave in waves])
        np.testing.assert_allclose(features[layer], right, atol=ROUNDING * np.abs(right).max())


def test_live_networks(tmp_path):
    net, extractor = network("HubertForSequenceClassification")
    recordings = Recordings.of(noise(4000, 3000), RATE)
    with pytest.raises(ValueError, match=r"pass the pair \(module, feature_extractor\)"):
        nrjax.extract_features(net, recordings)
    folder = saved(tmp_path, net, extractor).removeprefix("hf:")
    loaded = transformers.HubertForSequenceClassification.from_pretrained(folder).train()
    features = nrjax.extract_features(loaded, recordings)
    assert loaded.training
    np.testing.assert_array_equal(features, nrjax.extract_features((net, extractor), recordings))
    before = nrjax.models.as_model(loaded).fingerprint
    assert nrjax.models.as_model(loaded).fingerprint == before
    with torch.no_grad():
        loaded.projector.bias += 1
    assert nrjax.models.as_model(loaded).fingerprint != before


def test_weights_that_training_alone_needs_may_be_missing(tmp_path):
    from safetensors.numpy import load_file, save_file

    net, extractor = network("Wav2Vec2ForCTC", vocab_size=9)
    model = saved(tmp_path, net, extractor)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["wav2vec2.masked_spec_embed"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    recordings = Recordings.of(noise(4000), RATE)
    right = nrjax.extract_features((net, extractor), recordings)
    np.testing.assert_array_equal(nrjax.extract_features(model, recordings), right)


def test_what_is_refused(tmp_path):
    net, extractor = network("ASTModel")
    model = saved(tmp_path, net, extractor)
    with pytest.raises(ValueError, match="the model takes recordings; the samples are texts"):
        nrjax.extract_features(model, ["a text"])
    with pytest.raises(ValueError, match="leave preprocessing and pooling out"):
        nrjax.load_model(model, pooling="cls")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"no preprocessor_config\.json that can be read"):
        nrjax.load_model(model)


def test_a_function_of_waveforms():
    waves = noise(4000, 2000)
    recordings = Recordings.of(waves, 8000)
    seen = []

    def loudness(samples):
        seen.append(samples)
        return np.array([[np.abs(wave).mean()] for wave in samples])

    nrjax.extract_features(nrjax.from_embedder(loudness, "audio", rate=16000), recordings)
    assert [(len(wave), wave.dtype) for wave in seen[0]] == [(8000, np.float32), (4000, np.float32)]
    with_rates = nrjax.from_embedder(lambda pairs: np.array([[len(wave) / rate] for wave, rate in pairs]), "audio")
    np.testing.assert_allclose(nrjax.extract_features(with_rates, recordings), [[0.5], [0.25]])
    with pytest.raises(ValueError, match="the model takes recordings; the samples are texts"):
        nrjax.extract_features(with_rates, ["a text"])


def test_pitch_is_found_in_a_folder_of_classes(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    rng = np.random.default_rng(0)
    for name, hz in (("high", 1500.0), ("low", 500.0), ("middle", 900.0)):
        (tmp_path / name).mkdir()
        for i in range(8):
            rate = (8000, 22050)[i % 2]
            time = np.arange(int(rate * rng.uniform(0.3, 0.5))) / rate
            wave = np.sin(2 * np.pi * hz * rng.uniform(0.95, 1.05) * time) + rng.normal(0, 0.3, len(time))
            soundfile.write(tmp_path / name / f"{i}.{('wav', 'flac')[i % 2]}", 0.2 * wave, rate)
    models = {
        "loudness": nrjax.from_embedder(
            lambda waves: np.array([[w.std(), w.max()] for w in waves]), "audio", rate=RATE
        ),
        "ast": network("ASTModel", initializer_range=0.5),
    }
    ranking = nrjax.rank(models, str(tmp_path), scores=["probe"], progress=False)
    assert ranking.order == ["ast", "loudness"]
    assert ranking["ast"].score > 0.9
    assert ranking["loudness"].score < 0.7  # a third by chance
