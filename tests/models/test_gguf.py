"""Files of GGUF, written by `gguf` from a network of transformers, whose own values they are compared with."""

import os

import numpy as np
import pytest

import nrjax
from tests.models import sources

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
gguf = pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("torch", exc_type=ImportError)
transformers = pytest.importorskip("transformers", exc_type=ImportError)

TEXTS = sources.texts(40)
LABELS = [text.split()[-1] for text in TEXTS]
WIDTH, LENGTH = 64, 16
HALF = 2e-3  # llama.cpp looks the activations of a BERT up in a table of float16


def save(path, net, *, pooling=gguf.PoolingType.MEAN):
    """The file of a BERT of `sources.save_bert`."""
    config, writer = net.config, gguf.GGUFWriter(path, "bert")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list([*special, *(f"\u2581{word}" for word in sources.WORDS)])
    writer.add_token_types([gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.NORMAL] * len(sources.WORDS))
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_uint32("tokenizer.ggml.cls_token_id", 2)
    writer.add_sep_token_id(3)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config.num_hidden_layers)
    for name, weights in net.state_dict().items():
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if place is not None:
            writer.add_tensor(place, weights.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="module")
def net(place):
    return sources.save_bert(place / "bert", 0, hidden_size=WIDTH, intermediate_size=2 * WIDTH)


@pytest.fixture(scope="module")
def file(place, net):
    return save(place / "bert.gguf", net)


def tokens_of(place, net, text):
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "bert")
    tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=LENGTH)
    with torch.no_grad():
        return net(**tokens).last_hidden_state[0].numpy()


def test_values_are_those_of_transformers(place, net, file):
    expected = np.stack([tokens_of(place, net, text).mean(0) for text in TEXTS])
    model = nrjax.load_model(f"gguf:{file}")
    features = nrjax.extract_features(model, TEXTS)
    np.testing.assert_allclose(features, expected, atol=HALF * np.abs(expected).max())
    np.testing.assert_allclose(nrjax.extract_features(model, TEXTS, batch_size=1), features, atol=1e-5)
    assert model.description.parameters == sum(weights.numel() for weights in net.parameters())
    assert model.description.bytes == os.path.getsize(file)


def test_pooling_is_the_files_and_can_be_chosen(place, net, file):
    expected = np.stack([tokens_of(place, net, text)[0] for text in TEXTS])
    chosen = nrjax.extract_features(nrjax.load_model(f"gguf:{file}", pooling="cls"), TEXTS)
    stated = nrjax.load_model(f"gguf:{save(place / 'cls.gguf', net, pooling=gguf.PoolingType.CLS)}")
    np.testing.assert_allclose(chosen, expected, atol=HALF * np.abs(expected).max())
    np.testing.assert_array_equal(nrjax.extract_features(stated, TEXTS), chosen)
    unstated = nrjax.load_model(f"gguf:{save(place / 'unstated.gguf', net, pooling=None)}")
    mean = nrjax.extract_features(nrjax.load_model(f"gguf:{file}"), TEXTS)
    np.testing.assert_array_equal(nrjax.extract_features(unstated, TEXTS), mean)
    told = "pooling of a GGUF file must be of mean, cls, last; got 'max'"
    with pytest.raises(ValueError, match=told):
        nrjax.load_model(f"gguf:{file}", pooling="max")
    with pytest.raises(ValueError, match=told):
        nrjax.load_model(f"gguf:{file}").pool_by("max")
    model = nrjax.load_model(f"gguf:{file}")
    ranking = nrjax.rank({"a": model}, TEXTS, LABELS, pooling="cls", scores="probe")
    np.testing.assert_array_equal(nrjax.extract_features(model, TEXTS), mean)  # the model itself stays as it is
    head = ranking.head("a")
    head.save(place / "head")
    again = nrjax.load_head(place / "head", f"gguf:{file}")
    np.testing.assert_array_equal(again.predict(TEXTS[:5]), head.predict(TEXTS[:5]))
    assert [layer.shape for layer in nrjax.layers(f"gguf:{file}")] == [(WIDTH,)]


def test_ranked_beside_its_original(place, file):
    ranking = nrjax.rank({"quantised": f"gguf:{file}", "original": f"hf:{place / 'bert'}"}, TEXTS, LABELS)
    assert not ranking.failed
    assert abs(ranking["quantised"].score - ranking["original"].score) < 5 * HALF


def test_long_texts_are_truncated_and_counted(file):
    with pytest.warns(RuntimeWarning, match="1 of 2 texts are longer than 16 tokens and were truncated"):
        features = nrjax.extract_features(nrjax.load_model(f"gguf:{file}"), ["red", " ".join(["red"] * 40)])
    assert np.isfinite(features).all()


def test_pairs_and_words(place, net, file):
    model = nrjax.load_model(f"gguf:{file}")
    pairs = [nrjax.datasets.Pair("red cat", "blue"), nrjax.datasets.Pair("dog", "tree water")]
    u, v = (nrjax.extract_features(model, [getattr(pair, side) for pair in pairs]) for side in ("first", "second"))
    features = nrjax.extract_features(model, pairs)
    np.testing.assert_allclose(features, np.hstack([u, v, np.abs(u - v), u * v]), atol=1e-5)


def test_the_fingerprint_is_of_the_file(place, net, file):
    same = save(place / "same.gguf", net)
    other = save(place / "other.gguf", sources.save_bert(place / "bert1", 1, hidden_size=WIDTH, intermediate_size=128))
    fingerprint = nrjax.load_model(f"gguf:{file}").fingerprint
    assert nrjax.load_model(f"gguf:{same}").fingerprint == fingerprint
    assert nrjax.load_model(f"gguf:{other}").fingerprint != fingerprint
    assert nrjax.load_model(f"gguf:{file}", pooling="cls").fingerprint != fingerprint


def test_refused(tmp_path, file):
    damaged, text, pipe = tmp_path / "damaged.gguf", tmp_path / "text.gguf", tmp_path / "pipe.gguf"
    damaged.write_bytes(file.read_bytes()[:2000])
    text.write_text("not a network")
    os.mkfifo(pipe)
    for path, words in ((damaged, "it is damaged, or llama.cpp cannot run it"), (text, "it is no GGUF file"),
                        (pipe, "is not a regular file"), (tmp_path / "none.gguf", "is not there")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            nrjax.load_model(f"gguf:{path}")
