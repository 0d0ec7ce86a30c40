"""Texts, images and numbers in tables of every format, and in objects that users hold."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import nrjax
from nrjax.datasets import BrokenImage, Images, _check_images

FRAME = pd.DataFrame({
    "headline": ["a, \"quoted\"\nline", "zwei", "drei", "vier", "fünf", "sechs"],
    "topic": ["b", "a", "b", "a", "b", "10"],
    "length": [1, 2, 3, 4, 5, 6],
})  # fmt: skip


def write(folder, suffix, frame=FRAME):
    path = folder / f"t{suffix}"
    if suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_texts_of_every_format(tmp_path, suffix):
    data = nrjax.load_dataset(write(tmp_path, suffix), text="headline", label="topic")
    assert data.kind == "text"
    assert data.texts == FRAME["headline"].tolist()
    assert data.class_names == ("10", "a", "b")
    assert [data.class_names[i] for i in data.labels] == FRAME["topic"].tolist()
    some = nrjax.load_dataset(
        tmp_path / f"t{suffix}", text="headline", label="topic", classes=["a", "b"], max_samples=4
    )
    assert len(some.texts) == 4
    assert set(some.labels) == {1, 2}


def test_columns_are_found_by_their_usual_names(tmp_path):
    frame = FRAME.rename(columns={"headline": "sentence", "topic": "label"})
    assert nrjax.load_dataset(write(tmp_path, ".csv", frame)).texts == FRAME["headline"].tolist()
    numbers = pd.DataFrame({"x": [0.5, 1, 2], "y": [1, 0, 1], "target": ["u", "v", "u"]})
    data = nrjax.load_dataset(write(tmp_path, ".csv", numbers))
    assert data.kind == "array"
    np.testing.assert_array_equal(data.samples, np.float32([[0.5, 1], [1, 0], [2, 1]]))


BAD = {
    "no such column": (FRAME, {"text": "body", "label": "topic"},
                       "no column 'body' for the text; it has headline, topic"),
    "no label": (FRAME, {"text": "headline"}, "no column of labels"),
    "labels missing": (FRAME.assign(topic=["a", None, "b", "a", "b", None]), {"text": "headline", "label": "topic"},
                       r"row 2 has no label in column 'topic' \(2 of 6 rows\)"),
    "no text": (FRAME, {"label": "topic"}, "has no column of texts, images or recordings"),
    "nothing in it": (FRAME[:0], {"text": "headline", "label": "topic"}, "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("suffix", [".csv", "frame"])
def test_tables_that_are_refused(tmp_path, case, suffix):
    frame, options, said = BAD[case]
    with pytest.raises(ValueError, match=said):
        nrjax.load_dataset(frame if suffix == "frame" else write(tmp_path, suffix, frame), **options)


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.csv", b"text,label\nx,1,2\n", "line 2 has 3 fields, the first row 2"),
    ("a.csv", b"text,text\nx,1\n", "names the columns, each once"), ("a.csv", b"", "names the columns"),
    ("a.csv", b"text,label\n\xff\xfe,1\n", "not text in UTF-8"), ("a.csv", b'text,label\n"x,1\n', "is no CSV"),
    ("a.jsonl", b'{"text": "x"}\n[1]\n', "line 2 is no object"), ("a.jsonl", b"{text}\n", "line 1 is not JSON"),
])  # fmt: skip
def test_files_that_are_damaged(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        nrjax.load_dataset(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(ValueError, match="not a regular file"):
        nrjax.load_dataset(tmp_path / "p.csv")


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "img").mkdir()
    rows = []
    for i in range(9):
        pixels = rng.integers(0, 90, (12 + i, 20 - i, 3)) + 60 * (i % 3)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "img" / f"{i}.png")
        rows.append((f"img/{i}.png", "abc"[i % 3]))
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(tmp_path / "photos.csv", index=False)
    return tmp_path


def test_images_of_a_table(photographs):
    data = nrjax.load_dataset(photographs / "photos.csv")
    assert data.kind == "image"
    assert isinstance(data.samples, Images)
    assert data.samples[4].shape == (16, 16, 3)
    with pytest.raises(ValueError, match="differ in size"):
        data.images  # noqa: B018
    with pytest.raises(ValueError, match="images, no texts"):
        data.texts  # noqa: B018
    assert nrjax.load_dataset(photographs / "photos.csv", image_size=(8, 8)).images.shape == (9, 8, 8, 3)
    zoo = nrjax.load_demo().zoo
    ranking = nrjax.rank(zoo, data, progress=False)
    assert set(ranking.order) == set(zoo)
    assert ranking.classes == ("a", "b", "c")
    same = nrjax.rank(zoo, str(photographs / "photos.csv"), progress=False)
    assert same.scores == ranking.scores


def test_a_broken_image_is_known_before_any_model_runs(photographs):
    path = photographs / "img" / "5.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BrokenImage, match=r"img/5.png .*skip_broken=True"):
        nrjax.load_dataset(photographs / "photos.csv")
    with pytest.warns(RuntimeWarning, match="Left out 1 of 9 images"):
        data = nrjax.load_dataset(photographs / "photos.csv", skip_broken=True)
    assert len(data.samples) == len(data.labels) == 8


def test_more_images_than_fit_are_decoded_when_needed(photographs, monkeypatch):
    held = nrjax.load_dataset(photographs / "photos.csv")
    zoo = nrjax.load_demo().zoo
    expected = nrjax.extract_features(zoo["F10"], held.samples, batch_size=4)
    monkeypatch.setattr(_check_images, "MOST_HELD", 1000)
    lazy = nrjax.load_dataset(photographs / "photos.csv")
    assert lazy.samples.held is None
    np.testing.assert_array_equal(nrjax.extract_features(zoo["F10"], lazy.samples, batch_size=4), expected)
    (photographs / "img" / "3.png").write_bytes(b"changed meanwhile")
    with pytest.raises(BrokenImage, match=r"img/3\.png"):
        nrjax.rank(zoo, lazy, progress=False)


def test_data_sets_of_hugging_face(photographs):
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    texts = datasets.Dataset.from_pandas(FRAME)
    texts.save_to_disk(photographs / "hf")
    for source in (texts, photographs / "hf", datasets.DatasetDict({"test": texts})):
        data = nrjax.load_dataset(source, text="headline", label="topic")
        assert data.texts == FRAME["headline"].tolist()
        with pytest.raises(ValueError, match="no column 'nosuch'"):
            nrjax.load_dataset(source, text="nosuch", label="topic")
    with pytest.raises(ValueError, match="no split 'train'; it has test"):
        nrjax.load_dataset(datasets.DatasetDict({"test": texts}), "train", text="headline", label="topic")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["y", "x"])})
    paths = [str(photographs / "img" / f"{i}.png") for i in range(9)]
    images = datasets.Dataset.from_dict({"image": paths, "label": [i % 2 for i in range(9)]}, features=features)
    data = nrjax.load_dataset(images)
    assert (data.kind, data.class_names) == ("image", ("y", "x"))
    expected = nrjax.load_dataset(photographs / "photos.csv").samples
    for i in range(9):
        np.testing.assert_array_equal(data.samples[i], expected[i])


class Pairs:
    """As PyTorch's data sets are, which need no base class."""

    def __init__(self, samples, labels):
        self.samples, self.labels = samples, labels

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index], self.labels[index]


def test_data_sets_of_pytorch():
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (8, 9 + i, 3)).astype(np.uint8)) for i in range(4)]
    data = nrjax.load_dataset(Pairs(pictures, [0, 1, 0, 1]))
    np.testing.assert_array_equal(data.samples[2], np.asarray(pictures[2]))
    channels_first = rng.random((4, 3, 8, 8)).astype(np.float32)
    data = nrjax.load_dataset(Pairs(channels_first, [0, 1, 0, 1]))
    assert data.kind == "array"
    np.testing.assert_array_equal(data.samples, channels_first.transpose(0, 2, 3, 1))
    assert nrjax.load_dataset(Pairs(["a", "b", "c"], ["u", "v", "u"])).texts == ["a", "b", "c"]
    with pytest.raises(ValueError, match="items are pairs of sample and label"):
        nrjax.load_dataset(
            Pairs.__new__(type("One", (Pairs,), {"__getitem__": lambda s, i: 3, "__len__": lambda s: 2}))
        )


@pytest.mark.parametrize("missing", [None, "", float("nan"), pd.NA, pd.NaT])
def test_labels_that_are_missing(missing):
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": pd.Series(["x", missing, "y"], dtype=object)})
    with pytest.raises(ValueError, match=r"row 2 has no label in column 'label' \(1 of 3 rows\)"):
        nrjax.load_dataset(frame)


def test_hidden_labels_of_hugging_face():
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["x", "y"])})
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, -1, 1]}, features=features)
    with pytest.raises(ValueError, match="row 2 has no label"):
        nrjax.load_dataset(data)


def test_what_is_no_data_set(tmp_path):
    for wrong in (3, None, [1, 2], {"a": 1}, np.zeros((3, 2))):
        with pytest.raises(TypeError, match="load_dataset takes a name, a path, a pandas frame"):
            nrjax.load_dataset(wrong)
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="no table, so it has no columns"):
        nrjax.load_dataset(tmp_path, text="a")
    with pytest.raises(ValueError, match="labels of its own"):
        nrjax.rank({}, nrjax.load_dataset(FRAME, text="headline", label="topic"), [1, 2])


def test_a_table_of_json_lines_with_fields_that_are_missing(tmp_path):
    rows = [{"text": "a", "label": 1}, {"text": "b"}, {"text": "c", "label": 0}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="row 2 has no label"):
        nrjax.load_dataset(tmp_path / "t.jsonl")


def test_points_that_group_thousands_beside_decimal_commas(tmp_path):
    rows = ["x;y;z;label", "0,5;1.250;1.250,5;a", "1,5;7;-2.000.000,25;b", "2;1.000;3;c", "3,25;12;0;a"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    numbers = pd.read_csv(tmp_path / "t.csv", sep=";", decimal=",", thousands=".")[["x", "y", "z"]].to_numpy()
    assert nrjax.load_dataset(tmp_path / "t.csv").samples.tolist() == numbers.tolist()
    (tmp_path / "points.csv").write_text("x;y;label\n1;1.250;a\n2;7;b\n3;1.5;c\n")
    assert nrjax.load_dataset(tmp_path / "points.csv").samples.tolist() == [[1, 1.25], [2, 7], [3, 1.5]]


def test_names_that_python_reads_as_numbers_are_none():
    frame = pd.DataFrame({"x": [1, 2, 3, 5], "site": ["2020_01", "2020_02", "2020_01", "2021_01"], "label": [*"abab"]})
    with pytest.raises(ValueError, match="leave numbers alone, which site is not"):
        nrjax.load_dataset(frame)


def test_a_header_that_is_repeated_is_left_out(tmp_path):
    part = "text,label\nfine,a\nbad,b\n"
    (tmp_path / "t.csv").write_text(part + part)
    with pytest.warns(RuntimeWarning, match=r"t.csv: left out line 4, which repeats the first row"):
        data = nrjax.load_dataset(tmp_path / "t.csv")
    assert (data.texts, data.class_names) == (["fine", "bad"] * 2, ("a", "b"))


def test_a_column_of_splits_is_said():
    rows = FRAME.rename(columns={"headline": "text", "topic": "label"}).assign(split=["train", "test"] * 3)
    with pytest.warns(RuntimeWarning, match="all rows are taken, of train, test in column 'split', too"):
        assert len(nrjax.load_dataset(rows, "test").labels) == 6
    assert len(nrjax.load_dataset(rows[rows["split"] == "test"], "test").labels) == 3
    assert len(nrjax.load_dataset(rows, label="split").class_names) == 2
