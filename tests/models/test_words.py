"""Vectors of words: the tokenizer's own map of pieces, long sentences in windows, against the framework alone."""

import shutil

import numpy as np
import pytest

import nrjax
from nrjax.datasets import Words
from nrjax.models import extract_features

transformers = pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)
torch = pytest.importorskip("torch", exc_type=ImportError)

SENTENCES = [["abc", "d", "efghij", "ab"], ["j"], ["hag", "fed", "cab", "a", "b", "c"], ["dd", "ee"], ["bad", "i"]]
LONG = [list("abcdefghij") * 3, ["abcdefghijabcdefghij", "fed", "abcdefghijabcdefghijabcdefghij"]]
CLOSE = 1e-5  # float32 sums in another order
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tmp_path_factory):
    """A network with a tokenizer of pieces: letters of BERT, or bytes of RoBERTa, where a space begins a word."""
    return save(tmp_path_factory.mktemp(request.param), request.param)


def save(folder, name, longest=None):
    torch.manual_seed(0)
    if name == "bert":
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", *(f"##{one}" for one in "abcdefghij")]
        tokenizer = transformers.BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
        config = transformers.BertConfig(vocab_size=len(pieces), **SMALL)
        network = transformers.BertModel(config)
    else:
        tokenizer = byte_tokenizer(folder)
        config = transformers.RobertaConfig(vocab_size=len(tokenizer.get_vocab()), max_position_embeddings=66, **SMALL)
        network = transformers.RobertaModel(config)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3) if weight.ndim > 1 else None
    network.eval().save_pretrained(folder)
    tokenizer.model_max_length = longest or 64
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=280, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([" ".join(words) for words in SENTENCES] * 4, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        cls_token="<s>", sep_token="</s>",
    )  # fmt: skip


def framework(folder):
    """The network, and its tokenizer with a space before every word."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    if "roberta" in str(folder):
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return transformers.AutoModel.from_pretrained(folder).eval(), tokenizer


def vectors_of(folder, sentences, layer=-1):
    """Means of the states of the pieces of every word, each sentence alone: no padding, no windows."""
    network, tokenizer = framework(folder)
    rows = []
    for words in sentences:
        encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            states = network(**encoded, output_hidden_states=True).hidden_states[layer][0].double().numpy()
        of_tokens = np.array([-1 if word is None else word for word in encoded.word_ids()])
        rows += [states[of_tokens == place].mean(axis=0) for place in range(len(words))]
    return np.stack(rows)


def close(actual, expected, atol=CLOSE):
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=0)


@pytest.mark.parametrize(("layer", "index"), [("penultimate", -1), ("hidden_states.0", 0), ("last", -1), (1, 1)])
def test_vectors_are_means_of_the_frameworks_states(folder, layer, index):
    close(extract_features(f"hf:{folder}", Words.of(SENTENCES), layer), vectors_of(folder, SENTENCES, index))


def test_a_word_of_several_pieces_is_their_mean(folder):
    _, tokenizer = framework(folder)
    counts = np.bincount([i for i in tokenizer(SENTENCES[0], is_split_into_words=True).word_ids() if i is not None])
    assert counts.max() > 1


def test_mean_is_that_of_all_blocks(folder):
    expected = np.mean([vectors_of(folder, SENTENCES, i) for i in (1, 2, 3)], axis=0)
    close(extract_features(f"hf:{folder}", Words.of(SENTENCES), "mean"), expected)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_rest_of_the_batch_changes_nothing(folder, batch_size):
    words = Words.of(SENTENCES)
    features = extract_features(f"hf:{folder}", words, batch_size=batch_size)
    for i in range(0, len(words), 4):
        close(features[[i]], extract_features(f"hf:{folder}", words.take(np.array([i]))))


def test_words_may_come_in_any_order_and_more_than_once(folder):
    words = Words.of(SENTENCES)
    rows = np.random.default_rng(0).integers(0, len(words), 40)
    features = extract_features(f"hf:{folder}", words)
    close(extract_features(f"hf:{folder}", words.take(rows), batch_size=7), features[rows])


@pytest.mark.filterwarnings("ignore:Words in sentences longer:RuntimeWarning")
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_windows_lose_no_word(tmp_path, name):
    """Without positions the embeddings of a piece are the same in every window."""
    folder = save(tmp_path / f"{name}12", name, longest=12)
    network = transformers.AutoModel.from_pretrained(folder)
    torch.nn.init.zeros_(network.embeddings.position_embeddings.weight)
    network.save_pretrained(folder)
    features = extract_features(f"hf:{folder}", Words.of(LONG + SENTENCES), "hidden_states.0")
    close(features, vectors_of(folder, LONG + SENTENCES, 0))


def test_every_piece_is_read_where_it_is_farthest_from_a_cut(tmp_path):
    """BERT of windows of 12 tokens: 10 pieces, the next window begins 5 pieces later."""
    folder = save(tmp_path / "bert", "bert", longest=12)
    network, tokenizer = framework(folder)
    words = list("abcdefghijjihgfedcbaac")  # 22 pieces
    ids = [tokenizer.convert_tokens_to_ids(word) for word in words]
    expected = []
    for i in range(22):
        margins = {}
        for start in (0, 5, 10, 15):  # the window from 15 has the last 7
            stop = min(start + 10, 22)
            if start <= i < stop:
                margins[start] = min(i - start if start else 99, stop - 1 - i if stop < 22 else 99)
        start = max(margins, key=lambda start: (margins[start], -start))
        window = [tokenizer.cls_token_id, *ids[start : start + 10], tokenizer.sep_token_id]
        with torch.no_grad():
            states = network(input_ids=torch.tensor([window])).last_hidden_state[0]
        expected.append(states[1 + i - start].numpy())
    with pytest.warns(RuntimeWarning, match="Words in sentences longer than the model takes.*: 22 of 23"):
        features = extract_features(f"hf:{folder}", Words.of([words, ["a"]]))
    close(features[:22], np.stack(expected))


def test_a_sentence_that_fits_is_one_pass(tmp_path):
    short, long = (save(tmp_path / f"bert{n}", "bert", longest=n) for n in (12, 64))
    words = Words.of([list("abcdefghij")])  # 12 tokens with those at both ends
    close(extract_features(f"hf:{short}", words), extract_features(f"hf:{long}", words), 0)


def test_words_without_a_piece_are_zero_and_said(tmp_path):
    folder = save(tmp_path / "bert", "bert")
    sentences = [["ab", "\x96", "c"], ["\x97"]]
    with pytest.warns(RuntimeWarning, match=r"Words without a piece.* vectors are 0: 2 of 4, the first '\\x9[67]'"):
        features = extract_features(f"hf:{folder}", Words.of(sentences), ["penultimate", 0])
    for layer, index in (("penultimate", -1), (0, 0)):
        close(features[layer][[0, 2]], vectors_of(folder, [["ab", "c"]], index))
        assert not features[layer][[1, 3]].any()


@pytest.mark.filterwarnings("ignore:padding changes:RuntimeWarning")
def test_sentences_that_padding_would_change_are_as_alone(tmp_path):
    save(tmp_path / "bert", "bert")
    torch.manual_seed(0)
    network = transformers.FNetModel(transformers.FNetConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, intermediate_size=16, max_position_embeddings=64
    )).eval()  # fmt: skip
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2) if weight.ndim > 1 else None
    network.save_pretrained(tmp_path / "fnet")
    for file in (tmp_path / "bert").glob("*token*"):
        shutil.copy(file, tmp_path / "fnet")
    expected = [extract_features(f"hf:{tmp_path / 'fnet'}", Words.of([words])) for words in SENTENCES]
    close(extract_features(f"hf:{tmp_path / 'fnet'}", Words.of(SENTENCES)), np.concatenate(expected), 1e-4)


def test_a_tokenizer_that_does_not_know_words_is_refused(tmp_path):
    config = transformers.T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=400)
    transformers.T5Model(config).save_pretrained(tmp_path)
    transformers.ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"does not say which word a piece belongs to \(word_ids\).*tokenizer.json"):
        extract_features(f"hf:{tmp_path}", Words.of(SENTENCES))


def test_a_model_of_images_is_refused():
    module = torch.nn.Linear(4, 2)
    with pytest.raises(ValueError, match=r"takes images|takes arrays"):
        extract_features(nrjax.from_torch(module, input_shape=(1, 4, 1)), Words.of(SENTENCES))


def test_a_function_of_texts_gets_words_alone_and_that_is_said():
    seen = []

    def embed(texts):
        seen.extend(texts)
        return np.array([[len(text), 1.0] for text in texts])

    words = Words.of(SENTENCES)
    with pytest.warns(RuntimeWarning, match="gets words alone, without their sentences"):
        features = extract_features(nrjax.from_embedder(embed), words)
    assert set(seen) == {word.text for word in words}
    close(features[:, 0], [len(word.text) for word in words], 0)
    whole = nrjax.from_embedder(lambda words: np.array([[len(word.sentence)] for word in words]), "words")
    close(extract_features(whole, words)[:, 0], [len(word.sentence) for word in words], 0)


def test_sentences_are_tokenized_once(folder):
    model = nrjax.load_model(f"hf:{folder}")
    words = Words.of(SENTENCES + SENTENCES[:2])
    batch = model.inputs.prepare(list(words))
    assert len(batch.tokens["input_ids"]) == len(SENTENCES)
    assert len(batch.counts) == len(words)


def test_a_ranking_leaves_out_sentences(folder):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    sentences = [["".join(rng.choice(list("abcdefghij"), 3)) for _ in range(rng.integers(2, 6))] for _ in range(30)]
    tags = [["early" if word < "f" else "late" for word in words] for words in sentences]
    first = nrjax.from_embedder(lambda texts: np.array([[ord(text[0]), 1.0] for text in texts]), "text")
    with pytest.warns(RuntimeWarning, match="gets words alone"):
        ranking = nrjax.rank(
            {"network": f"hf:{folder}", "first letter": first}, pandas.DataFrame({"tokens": sentences, "tags": tags}),
            scores="probe",
        )  # fmt: skip
    assert ranking.best == "first letter"
    assert ranking.settings["groups"] == 30
    assert not ranking.failed
