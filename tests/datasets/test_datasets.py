import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import nrjax
from nrjax.datasets import parse_classes
from nrjax.datasets._select import select


@pytest.mark.parametrize(
    ("text", "classes"),
    [("0-4", [0, 1, 2, 3, 4]), ("7", [7]), ("0,3,7-9", [0, 3, 7, 8, 9]), (" 2 - 3 , 1", [2, 3, 1])],
)
def test_classes(text, classes):
    assert parse_classes(text) == classes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("7-3", "the range 7-3 runs backwards; write 3-7"),
        ("a-b", "expected ids and ranges such as 0-4"),
        ("", "expected ids and ranges"),
        ("1,1", "named twice"),
        ("0-4,3", "named twice"),
        ("-1", "expected ids and ranges"),
    ],
)
def test_bad_classes(text, words):
    with pytest.raises(ValueError, match=words):
        parse_classes(text)


def test_subsamples_keep_the_proportions_and_are_deterministic():
    labels = np.repeat([0, 1, 2, 3], [600, 300, 99, 1])
    chosen = select(labels, [0, 1, 2, 3], 100, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [60, 30, 9, 1]
    np.testing.assert_array_equal(chosen, select(labels, [0, 1, 2, 3], 100, seed=0))
    assert not np.array_equal(chosen, select(labels, [0, 1, 2, 3], 100, seed=1))
    assert (np.diff(chosen) > 0).all()
    assert len(select(labels, [0, 1], 7, seed=0)) == 7
    assert len(select(labels, [0, 1], 10**6, seed=0)) == 900
    with pytest.raises(ValueError, match="less than one for each of the 4 classes"):
        select(labels, [0, 1, 2, 3], 3, seed=0)


def test_many_tiny_classes_meet_the_number_asked_for():
    labels = np.concatenate([np.zeros(1000, int), np.arange(1, 40)])
    assert len(select(labels, list(range(40)), 60, seed=0)) == 60


@pytest.fixture
def image_folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name, value in (("dark", 10), ("light", 240)):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(0, 10, (6, 5, 3))
                Image.fromarray((value + noise).astype(np.uint8)).save(folder / f"{i}.png")
            (folder / "notes.txt").write_text("not an image")
    return tmp_path


def test_directory_of_images(image_folder):
    images, labels, names = nrjax.load_dataset(image_folder, "train")
    assert (images.shape, images.dtype) == ((6, 6, 5, 3), np.uint8)
    assert (labels.tolist(), names) == ([0, 0, 0, 1, 1, 1], ("dark", "light"))
    assert images[labels == 0].max() < 30 < 200 < images[labels == 1].min()
    assert len(nrjax.load_dataset(image_folder, "test").images) == 4
    grey = nrjax.load_dataset(image_folder / "test", classes=["light"], image_size=(3, 4), grayscale=True)
    assert grey.images.shape == (2, 3, 4, 1)
    assert grey.labels.tolist() == [1, 1]


def test_images_of_several_shapes(image_folder):
    Image.new("RGB", (9, 9)).save(image_folder / "test" / "dark" / "other.png")
    with pytest.raises(ValueError, match=r"differ in size .*give image_size=\(height, width\)"):
        nrjax.load_dataset(image_folder, "test").images  # noqa: B018
    assert nrjax.load_dataset(image_folder, "test", image_size=(4, 4)).images.shape == (5, 4, 4, 3)


def test_npz(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (20, 6, 6, 3)).astype(np.uint8), np.arange(20) % 4
    np.savez(tmp_path / "d.npz", images=images, labels=labels)
    data = nrjax.load_dataset(tmp_path / "d.npz", classes="1-2")
    np.testing.assert_array_equal(data.images, images[(labels == 1) | (labels == 2)])
    assert set(data.labels) == {1, 2}
    small = nrjax.load_dataset(tmp_path / "d.npz", image_size=(3, 3), grayscale=True, max_samples=8)
    assert small.images.shape == (8, 3, 3, 1)
    np.savez(tmp_path / "text.npz", images=images, labels=np.array(["b", "a"] * 10))
    assert nrjax.load_dataset(tmp_path / "text.npz").class_names == ("a", "b")


BAD = {
    "no images in the folders": (lambda p: (p / "a").mkdir(), ".", {}, "found 1 folders and no image"),
    "npz with other arrays": (lambda p: np.savez(p / "d.npz", x=np.zeros(3)), "d.npz", {}, "arrays images and labels"),
    "npz of pickles": (
        lambda p: np.savez(p / "d.npz", images=np.array([{}]), labels=np.zeros(1)), "d.npz", {}, "images and labels",
    ),
    "npz of floats": (
        lambda p: np.savez(p / "d.npz", images=np.zeros((2, 3, 3)), labels=np.zeros(2)), "d.npz", {}, "expected uint8",
    ),
    "not an npz": (lambda p: (p / "d.npz").write_text("x"), "d.npz", {}, "arrays images and labels"),
    "no such path": (lambda p: None, "a/b/c", {}, "no such directory or .npz"),
    "class that is not there": (
        lambda p: np.savez(p / "d.npz", images=np.zeros((4, 3, 3), np.uint8), labels=np.arange(4)),
        "d.npz", {"classes": "3-5"}, r"\[4, 5\]: the dataset has 4 classes, 0-3",
    ),
    "no samples": (lambda p: None, ".", {"max_samples": 0}, "max_samples must be at least 1; got 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_datasets(tmp_path, case):
    prepare, name, options, words = BAD[case]
    prepare(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        nrjax.load_dataset(tmp_path / name, **options)


def test_unknown_tfds_dataset():
    with pytest.raises(
        ValueError, match=r"'fashion_mnistt' is neither a directory, nor a \.npz file, nor a dataset of TFDS"
    ):
        nrjax.load_dataset("fashion_mnistt")


def test_without_tfds_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'nrjax\[tfds\]'\.$"):
        nrjax.load_dataset("fashion_mnist")


def test_a_dataset_that_is_not_prepared_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        nrjax.load_dataset("cifar100", data_dir=tmp_path)
    message = str(raised.value)
    assert "\n" not in message
    assert f"tfds build cifar100 --data_dir={tmp_path} --file_format=array_record" in message


def test_tfds_reads_real_images_without_tensorflow(fashion_dir):
    code = (
        "import sys, nrjax; d = nrjax.load_dataset('fashion_mnist', 'test', classes='0-4', max_samples=50,"
        f" data_dir={str(fashion_dir)!r}); print(d.images.shape, d.images.dtype, sorted(set(d.labels.tolist())),"
        " d.class_names[0], 'tensorflow' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert out == "(50, 28, 28, 1) uint8 [0, 1, 2, 3, 4] T-shirt/top False"


def test_tfds_split_that_is_not_there(fashion_dir):
    with pytest.raises(ValueError, match="no split 'validation'; it has train, test"):
        nrjax.load_dataset("fashion_mnist", "validation", data_dir=fashion_dir)


def test_bundled_images_are_test_images_of_fashion_mnist(fashion_dir):
    _, images, labels = nrjax.load_demo()
    data = nrjax.load_dataset("fashion_mnist", "test", classes="0-4", max_samples=1000, data_dir=fashion_dir)
    np.testing.assert_array_equal(images, data.images)
    np.testing.assert_array_equal(labels, data.labels)


def test_a_data_set_is_shown_in_one_line():
    data = nrjax.Dataset(np.zeros((3, 4, 4, 1), np.uint8), np.array([0, 1, 1]), ("cat", "dog"))
    assert repr(data) == "<Dataset of 3 samples (image), classification: cat, dog>"
