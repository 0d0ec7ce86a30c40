"""Names that may mean several things: splits as TFDS reads them, folders called like a data set, formats."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nrjax

TRAIN, TEST = [10, 11, 12, 13, 14, 15], [100, 101, 102, 103]  # what the images are filled with, in order
FOLDER = 7  # and those of a folder beside


def filled(value):
    return Image.fromarray(np.full((28, 28), value, np.uint8))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """MNIST as TFDS prepares it, of ten images; nothing is downloaded."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    version = tfds.builder_cls("mnist").VERSION
    with registered.skip_registration():

        class Tiny(tfds.core.GeneratorBasedBuilder):
            name = "mnist"
            VERSION = version

            def _info(self):
                image, label = tfds.features.Image(shape=(28, 28, 1)), tfds.features.ClassLabel(num_classes=10)
                features = tfds.features.FeaturesDict({"image": image, "label": label})
                return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

            def _split_generators(self, manager):
                return {"train": self._generate_examples(TRAIN), "test": self._generate_examples(TEST)}

            def _generate_examples(self, values):
                for value in values:
                    yield value, {"image": filled(value), "label": value % 10}

    root = tmp_path_factory.mktemp("tfds")
    Tiny(data_dir=root, file_format="array_record").download_and_prepare()
    return root


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A working directory with an empty folder `mnist`."""
    monkeypatch.chdir(tmp_path)
    Path("mnist").mkdir()
    return tmp_path / "mnist"


def images_of_classes(folder):
    for name in "ab":
        (folder / name).mkdir(parents=True)
        filled(FOLDER).save(folder / name / "0.png")


def values(name, root, split="test"):
    images, labels, _ = nrjax.load_dataset(name, split, data_dir=root)
    found = images[:, 0, 0, 0].tolist()
    if FOLDER not in found:
        assert labels.tolist() == [value % 10 for value in found]  # each image with its own label
    return found


def by_name(root):
    return "mnist"


def by_folder(root):
    return root / "mnist"


def by_version(root):
    return next(path.parent for path in root.glob("mnist/*/dataset_info.json"))


WAYS = pytest.mark.parametrize("way", [by_name, by_folder, by_version])
SPLITS = {
    "train": TRAIN,
    "train+test": TRAIN + TEST,
    "test+train": TEST + TRAIN,
    "train + test": TRAIN + TEST,
    "all": TRAIN + TEST,
    "test+test": TEST + TEST,
    "train[:2]+test": TRAIN[:2] + TEST,
    "train[50%:]": TRAIN[3:],
    "test[-1:]": TEST[-1:],
}


@WAYS
@pytest.mark.parametrize("split", SPLITS)
def test_splits_are_those_of_tfds(prepared, split, way):
    assert values(way(prepared), prepared, split) == SPLITS[split]


def test_classes_of_joined_splits(prepared):
    images, labels, _ = nrjax.load_dataset("mnist", "train+test", classes="0-1", data_dir=prepared)
    assert (images[:, 0, 0, 0].tolist(), labels.tolist()) == ([10, 11, 100, 101], [0, 1, 0, 1])


@WAYS
@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("validation", "has no split 'validation'; it has train, test, to be joined by [+], and all[.]"),
        ("train+validation", "has no split 'validation'; it has train, test"),
        ("TEST", "has no split 'TEST'; it has train, test"),
        ("", "has no split ''; it has train, test"),
        ("train[9", r"split 'train\[9': Error parsing split"),
    ],
)
def test_a_split_that_is_none(prepared, split, words, way):
    with pytest.raises(ValueError, match=f"mnist.*{words}") as raised:
        nrjax.load_dataset(way(prepared), split, data_dir=prepared)
    assert "\n" not in str(raised.value)


def test_an_empty_folder_hides_no_dataset(prepared, beside):
    assert values("mnist", prepared) == TEST
    beside.rmdir()
    beside.write_text("nor does a file")
    assert values("mnist", prepared) == TEST


def test_a_folder_of_images_and_a_dataset_of_one_name_are_not_mixed_up(prepared, beside):
    images_of_classes(beside)
    said = "'mnist' is a folder of samples here and a prepared dataset of TFDS; for the folder write ./mnist, for the"
    for split in ("test", "train+test", "all"):
        with pytest.raises(ValueError, match=said):
            nrjax.load_dataset("mnist", split, data_dir=prepared)
    for folder in ("./mnist", "mnist/", Path("mnist"), beside, str(beside)):  # as the message says
        assert values(folder, prepared) == [FOLDER, FOLDER]
    version = by_version(prepared)
    for dataset in (prepared / "mnist", version, str(version), f"mnist:{version.name}"):
        assert values(dataset, prepared) == TEST


def test_a_folder_of_images_is_read_where_no_dataset_is_prepared(tmp_path, beside):
    images_of_classes(beside)
    assert values("mnist", tmp_path / "nothing here") == [FOLDER, FOLDER]


@WAYS
@pytest.mark.parametrize("state", ["sound", "damaged", "missing"])
def test_tfrecord_is_called_prepared_and_of_another_format(prepared, tmp_path, state, way):
    root = Path(shutil.copytree(prepared, tmp_path / "tfds"))
    info = by_version(root) / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    for record in list(info.parent.glob("*.array_record*")):
        if state != "missing":
            content = b"x" if state == "damaged" else record.read_bytes()
            record.with_name(record.name.replace("array_record", "tfrecord")).write_bytes(content)
        record.unlink()
    with pytest.raises(ValueError, match="as tfrecord, which only TensorFlow reads") as raised:
        nrjax.load_dataset(way(root), data_dir=root)
    assert str(raised.value) == (
        f"Dataset {str(way(root))!r} is prepared in {info.parent} as tfrecord, which only TensorFlow reads. Prepare it "
        "again: pip install tensorflow && tfds build mnist --file_format=array_record --data_dir=ANOTHER_FOLDER"
    )


@WAYS
@pytest.mark.parametrize("state", ["cut off", "turned bits", "missing", "a damaged description"])
def test_files_that_are_damaged_are_one_sentence(prepared, tmp_path, state, way):
    root = Path(shutil.copytree(prepared, tmp_path / "tfds"))
    folder = by_version(root)
    (record,) = folder.glob("*test.array_record*")
    content = bytearray(record.read_bytes())
    if state == "cut off":
        record.write_bytes(content[: len(content) // 2])
    elif state == "turned bits":
        written = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))  # the rest is padding
        for place in written[len(written) // 4 : len(written) // 2]:
            content[place] ^= 1
        record.write_bytes(content)
    elif state == "missing":
        record.unlink()
    else:
        (folder / "dataset_info.json").write_text("{")
    with pytest.raises((ValueError, FileNotFoundError), match=r"Dataset .*mnist") as raised:
        nrjax.load_dataset(way(root), data_dir=root)
    assert "\n" not in str(raised.value)
    assert "as array_record" not in str(raised.value)
