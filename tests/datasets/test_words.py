"""Words with tags: from lists in tables, from data sets of Hugging Face and from CoNLL files."""

import json

import numpy as np
import pytest

import nrjax
from nrjax.datasets import Words

pandas = pytest.importorskip("pandas", reason="pandas is not installed")

SENTENCES = [["EU", "rejects", "German", "call"], ["Peter", "left"], ["EU", "and", "Peter", "are", "German"], ["on"]]
TAGS = [["B-ORG", "O", "B-MISC", "O"], ["B-PER", "O"], ["B-ORG", "O", "I-PER", "O", "I-MISC"], ["O"]]
NAMES = ("MISC", "O", "ORG", "PER")
IDS = [2, 1, 0, 1, 3, 1, 2, 1, 3, 1, 0, 1]
STRIPPED = "ignore:Tags are taken without their prefixes:RuntimeWarning"


def frame(sentences=SENTENCES, tags=TAGS, **columns):
    return pandas.DataFrame({"tokens": sentences, "tags": tags, **columns})


def conll(sentences=SENTENCES, tags=TAGS, mark=" ", before="", after=""):
    lines = [
        "\n".join(f"{before}{word}{mark}{tag}{after}" for word, tag in zip(*pair, strict=True))
        for pair in zip(sentences, tags, strict=True)
    ]
    return "\n\n".join(lines) + "\n"


def write(folder, form):
    """The sentences in a file of a form, and what `load_dataset` takes for it."""
    if form == "jsonl":
        rows = [json.dumps({"words": w, "ner_tags": t}) for w, t in zip(SENTENCES, TAGS, strict=True)]
        (folder / "t.jsonl").write_text("\n".join(rows))
        return folder / "t.jsonl", {}
    if form == "parquet":
        pytest.importorskip("pyarrow")
        frame().to_parquet(folder / "t.parquet")
        return folder / "t.parquet", {}
    if form == "csv":
        texts = {name: [" ".join(row) for row in rows] for name, rows in (("tokens", SENTENCES), ("tags", TAGS))}
        pandas.DataFrame(texts).to_csv(folder / "t.csv", index=False)
        return folder / "t.csv", {"tokens": "tokens", "label": "tags"}
    if form == "lists in csv":
        frame().to_csv(folder / "t.csv", index=False)
        return folder / "t.csv", {"tokens": "tokens", "label": "tags"}
    if form == "arrays in csv":
        arrays = [[np.array(row) for row in rows] for rows in (SENTENCES, TAGS)]
        frame(*arrays).to_csv(folder / "t.csv", index=False)
        return folder / "t.csv", {"tokens": "tokens", "label": "tags"}
    if form == "hugging face":
        return hugging_face(), {}
    if form == "frame":
        return frame(), {"tokens": "tokens", "label": "tags"}
    suffix = ".conll" if form == "conll" else ".txt"
    (folder / f"t{suffix}").write_text("-DOCSTART- O\n\n" + conll(mark="\t" if form == "conll" else " "))
    return folder / f"t{suffix}", {"tokens": "words", "label": "tags"} if form == "txt" else {}


def hugging_face():
    datasets = pytest.importorskip("datasets")
    names = ["O", "B-MISC", "I-MISC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    tags = datasets.Sequence(datasets.ClassLabel(names=names))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    ids = [[names.index(tag) for tag in row] for row in TAGS]
    return datasets.Dataset.from_dict({"tokens": SENTENCES, "ner_tags": ids}, features=features)


@pytest.mark.filterwarnings(STRIPPED)
@pytest.mark.parametrize(
    "form", ["frame", "jsonl", "parquet", "csv", "lists in csv", "arrays in csv", "hugging face", "conll", "txt"]
)  # fmt: skip
def test_every_form_has_the_same_words_tags_and_groups(tmp_path, form):
    data, options = write(tmp_path, form)
    data = nrjax.load_dataset(data, **options)
    assert (data.kind, data.task) == ("words", "classification")
    assert [(list(word.sentence), word.place) for word in data.samples] == [
        (words, place) for words in SENTENCES for place in range(len(words))
    ]
    assert [data.class_names[i] for i in data.labels] == [NAMES[i] for i in IDS]
    np.testing.assert_array_equal(data.groups, np.repeat(np.arange(4), [4, 2, 5, 1]))


def test_prefixes_are_taken_off_and_that_is_said():
    with pytest.warns(RuntimeWarning, match="Tags are taken without their prefixes.*: 6 tags are 4 classes"):
        data = nrjax.load_dataset(frame())
    assert data.class_names == NAMES


@pytest.mark.parametrize(("names", "count"), [(["B-X", "I-X", "O"], 3), (["S-N", "NOUN", "O"], 3)])
def test_tags_may_keep_their_prefixes(names, count):
    tags = [[names[(i + j) % 3] for j in range(4)] for i in range(6)]
    keep = {"keep_prefixes": True} if names[1] == "I-X" else {}  # of the others not all have prefixes
    data = nrjax.load_dataset(frame([["a", "b", "c", "d"]] * 6, tags), **keep)
    assert sorted(data.class_names) == sorted(names)
    assert len(data.class_names) == count


def test_tags_of_one_sentence_are_left_out_and_named():
    tags = [["N", "V", "N", "V"], ["N", "X"], ["N", "V", "N", "V", "N"], ["V"]]
    with pytest.warns(RuntimeWarning, match="tags that occur in one sentence alone, 1 in all: X"):
        data = nrjax.load_dataset(frame(tags=tags))
    assert [word.text for word in data.samples].count("left") == 0
    assert [word.sentence for word in data.samples][4] == ("Peter", "left")


@pytest.mark.filterwarnings(STRIPPED)
def test_whole_sentences_are_drawn():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 12, 50)
    sentences = [[f"w{i}"] * length for i, length in enumerate(lengths)]
    tags = [list(rng.choice(["N", "V"], length)) for length in lengths]
    data = nrjax.load_dataset(frame(sentences, tags), max_samples=100)
    assert 90 <= len(data.labels) <= 100
    drawn, counts = np.unique(np.asarray(data.groups), return_counts=True)
    np.testing.assert_array_equal(counts, lengths[drawn])


def test_groups_of_sentences():
    tags = [["N", "V", "N", "V"], ["N", "V"], ["N", "V", "N", "V", "N"], ["V"]]
    data = nrjax.load_dataset(frame(tags=tags, document=["a", "a", "b", "b"]), groups="document")
    assert list(data.groups) == ["a"] * 6 + ["b"] * 6


def test_a_folder_of_splits(tmp_path):
    tags = [["N", "V", "N", "V"], ["N", "V"], ["N", "V", "N", "V", "N"], ["V"]]
    (tmp_path / "train.txt").write_text(conll(tags=tags, after=" O"))
    (tmp_path / "test.txt").write_text(conll(SENTENCES[:2], tags[:2], after=" O"))
    (tmp_path / "readme.txt").write_text("What these are.\n\nBy whom.\n")
    assert len(nrjax.load_dataset(tmp_path, tokens="words", label="2").labels) == 6
    assert len(nrjax.load_dataset(tmp_path, "train+test", tokens="words", label="2").labels) == 18
    with pytest.raises(ValueError, match="no split 'validation'; it has test, train"):
        nrjax.load_dataset(tmp_path, "validation", label="2")


def test_universal_dependencies(tmp_path):
    row = "{}\t{}\t_\t{}\t_\t_\t_\t_\t_\t_"
    sentence = ["# text = a b", row.format("1-2", "ab", "_"), row.format(1, "#", "N"), row.format(2, "b", "V"),
                row.format("2.1", "c", "_")]  # fmt: skip
    (tmp_path / "t.conllu").write_text("\n".join(sentence) + "\n\n" + "\n".join(sentence) + "\n")
    data = nrjax.load_dataset(tmp_path / "t.conllu", label="upos")
    assert [(word.sentence, word.place) for word in data.samples] == [(("#", "b"), 0), (("#", "b"), 1)] * 2
    assert [data.class_names[i] for i in data.labels] == ["N", "V"] * 2


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"tags": [["O", "O"], *TAGS[1:]]}, {}, r"row 1 \(index 0\) has 4 words and 2 tags"),
        ({"sentences": [*SENTENCES[:3], [" "]]}, {}, "row 4 .* has a word, number 1, that has an empty text"),
        ({"sentences": [*SENTENCES[:3], [3]]}, {}, "row 4 .* number 1, that has no text; it has 3"),
        ({"tags": [*TAGS[:3], [None]]}, {}, "word 1 of row 4 .* has no tag"),
        ({"tags": ["O", *TAGS[1:]]}, {"tokens": "tokens", "label": "tags"}, "row 1 .* has 4 words and 1 tags"),
        ({"tags": [3, *TAGS[1:]]}, {"tokens": "tokens", "label": "tags"}, "row 1 .* has no list of tags"),
        ({}, {"tokens": "word"}, "no column 'word' for the tokens; it has tokens, tags"),
        ({}, {"tokens": "tokens", "label": "tag"}, "no column 'tag' for the label"),
        ({}, {"tokens": "tokens", "text": "tokens"}, "leave text and image out"),
        ({}, {"groups": "document"}, "no column 'document' for the groups"),
    ],
)
def test_what_bad_rows_get(changes, options, words):
    with pytest.raises(ValueError, match=words):
        nrjax.load_dataset(frame(**changes), **options)


@pytest.mark.filterwarnings(STRIPPED)
def test_broken_rows_may_be_left_out():
    broken = frame(tags=[TAGS[0], ["O"], TAGS[2], TAGS[3]])
    with pytest.warns(RuntimeWarning, match=r"Left out 1 of 4 rows: row 2 \(index 1\) has 2 words and 1 tags"):
        data = nrjax.load_dataset(broken, skip_broken=True)
    assert set(data.groups) <= {0, 2, 3}


@pytest.mark.parametrize("no_class", [-1, -100, -100.0, "-100"])
def test_words_of_no_class_are_left_out_and_said(no_class):
    tags = [[type(no_class)(i) for i in row] for row in ([0, 1, 0], [1, 0], [0, 1])]
    tags[0][1] = no_class
    with pytest.warns(RuntimeWarning, match="Left out 1 words of id -100 or -1, which is no class"):
        data = nrjax.load_dataset(frame([["a", "b", "c"], ["b", "a"], ["c", "b"]], tags))
    assert (len(data.labels), data.class_names) == (6, ("0", "1"))


@pytest.mark.parametrize(
    ("text", "words"),
    [("EU B-ORG\nrejects\n", "line 2 must have 2 fields as before; it has 1: 'rejects'"),
     ("EU\n\nleft\n", "line 1 must have a word and its tag; it has 1")],
)  # fmt: skip
def test_broken_lines_are_named(tmp_path, text, words):
    (tmp_path / "t.conll").write_text(text)
    with pytest.raises(ValueError, match=words):
        nrjax.load_dataset(tmp_path / "t.conll")


def test_a_text_file_of_another_form_is_none(tmp_path):
    (tmp_path / "t.txt").write_text("One sentence here.\n\nAnother, longer sentence there.\n")
    with pytest.raises(ValueError, match=r"no format that is read|no table"):
        nrjax.load_dataset(tmp_path / "t.txt", tokens="words")


def test_the_content_tells_words_apart():
    words = Words.of(SENTENCES)
    assert len(words) == 12
    rows = np.array([3, 5, 6])
    part = words.take(rows)
    assert list(part) == [words[i] for i in rows]
    contents = [list(Words.of(s).content()) for s in (SENTENCES, SENTENCES[:3], [["EU rejects"], *SENTENCES[1:]])]
    contents += [list(part.content()), list(words.take(rows[::-1]).content())]
    assert len({tuple(content) for content in contents}) == 5
    assert [words[i].sentence for i in words.batch_order()] == sorted(
        [word.sentence for word in words], key=lambda sentence: -len(" ".join(sentence))
    )
