"""Data as people have them: read rightly, or refused with one sentence; never other classes in silence."""

import io
import json
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

import nrjax
from nrjax._utils.paths import is_system_file
from nrjax.datasets import BrokenImage, _check_images, channels_last, read_labels
from nrjax.datasets._decode import LARGE, decode
from nrjax.datasets._select import select
from nrjax.datasets._splits import split_word
from nrjax.labels import encode

RNG = np.random.default_rng(0)
CAFES = [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
load = nrjax.load_dataset


def folders(root, *names, images=2):
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(images):
            Image.new("RGB", (6, 6), (40 * i,) * 3).save(root / name / f"{i}.png")
    return root


def write(root, name, content):
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root / name


def picture(i):
    return Image.new("RGB", (8, 8), (i % 256, 0, 0))


class Items:
    """A data set of PyTorch, which needs no base class."""

    def __init__(self, item, count=12, **fields):
        self._item, self._count = item, count
        self.__dict__.update(fields)

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        return self._item(index)


# splits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("names", "word"), [
    (("train", "Training", "training_set", "seg_train", "Train2017", "TrainSet", "trainset", "train_full"), "train"),
    (("test", "test_set", "X_test", "testing", "test-images"), "test"),
    (("val", "valid", "Validation_Set", "dev", "validset"), "validation"),
    (("cats", "restaurant", "contest", "devboard", "trained", "train_test"), None),
])  # fmt: skip
def test_words_that_mean_a_split(names, word):
    assert {name: split_word(name) for name in names} == dict.fromkeys(names, word)


SPLITS = {
    "sets": [("training_set", "test_set"), "train", "training_set"],
    "packed twice": [("seg_train/seg_train", "seg_test/seg_test"), "train", "seg_train"],
    "in one folder": [("all/Train", "all/Val"), "val", "Val"],
    "a third folder": [("train", "test", "extra"), "test", "test"],
    "a third folder by its name": [("train", "test", "extra"), "extra", "extra"],
    "one split alone": [("my_train",), "train", "my_train"],
}


@pytest.mark.parametrize("case", SPLITS)
def test_folders_of_splits_are_no_classes(tmp_path, case):
    tops, split, entered = SPLITS[case]
    folders(tmp_path, *(f"{top}/{name}" for top in tops for name in ("cats", "dogs")))
    data = load(tmp_path, split)
    assert data.class_names == ("cats", "dogs")
    assert len(data.labels) == 4
    top = next(top for top in tops if entered in top)
    Image.new("RGB", (6, 6)).save(tmp_path / top / "dogs" / "more.png")
    assert len(load(tmp_path, split).labels) == 5
    with pytest.raises(ValueError, match="no split 'nosuch'; it has"):
        load(tmp_path, "nosuch")


@pytest.mark.parametrize("flat", ["test1", "unlabelled"])
def test_a_split_beside_a_folder_of_images_alone(tmp_path, flat):
    folders(tmp_path, "training_set/cats", "training_set/dogs", flat)
    assert load(tmp_path, "train").class_names == ("cats", "dogs")
    with pytest.raises(ValueError, match="no split 'test'; it has training_set"):
        load(tmp_path)


def test_splits_within_classes(tmp_path):
    folders(tmp_path, "cats/train", "cats/test", "dogs/train", "dogs/test")
    assert load(tmp_path, "train").labels.tolist() == [0, 0, 1, 1]
    assert len(load(tmp_path, "all").labels) == 8


def test_a_class_may_be_called_like_a_split(tmp_path):
    folders(tmp_path, "car", "train", "test tube")
    for split in ("test", "train"):
        assert load(tmp_path, split).class_names == ("car", "test tube", "train")


def test_folders_that_hold_the_same_folders_are_warned_of(tmp_path):
    folders(tmp_path, "art/cats", "art/dogs", "photo/cats", "photo/dogs")
    with pytest.warns(RuntimeWarning, match="are taken as classes, and each has folders cats, dogs"):
        assert load(tmp_path).class_names == ("art", "photo")


def test_what_split_all_leaves_out_is_said(tmp_path):
    folders(tmp_path, *(f"{top}/{name}" for top in ("train", "test", "extra") for name in ("a", "b")))
    with pytest.warns(RuntimeWarning, match="left out the folders extra"):
        assert len(load(tmp_path, "all").labels) == 8
    assert len(load(tmp_path, "train+extra").labels) == 8


def test_splits_of_a_dataset_dict():
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    part = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    data = datasets.DatasetDict(train=part, validation=part, test=part)
    assert [len(load(data, split).labels) for split in ("val", "train+test", "all")] == [2, 4, 6]


@pytest.mark.parametrize("names", [("x_{}", "y_{}"), ("{}_images", "{}_labels")], ids=["Keras", "MedMNIST"])
def test_splits_of_archives(tmp_path, names):
    arrays = {}
    for split, count in (("train", 4), ("test", 2)):
        arrays[names[0].format(split)] = np.full((count, 3, 8, 8), count, np.uint8)  # channels first
        arrays[names[1].format(split)] = (np.arange(count) % 2)[:, None]
    np.savez(tmp_path / "d.npz", **arrays)
    assert load(tmp_path / "d.npz").images.shape == (2, 8, 8, 3)
    assert load(tmp_path / "d.npz", "train+test").labels.tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="no split 'val'; it has train, test"):
        load(tmp_path / "d.npz", "val")


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("images", "y")])
def test_names_of_arrays(tmp_path, names):
    np.savez(tmp_path / "d.npz", **dict(zip(names, (np.zeros((4, 8, 8), np.uint8), [[0], [1], [0], [1]]), strict=True)))
    assert load(tmp_path / "d.npz", "train").labels.tolist() == [0, 1, 0, 1]


def test_folders_of_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    for split in ("train", "test"):
        for part in range(2):
            frame = pd.DataFrame({"text": [f"{split} {part}"], "label": [part]})
            frame.to_parquet(tmp_path / f"{split}-0000{part}-of-00002.parquet")
    assert load(tmp_path).texts == ["test 0", "test 1"]
    assert len(load(tmp_path, "all").texts) == 4


# labels -------------------------------------------------------------------------------------------------------------

ONE_CLASS = {
    "composed and decomposed": CAFES,
    "blanks": ["cat", "cat ", " cat", "cat\u00a0", "\u200bcat"],
    "numbers as text": ["1", "1.0", "1."],
    "numbers": [2, 2.0],
}


@pytest.mark.parametrize("case", ONE_CLASS)
def test_labels_that_read_the_same_are_one_class(tmp_path, case):
    labels = ONE_CLASS[case] + ["7" if case == "numbers as text" else 7 if case == "numbers" else "dog"]
    ids, classes = encode(labels * 3)
    assert (len(classes), len(set(ids[: len(labels) - 1]))) == (2, 1)
    rows = [{"text": "a", "label": label} for label in labels]
    assert len(load(write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))).class_names) == 2
    assert len(load(pd.DataFrame({"text": "a", "label": pd.Series(labels, dtype=object)})).class_names) == 2
    assert len(load(Items(lambda i: (picture(i), labels[i]), len(labels))).class_names) == 2


def test_folders_that_read_the_same_are_one_class(tmp_path):
    folders(tmp_path, f"train/{CAFES[0]}", "train/dog", f"test/{CAFES[1]}", "test/dog")
    assert load(tmp_path, "train+test").class_names == (CAFES[0], "dog")


@pytest.mark.parametrize("labels", [
    ["Cat", "cat"], ["2.1", "2.10"], ["a|b", "b|a"], ["big cat", "big_cat"], ["non-spam", "non\u2013spam"],
    ["big cat", "big-cat"], ["don't", "don\u2019t"], ['"cat"', "cat"], ["R&D", "R&amp;D"], [1, "1"],
])  # fmt: skip
def test_labels_that_nearly_read_the_same_are_said(labels):
    with pytest.warns(RuntimeWarning, match="nearly the same name stay different") as said:
        assert len(encode(labels * 3)[1]) == 2
    assert len(said) == 1


@pytest.mark.parametrize(
    "labels", [["a", "A"], ["1", "2", "10"], ["0.5", "1.5"], ["x, y", "x, z"], ["1", "-1", "no"], ["C", "C-"]]
)
def test_labels_that_are_told_apart_are_not_remarked_on(labels):
    assert len(encode(labels * 3)[1]) == len(labels)


VALUES = RNG.uniform(0, 100, 300).round(1)
TOLD = {  # no classes, and nothing else they could be
    "floats": (VALUES, "regression"),
    "float32": (VALUES.astype(np.float32), "regression"),
    "lists": ([["a"], ["a", "b"], ["b", "a"]] * 3, "multilabel"),
    "tuples": ([("a",), ("a", "b"), ("b", "a")] * 3, "multilabel"),
}
NO_CLASSES = {
    "whole floats": (np.arange(100.0), "continuous target"),
    "few floats": ([0.1, 0.7, 0.3, 0.9, 0.2, 0.4], "numbers or classes: 6 different numbers with fractions"),
    "lists of one length": ([["a", "b"], ["b", "a"]] * 3, 'task="multilabel" for several labels'),
    "lists as text": (["['a']", "['a', 'b']"] * 3, "list that is written as text"),
    "JSON as text": (['{"tags": true}'] * 3, "list that is written as text"),
    "dicts": ([{"boxes": [0, 1]}] * 4, "told apart"),
    "pictures": ([Image.new("L", (4, 4)) for _ in range(4)], "told apart"),
    "masks": ([np.zeros((4, 4))] * 4, "one axis"),
}


DOORS = {
    "rank_batch": lambda labels: nrjax.rank_batch({"m": RNG.normal(size=(len(labels), 3))}, labels),
    "frame": lambda labels: load(pd.DataFrame({"text": "a", "label": pd.Series(list(labels), dtype=object)})),
    "items": lambda labels: load(Items(lambda i: (picture(i), labels[i]), len(labels))),
}


@pytest.mark.parametrize("case", NO_CLASSES)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_class_is_refused_at_every_door(case, door):
    labels, words = NO_CLASSES[case]
    with pytest.raises(ValueError, match=words) as raised:
        DOORS[door](labels)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("case", TOLD)
@pytest.mark.parametrize("door", DOORS)
def test_what_can_be_one_thing_is_taken_for_it_and_numbers_are_said(case, door):
    labels, task = TOLD[case]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = DOORS[door](labels)
    assert (result.settings["task"] if door == "rank_batch" else result.task) == task
    assert [str(w.message).startswith("labels are numbers") for w in said] == [True] * (task == "regression")


@pytest.mark.parametrize("labels", [[0.5, 1.0, 1.5] * 4, [1.0, 2.0] * 5, [2019.0, 2020.0] * 20])
def test_floats_that_are_classes(labels):
    assert len(encode(labels)[1]) == len(set(labels))


@pytest.mark.parametrize(("labels", "words"), [
    (np.eye(3)[[0, 1, 2, 0]], r"one-hot.*labels.argmax"), (np.array([[0.7, 0.3], [0.4, 0.6]]), "most probable.*argmax"),
    (np.array([[1, 0, 1], [0, 1, 0]]), r"Row 0 has 2 classes: rank by one column"),
    (np.array([[1, 0], [0, 0]]), r"Row 1 has 0 classes: rank by one column"), (np.ones((2, 4)) * 7, "one column"),
])  # fmt: skip
def test_advice_for_labels_of_two_axes(labels, words):
    with pytest.raises(ValueError, match=words) as raised:
        encode(labels)
    assert ("argmax" in str(raised.value)) == ("argmax" in words)


@pytest.mark.parametrize("labels", [[-1, 0, 1], ["-1", "0", "1"], [-1, 0, 0]])
def test_minus_one_is_no_class_beside_ids(labels):
    with pytest.raises(ValueError, match=r"row 1 has no label .* so is -1"):
        load(pd.DataFrame({"text": "a", "label": labels}))
    assert load(pd.DataFrame({"text": "a", "label": [-1, 1, 1]})).class_names == ("1", "-1")


def test_labels_of_text_files_in_other_encodings(tmp_path):
    path = write(tmp_path, "y.txt", f"{CAFES[0]}\ndog\n".encode("utf-16"))
    assert read_labels(path).tolist() == [CAFES[0], "dog"]
    with pytest.raises(ValueError, match=r"not text in UTF-8 \(line 2\)"):
        read_labels(write(tmp_path, "z.txt", b"dog\ncaf\xe9\n"))


# tables -------------------------------------------------------------------------------------------------------------

FILES = {
    "a TSV with a quote": ("t.tsv", '5" pipe\t0\nplain\t1\n', ['5" pipe', "plain"]),
    "a TSV of halves of quotes": ("t.tsv", '"Hello there\t1\nhe said yes"\t0\n', ['"Hello there', 'he said yes"']),
    "a TSV that is quoted": ("t.tsv", '"a ""b"""\t0\nplain\t1\n', ['a "b"', "plain"]),
    "semicolons and commas in quotes": ("t.csv", '"a, b";0\n"c";1\n', ["a, b", "c"]),
    "semicolons": ("t.csv", "a, b;0\nc;1\n", ["a, b", "c"]),
    "bars": ("t.csv", "a|0\nc|1\n", ["a", "c"]),
    "what a spreadsheet begins with": ("t.csv", "sep=;\n{}a;0\nc;1\n", ["a", "c"]),
    "UTF-16": ("t.csv", "\u00e9,0\nc,1\n".encode("utf-16"), ["\u00e9", "c"]),
    "UTF-32": ("t.tsv", "\u00e9\t0\nc\t1\n".encode("utf-32"), ["\u00e9", "c"]),
    "a list of JSON": ("t.json", [{"text": "a", "label": 0}, {"text": "c", "label": 1}], ["a", "c"]),
    "lines of JSON": ("t.json", '{"text": "a", "label": 0}\n{"text": "c", "label": 1}\n', ["a", "c"]),
}


@pytest.mark.parametrize("case", FILES)
def test_files_as_programs_write_them(tmp_path, case):
    name, content, texts = FILES[case]
    mark = ";" if ";" in str(content) else "|" if "|" in str(content) else "\t" if name == "t.tsv" else ","
    header = f"text{mark}label\n"
    if name == "t.json":
        content = content if isinstance(content, str) else json.dumps(content)
    elif isinstance(content, bytes):
        encoding = "utf-16" if "16" in case else "utf-32"
        content = (header + content.decode(encoding)).encode(encoding)
    else:
        content = content.format(header) if "{}" in content else header + content
    assert load(write(tmp_path, name, content)).texts == texts


BAD_FILES = {
    "a quote": ("b.csv", 'text,label\nfine,a\n"he said \\"hi\\" now",b\n', "no CSV: line 3: "),
    "a quote that stays open": ("b.csv", 'text,label\n"fine\n,a\nx,b\n', "no CSV: line 2: "),
    "fields": ("b.csv", 'sep=,\ntext,label\n"a\nb",1\nx,2,3\n', "line 5 has 3 fields"),
    "Latin-1": ("b.csv", "text,label\nfine,a\n\u00e9,b\n".encode("latin-1"), r"not text in UTF-8 \(line 3\); save it"),
    "no number": ("b.csv", "f,g,label\n1,2,a\n3,,b\n", r"row 2 \(line 3 of the file\) has no number in column 'g'"),
    "half a character": ("b.jsonl", '{"text": "good", "label": 0}\n{"text": "\\ud83d", "label": 1}\n',
                         r"row 2 \(line 2 of the file\) has half a character"),
    "an empty text": ("b.csv", "text,label\n\nx,a\n ,b\n", r"row 2 \(line 4 of the file\) has an empty text"),
    "a spreadsheet": ("b.xlsx", b"PK", r"file of no format that is read: \.csv"),
    "an object of JSON": ("b.json", "{}", "expected a list of objects"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_errors_name_the_line(tmp_path, case):
    name, content, words = BAD_FILES[case]
    with pytest.raises(ValueError, match=words) as raised:
        load(write(tmp_path, name, content))
    assert "\n" not in str(raised.value)


def test_decimal_commas_and_float64(tmp_path):
    data = load(write(tmp_path, "n.csv", "x;y;label\n1,5;1000000000,25;a\n-2,5e1;3;b\n"))
    np.testing.assert_array_equal(data.samples, [[1.5, 1000000000.25], [-25, 3]])


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "id", "__index_level_0__"])
def test_numbers_of_rows_are_no_feature(tmp_path, name):
    path = write(tmp_path, "i.csv", f"{name},f,label\n" + "".join(f"{7 - i},{i % 3}.5,{i // 3}\n" for i in range(6)))
    with pytest.warns(RuntimeWarning, match="left out column .* numbers the rows"):
        assert load(path).samples.shape == (6, 1)


def test_several_columns_of_texts(tmp_path):
    path = write(tmp_path, "p.csv", "premise,hypothesis,label\na,b,0\nc,d,1\n")
    for text in (["premise", "hypothesis"], "premise, hypothesis"):
        assert list(load(path, text=text).samples) == [("a", "b"), ("c", "d")]
    three = write(tmp_path, "t.csv", "a,b,c,label\nx,y,z,0\nu,v,w,1\n")
    assert load(three, text="a,b,c").texts == ["x\ny\nz", "u\nv\nw"]
    with pytest.raises(ValueError, match="no column 'x' for the text"):
        load(path, text=["premise", "x"])


def test_only_the_columns_that_are_needed_are_read(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    frame = pd.DataFrame({"text": ["a", "b"], "label": [0, 1], "wide": [[0.0] * 9] * 2})
    frame.to_parquet(tmp_path / "t.parquet")
    read, names = parquet.ParquetFile.read, []

    def of_columns(file, columns):
        names.extend(columns)
        return read(file, columns=columns)

    monkeypatch.setattr(parquet.ParquetFile, "read", of_columns)
    assert load(tmp_path / "t.parquet").texts == ["a", "b"]
    assert set(names) == {"text", "label"}


@pytest.mark.parametrize("module", ["pandas", "polars", "pyarrow"])
def test_frames_of_every_library(module):
    library = pytest.importorskip(module)
    make = library.table if module == "pyarrow" else library.DataFrame
    assert load(make({"text": list("abcd"), "label": [0, 1] * 2})).texts == list("abcd")
    features = RNG.normal(size=(60, 3))
    frame = make({f"f{i}": column for i, column in enumerate(features.T)})
    labels = [0, 1, 2] * 20
    assert nrjax.rank_batch({"m": frame}, labels).scores == nrjax.rank_batch({"m": features}, labels).scores
    with pytest.raises(ValueError, match="columns of real numbers; column 't' has dtype"):
        nrjax.rank_batch({"m": make({"t": ["a"] * 60})}, labels)


def test_pictures_go_before_texts_and_texts_before_paths():
    rows = {"image": [picture(i) for i in range(4)], "text": ["a"] * 4, "label": [0, 1] * 2}
    assert load(pd.DataFrame(rows)).kind == "image"
    assert load(pd.DataFrame(rows | {"image": ["x.png"] * 4})).kind == "text"
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    assert load(datasets.Dataset.from_dict(rows)).kind == "image"


def test_streams_are_told_to_be_taken_in_part():
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    stream = datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).to_iterable_dataset()
    for data in (stream, {"test": stream}):
        with pytest.raises(ValueError, match=r"is a stream .*Take a part"):
            load(data)


# what is broken and what is left out --------------------------------------------------------------------------------


def broken_at(place, sample, **fields):
    def item(i):
        if i == place:
            raise OSError("truncated")
        return sample(i), i % 2

    return Items(item, **fields)


BROKEN = {
    "an item": broken_at(5, picture),
    "an item, with targets": broken_at(5, picture, targets=[0, 1] * 6),
    "a text": broken_at(5, "text {}".format),
    "an array": broken_at(5, lambda i: np.full(3, float(i))),
    "a cell without an image": pd.DataFrame({"image": [*map(picture, range(11)), None], "label": [0, 1] * 6}),
    "a cell without a text": pd.DataFrame({"text": [*"abcdefghijk", None], "label": [0, 1] * 6}),
    "a cell without a number": pd.DataFrame({"x": [*range(2, 24, 2), None], "label": [0, 1] * 6}),
    "a cell without a label": pd.DataFrame({"text": list("abcdefghijkl"), "label": [*"xyxyxyxyxyx", None]}),
    "an array of no image": pd.DataFrame({"image": [*map(picture, range(11)), np.zeros(3)], "label": [0, 1] * 6}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_skip_broken_is_for_every_kind_of_data(case):
    with pytest.raises(ValueError, match=r"(item 5|row 12 ).*skip_broken=True"):
        load(BROKEN[case])
    with pytest.warns(RuntimeWarning, match="Left out 1 of 12") as said:
        data = load(BROKEN[case], skip_broken=True)
    assert len(said) == 1
    assert len(data.samples) == len(data.labels) == 11
    assert np.bincount(data.labels).tolist() == [6, 5]


def test_files_that_are_left_out_are_said_once(tmp_path):
    folders(tmp_path, "a", "b")
    for name in ("p.heic~", "q.jp2", "r.npy", "without", "notes.txt"):
        (tmp_path / "a" / name).write_bytes(b"x")
    (tmp_path / "b" / "more").symlink_to(tmp_path / "a")
    Image.new("L", (6, 6)).save(tmp_path / "beside.png")
    with pytest.warns(RuntimeWarning, match=r"Left out 6 of its files.*images beside the classes \(1\)") as said:
        assert len(load(tmp_path).labels) == 4
    assert len(said) == 1
    assert "links to folders (1)" in str(said[0].message)


@pytest.mark.parametrize("name", ["a.jpe", "a.JPG", "a.jfif", "a.pbm", "a.dib.bmp", "a.apng"])
def test_suffixes_of_formats_that_are_read(tmp_path, name):
    folders(tmp_path, "a", "b")
    kind = {"jpe": "JPEG", "JPG": "JPEG", "jfif": "JPEG", "pbm": "PPM", "bmp": "BMP", "apng": "PNG"}
    Image.new("L", (6, 6)).save(tmp_path / "a" / name, kind[name.rpartition(".")[2]])
    assert len(load(tmp_path).labels) == 5


def test_money_and_names_are_no_litter():
    assert not any(map(is_system_file, ["$5", "@home", "#1", "$RECYCLE"]))
    assert all(map(is_system_file, ["$RECYCLE.BIN", "@eaDir", ".git"]))


# data sets of PyTorch -----------------------------------------------------------------------------------------------


def test_items_decide_and_not_targets():
    wrong = Items(lambda i: (picture(i), i // 6), targets=[0, 1] * 6)
    assert load(wrong).labels.tolist() == [0] * 6 + [1] * 6
    targets = [i % 2 for i in range(200)]
    late = Items(lambda i: (picture(i), 1 - i % 2 if i == 99 else i % 2), 200, targets=targets)
    with pytest.raises(ValueError, match=r"item 99 has label 0, and \.targets say 1"):
        load(late)


@pytest.mark.parametrize(("item", "words"), [
    (lambda i: (i % 2, f"text {i}"), "begins with 0 .int.. Put the sample first"),
    (lambda i: (picture(i), 0, i), "item 0 is tuple of 3"), (lambda i: {"image": picture(i)}, "item 0 is dict"),
])  # fmt: skip
def test_items_that_are_no_pairs(item, words):
    with pytest.raises(ValueError, match=words):
        load(Items(item))


# pictures -----------------------------------------------------------------------------------------------------------


def test_colours_are_those_of_the_profile():
    import struct

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    same = bytes(profile)
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {bytes(profile[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = profile[blue : blue + 4], profile[red : red + 4]

    def decoded(colour, mode, icc):
        data = io.BytesIO()
        Image.new(mode, (6, 6), colour).save(data, "PNG", icc_profile=icc)
        return decode(data.getvalue(), None, None)[0, 0].tolist()

    assert decoded((255, 0, 0), "RGB", bytes(profile)) == [0, 0, 255]
    assert decoded((255, 0, 0, 255), "RGBA", bytes(profile)) == [0, 0, 255]
    assert decoded((200, 30, 7), "RGB", same) == [200, 30, 7]  # not moved by rounding
    assert decoded((200, 30, 7), "RGB", b"damaged") == [200, 30, 7]
    assert decoded(77, "L", bytes(profile)) == [77]  # of another kind of picture


@pytest.mark.parametrize(
    ("values", "levels"),
    [([0, 2048, 4095], [0, 128, 255]), ([0, 4096, 65535], [0, 16, 255]), ([0, 7, 235], [0, 7, 235])],
)
def test_fewer_bits_in_sixteen_keep_their_levels(values, levels):
    data = io.BytesIO()
    Image.fromarray(np.array([values], np.uint16)).save(data, "PNG")
    assert decode(data.getvalue(), None, None).ravel().tolist() == levels


def test_dark_pictures_of_sixteen_bits_stay_dark(tmp_path, monkeypatch):
    for name, value in (("a", 3000), ("b", 40000)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(tmp_path / name / "0.png")
    assert load(tmp_path).images[:, 0, 0, 0].tolist() == [12, 156]
    monkeypatch.setattr(_check_images, "MOST_HELD", 10)
    assert [image[0, 0, 0] for image in load(tmp_path).samples] == [12, 156]
    for value in (200, 3000):  # of which one has 12 bits
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(tmp_path / "ab"[value > 255] / "0.png")
    assert [image[0, 0, 0] for image in load(tmp_path).samples] == [12, 187]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_large_photographs_are_decoded_at_reduced_size(format, orientation):
    small = Image.fromarray(RNG.integers(0, 255, (30, 50, 3)).astype(np.uint8))
    image = small.resize((2600, 1700), Image.Resampling.BICUBIC)
    assert image.width * image.height > LARGE
    data, exif = io.BytesIO(), image.getexif()
    exif[0x0112] = orientation
    image.save(data, format, exif=exif)
    whole = decode(data.getvalue(), None, None)
    expected = np.asarray(Image.fromarray(whole).resize((90, 60), Image.Resampling.BILINEAR)).astype(int)
    np.testing.assert_allclose(decode(data.getvalue(), (60, 90), None), expected, atol=5)


def test_arrays_of_other_channels():
    frame = pd.DataFrame(
        {"image": [np.zeros((4, 4, 4), np.uint8), np.zeros((3, 4, 8), np.uint8)] * 2, "label": [0, 1] * 2}
    )
    data = load(frame)
    assert [image.shape for image in data.samples] == [(4, 4, 3), (4, 8, 3)] * 2
    assert data.samples[0].min() == 255  # what is transparent is shown on white
    frame["image"] = [np.zeros((4, 4, 5), np.uint8)] * 4
    with pytest.raises(BrokenImage, match=r"row 1 \(index 0\) must be uint8"):
        load(frame)
    assert channels_last(np.zeros((2, 3, 8, 9))).shape == (2, 8, 9, 3)
    assert channels_last(np.zeros((2, 3, 8, 3))).shape == (2, 3, 8, 3)


# choosing, and what rank takes --------------------------------------------------------------------------------------


def test_samples_are_chosen_among_the_classes_that_are_there(tmp_path):
    path = write(tmp_path, "y.csv", "text,label\n" + "".join(f"text {i},{2019 + i % 4}\n" for i in range(400)))
    assert np.bincount(load(path, max_samples=100).labels)[2019:].tolist() == [25] * 4
    assert len(select(np.arange(1000) % 10 * 6500, range(65_000), 50, seed=0)) == 50


@pytest.mark.parametrize(
    ("classes", "chosen"), [("cat,dog", {0, 1}), ("dog", {1}), ("eel, 0", {2, 0}), ("1-2", {1, 2})]
)
def test_classes_by_name_or_id_in_a_text(tmp_path, classes, chosen):
    path = write(tmp_path, "c.csv", "text,label\nx,cat\ny,dog\nz,eel\n")
    assert set(load(path, classes=classes).labels.tolist()) == chosen
    with pytest.raises(ValueError, match="no class 'cow'; it has cat, dog, eel"):
        load(path, classes="dog,cow")


def test_ids_that_are_names_of_other_classes_are_said(tmp_path):
    folders(tmp_path, "1", "2", "3")
    with pytest.warns(RuntimeWarning, match="are ids, which choose the classes called 2, 3"):
        assert set(load(tmp_path, classes="1-2").labels) == {1, 2}
    assert set(load(tmp_path, classes=["1", "2"]).labels) == {0, 1}


def lengths(texts):
    return np.array([[len(text), text.count("a"), text.count("e")] for text in texts], float)


TEXTS = [f"t{i}" + "a" * (i % 3) for i in range(30)]
LABELS = [i % 3 for i in range(30)]


def test_rank_reads_a_frame_and_never_the_names_of_its_columns():
    models = {"e": nrjax.from_embedder(lengths)}
    frame = pd.DataFrame({"text": TEXTS, "source": "s", "day": "d", "label": LABELS})
    expected = nrjax.rank(models, TEXTS, LABELS, progress=False).scores
    assert nrjax.rank(models, frame, progress=False).scores == expected
    for samples, words in ((frame[["text", "day"]], "column 'text' has dtype"), ({"text": TEXTS}, "got dict")):
        with pytest.raises(ValueError, match=words):
            nrjax.rank(models, samples, LABELS, progress=False)
    with pytest.raises(ValueError, match="Join the texts"):
        nrjax.rank(models, [("a", "b", "c")] * 30, LABELS, progress=False)
    with pytest.raises(ValueError, match="text 3 has half a character"):
        nrjax.rank(models, [*TEXTS[:3], "\ud83d", *TEXTS[4:]], LABELS, progress=False)


def test_functions_keep_their_float64():
    points = RNG.normal(size=(60, 6)) + 4 * np.eye(3, 6)[np.arange(60) % 3] + 1e9
    models = {"raw": nrjax.from_embedder(lambda values: values, kind="array")}
    ranking = nrjax.rank(models, points, np.arange(60) % 3, scores="silhouette", progress=False)
    expected = nrjax.rank_batch({"raw": points}, np.arange(60) % 3).scores["raw"]
    assert ranking.scores["raw"] == pytest.approx(expected, abs=1e-6)


def test_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "t.csv", "text,label\na,0\nb,1\n")
    assert load("~/t.csv").texts == ["a", "b"]
    with pytest.raises(FileNotFoundError, match="no such directory"):
        load("~/no-such-photos")
