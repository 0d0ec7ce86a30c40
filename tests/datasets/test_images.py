"""Pictures and folders as people have them: each kind has a defined outcome."""

import io
import os
import warnings

import numpy as np
import pytest
from PIL import Image

import nrjax
from nrjax.datasets._decode import decode

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (9, 7, 3), np.uint8)


def encoded(image, format="PNG", **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def tiff(pixels):
    return encoded(Image.fromarray(pixels.reshape(2, -1)), "TIFF")


def transparent():
    pixels = np.zeros((4, 4, 4), np.uint8)  # black, and nothing of it to be seen
    pixels[0] = (10, 20, 30, 255)
    return Image.fromarray(pixels)


def turned(pixels):
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    return encoded(image, exif=exif)


def animated():
    first, second = Image.fromarray(np.zeros((4, 4), np.uint8)), Image.fromarray(np.full((4, 4), 255, np.uint8))
    return encoded(first, "GIF", save_all=True, append_images=[second])


SHOWN = {
    "16 bits": (encoded(Image.fromarray(np.array([[0, 1000, 50000, 65535]], np.uint16))), [0, 4, 195, 255]),
    "floats": (encoded(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF"), [0, 128, 255]),
    "black and white": (encoded(Image.fromarray(GREY > 127)), (GREY > 127) * 255),
    "a palette": (encoded(Image.fromarray(COLOUR).quantize(256)), COLOUR),
    "CMYK": (encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), COLOUR),
    "transparency": (encoded(transparent()), [[10, 20, 30]] * 4 + [[255, 255, 255]] * 12),
    "EXIF": (turned(GREY), np.rot90(GREY, -1)),
    "EXIF of 16 bits": (turned(GREY.astype(np.uint16) * 257), np.rot90(GREY, -1)),
    "an animation": (animated(), np.zeros((4, 4, 3))),
}


@pytest.mark.parametrize("case", SHOWN)
def test_is_shown_as_it_is_seen(case):
    data, expected = SHOWN[case]
    image = decode(data, None, None)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    close = 10 if case == "a palette" else 1
    np.testing.assert_allclose(image.ravel().astype(int), np.ravel(expected).astype(int), atol=close)


REFUSED = {
    "truncated": (encoded(Image.fromarray(RNG.integers(0, 255, (64, 64), np.uint8)))[:1500], "x.png cannot be read"),
    "a bomb": (encoded(Image.new("1", (9000, 9000))), "x.png: 9000x9000 pixels are too many"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "x.png is not an image of a known format"),
    "nothing": (b"", "x.png is not an image"),
    "32 bits": (tiff(np.arange(6, dtype=np.int32)), "x.png has 32-bit integers"),
    "floats of an unknown range": (tiff(np.array([0, 300], np.float32)), r"x.png has .* outside \[0, 1\]"),
    "NaN": (tiff(np.full(4, np.nan, np.float32)), r"x.png has .* outside \[0, 1\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_by_name(case, tmp_path):
    data, words = REFUSED[case]
    folders(tmp_path, a=GREY, b=GREY)
    (tmp_path / "b" / "x.png").write_bytes(data)
    with pytest.raises(ValueError, match=f"b/{words}.*skip_broken"):
        nrjax.load_dataset(tmp_path)
    with pytest.warns(RuntimeWarning, match=f"Left out 1 of 3 images: b/{words}"):
        images, labels, _ = nrjax.load_dataset(tmp_path, skip_broken=True)
    assert labels.tolist() == [0, 1]
    assert len(images) == 2


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path), lambda p: os.symlink(p, p)])
def test_what_is_no_regular_file_is_not_opened(make, tmp_path):
    folders(tmp_path, a=GREY, b=GREY)
    make(tmp_path / "b" / "x.png")
    with pytest.raises(ValueError, match=r"b/x.png is (not a regular file|a link to itself)"):
        nrjax.load_dataset(tmp_path)


def folders(root, **pixels):
    for name, array in pixels.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / name / "0.png")
    return root


def test_litter_is_no_image_and_no_class(tmp_path):
    folders(tmp_path, a=GREY, b=GREY, __MACOSX=GREY, **{".git": GREY})
    for litter in ("._0.png", ".DS_Store", "Thumbs.db", "readme.txt"):
        (tmp_path / "a" / litter).write_bytes(b"x")
    images, labels, names = nrjax.load_dataset(tmp_path)
    assert (len(images), labels.tolist(), names) == (2, [0, 1], ("a", "b"))


def test_classes_are_in_the_order_that_people_count(tmp_path):
    folders(tmp_path, **{str(i): GREY for i in range(12)})
    _, labels, names = nrjax.load_dataset(tmp_path, classes="0-4")
    assert [names[label] for label in labels] == ["0", "1", "2", "3", "4"]


def test_images_lie_at_any_depth(tmp_path):
    folders(tmp_path, a=GREY, **{"b/2020/may": GREY})
    assert nrjax.load_dataset(tmp_path).labels.tolist() == [0, 1]


def test_a_class_without_an_image_is_named(tmp_path):
    folders(tmp_path, a=GREY, b=GREY)
    (tmp_path / "c").mkdir()
    with pytest.raises(ValueError, match="every class needs an image; c has none"):
        nrjax.load_dataset(tmp_path)


def test_a_split_that_is_not_there_is_no_class(tmp_path):
    folders(tmp_path, **{"train/a": GREY, "train/b": GREY, "val/a": GREY, "val/b": GREY})
    assert len(nrjax.load_dataset(tmp_path, "val").images) == 2
    with pytest.raises(ValueError, match="no split 'test'; it has train, val"):
        nrjax.load_dataset(tmp_path)
    for split in ("train+val", "all"):
        images, labels, names = nrjax.load_dataset(tmp_path, split)
        assert (len(images), labels.tolist(), names) == (4, [0, 0, 1, 1], ("a", "b"))


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("pixels", [GREY, GREY.astype(np.uint16) * 257, COLOUR], ids=["L", "16 bits", "RGB"])
def test_photographs_in_tiff_are_turned(pixels, orientation, tmp_path):
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "x.tif", exif=exif)
    turns = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
             6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x.swapaxes(0, 1), 2), 8: np.rot90}  # fmt: skip
    seen = decode(tmp_path / "x.tif", None, None)
    eight = COLOUR if pixels is COLOUR else GREY[:, :, None]
    np.testing.assert_array_equal(seen, turns[orientation](eight))


def test_grey_among_coloured_images(tmp_path):
    folders(tmp_path, a=GREY, b=COLOUR)
    images = nrjax.load_dataset(tmp_path).images
    assert images.shape == (2, 9, 7, 3)
    np.testing.assert_array_equal(images[0], np.repeat(GREY[:, :, None], 3, axis=2))


def test_photographs_of_several_sizes_come_to_the_models_input(tmp_path, save_tiny):
    from click.testing import CliRunner

    from nrjax.cli import main

    save_tiny(tmp_path / "zoo", "one")
    photos = tmp_path / "photos"
    for i in range(20):
        name, size = "ab"[i % 2], (10 + i, 30 - i, 3)
        (photos / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, 90 * (i % 2) + i, np.uint8)).save(photos / name / f"{i}.png")
    arguments = ["rank", str(tmp_path / "zoo"), "--data", str(photos), "--format", "csv"]
    assert CliRunner().invoke(main, arguments).stdout.count("one,") == 1
    assert CliRunner().invoke(main, [*arguments, "--image-size", "8x8", "--grayscale"]).exit_code == 0
    (photos / "a" / "broken.png").write_bytes(b"")
    outcome = CliRunner().invoke(main, arguments)
    assert (outcome.exit_code, "--skip-broken" in outcome.stderr) == (1, True)
    outcome = CliRunner().invoke(main, [*arguments, "--skip-broken"])
    assert outcome.exit_code == 0
    assert "Left out 1 of 21 images: a/broken.png" in outcome.stderr
    assert CliRunner().invoke(main, [*arguments, "--image-size", "0"]).exit_code == 2


def test_images_that_are_not_finite_are_named(tiny_images):
    images, labels = tiny_images
    images = images / np.float32(255)
    images[4] = np.nan
    with pytest.raises(ValueError, match=r"image 4 has nan \(1 of 40 images\)"):
        nrjax.rank({"never": None}, images, labels)


def test_threads_leave_the_filters_of_warnings_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(60):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        image = Image.fromarray(rng.integers(0, 255, (40, 40 + i, 3)).astype(np.uint8))
        image.save(tmp_path / "ab"[i % 2] / f"{i}.jpg")
    before = list(warnings.filters)
    for _ in range(5):
        nrjax.extract_features(nrjax.load_demo().zoo["F10"], nrjax.load_dataset(tmp_path).samples, batch_size=4)
        assert warnings.filters == before
