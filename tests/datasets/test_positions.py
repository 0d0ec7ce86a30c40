"""Positions of pictures with masks: the draw, the sources, and what bad input gets."""

import re

import numpy as np
import pytest
from PIL import Image

import nrjax
from nrjax.datasets import Positions, draw_positions
from nrjax.datasets._position_draw import cells_of


def scenes(count=12, height=64, width=64, classes=3):
    """Pictures with a square of one of the classes 1, 2, ... on background 0, and their masks."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (count, height, width, 3)).astype(np.uint8)
    masks = np.zeros((count, height, width), np.int64)
    for i in range(count):
        label, top, left = 1 + i % (classes - 1), *rng.integers(0, 32, 2)
        masks[i, top : top + 24, left : left + 24] = label
        images[i, top : top + 24, left : left + 24, label % 3] = 220
    return images, masks


def labels_of(dataset):
    return np.array(dataset.class_names)[dataset.labels].astype(int)


@pytest.mark.parametrize(("height", "width", "grid"), [(64, 64, 16), (50, 37, 16), (9, 20, 16), (30, 30, 7)])
def test_cells_agree_with_a_loop(height, width, grid):
    mask = np.random.default_rng(0).integers(0, 2, (5, 6)).repeat(height // 5 + 1, 0).repeat(width // 6 + 1, 1)
    mask = mask[:height, :width]
    mask[:4, :4] = -1
    cells = cells_of(mask, 7, grid)
    rows, columns = min(grid, height), min(grid, width)
    expected = []
    for i in range(rows):
        for j in range(columns):
            top, bottom = int(np.floor(i * height / rows)), int(np.ceil((i + 1) * height / rows))
            left, right = int(np.floor(j * width / columns)), int(np.ceil((j + 1) * width / columns))
            ids = np.unique(mask[top:bottom, left:right])
            if len(ids) == 1 and ids[0] >= 0:
                expected.append((7, (i + 0.5) / rows, (j + 0.5) / columns, ids[0]))
    np.testing.assert_allclose(np.transpose(cells), expected, atol=1e-12)


def test_labels_are_those_of_the_mask_and_groups_are_pictures():
    images, masks = scenes()
    masks[:, -8:] = 255
    dataset = nrjax.load_dataset((images, masks), task="positions")
    samples = dataset.samples
    assert (dataset.kind, dataset.task, dataset.class_names) == ("position", "classification", ("0", "1", "2"))
    np.testing.assert_array_equal(dataset.groups, samples.picture)
    at = masks[samples.picture, (samples.row * 64).astype(int), (samples.column * 64).astype(int)]
    np.testing.assert_array_equal(labels_of(dataset), at)
    assert samples.row.max() < 56 / 64
    np.testing.assert_array_equal(samples[0].image, images[samples[0].picture])


def test_the_draw_is_balanced_and_by_seed():
    images, masks = scenes()
    dataset = draw_positions(images, masks, max_samples=120, per_picture=20)
    counts = np.bincount(dataset.labels)
    assert counts.tolist() == [40, 40, 40]
    assert np.bincount(dataset.groups).max() <= 20
    of_background = np.bincount(dataset.groups[dataset.labels == 0], minlength=12)
    assert of_background.max() - of_background.min() <= 1
    again, other = (draw_positions(images, masks, max_samples=120, seed=seed) for seed in (0, 1))
    assert np.array_equal(again.samples.row, draw_positions(images, masks, max_samples=120).samples.row)
    assert not np.array_equal(again.samples.row, other.samples.row)
    coarse = draw_positions(images, masks, grid=4)
    assert set(coarse.samples.row) <= {0.125, 0.375, 0.625, 0.875}


def test_a_large_background_gets_at_most_twice_what_the_others_have():
    images, masks = scenes(16, classes=5)
    counts = np.bincount(draw_positions(images, masks, per_picture=256).labels)
    assert counts[0] == 2 * np.median(counts[1:])
    masks[:] = 0
    masks[:3, :4, :4] = 1
    assert np.bincount(draw_positions(images, masks).labels).tolist() == [64, 3]


def test_classes_in_one_picture_are_left_out_and_said():
    images, masks = scenes()
    masks[0, :16, :16] = 9
    with pytest.warns(
        RuntimeWarning, match="left out classes 9: cells of a 16x16 grid that are theirs alone lie in one"
    ):
        dataset = draw_positions(images, masks)
    assert 9 not in labels_of(dataset)
    chosen = nrjax.load_dataset((images, masks), task="positions", classes="1,2")
    assert set(labels_of(chosen)) == {1, 2}


def test_black_and_white_masks_have_two_classes():
    images, masks = scenes(classes=2)
    with pytest.warns(RuntimeWarning, match="only 0 and 255, so 255 counts as a class"):
        dataset = draw_positions(images, masks * 255)
    assert set(labels_of(dataset)) == {0, 255}


def test_taken_positions_share_pictures_and_content_is_of_what_is_there():
    images, masks = scenes()
    samples = draw_positions(images, masks, max_samples=60).samples
    some = samples.take(np.array([5, 3, 40]))
    assert isinstance(some, Positions)
    assert [position.picture for position in some[:]] == samples.picture[[5, 3, 40]].tolist()

    def content(samples):
        return b"".join(np.ascontiguousarray(part).tobytes() for part in samples.content())

    changed = images.copy()
    changed[int(samples.picture[0]), 0, 0] += 1
    moved = Positions(samples.images, samples.picture, samples.row, samples.column + 1e-3)
    others = [content(draw_positions(changed, masks, max_samples=60).samples), content(moved), content(some)]
    assert content(samples) == content(draw_positions(images, masks, max_samples=60).samples)
    assert content(samples) not in others
    order = samples.batch_order()
    assert (np.diff(samples.picture[order]) >= 0).all()


def write(folder, images, masks, mode="L"):
    """A folder of pictures with masks as files."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        picture = Image.fromarray(mask.astype(np.uint8))
        if mode == "P":
            picture = picture.convert("P")
            picture.putdata(mask.reshape(-1).tolist())
            picture.putpalette([7, 7, 7] * 256)  # colours say nothing
        picture.save(folder / "masks" / f"{i}.png")


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("split", [False, True])
def test_folders(tmp_path, mode, split):
    images, masks = scenes()
    write(tmp_path / "train" if split else tmp_path, images, masks, mode)
    dataset = nrjax.load_dataset(tmp_path, "train", task="positions")
    expected = draw_positions(images, masks)
    np.testing.assert_array_equal(dataset.labels, expected.labels)
    np.testing.assert_array_equal(dataset.samples.row, expected.samples.row)


def test_tables_and_frames(tmp_path):
    pandas = pytest.importorskip("pandas")
    images, masks = scenes()
    write(tmp_path, images, masks)
    table = pandas.DataFrame(
        {"image": [f"images/{i}.png" for i in range(12)], "m": [f"masks/{i}.png" for i in range(12)]}
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    expected = draw_positions(images, masks)
    dataset = nrjax.load_dataset(tmp_path / "table.csv", task="positions", mask="m")
    np.testing.assert_array_equal(dataset.labels, expected.labels)
    frame = pandas.DataFrame({"image": [str(tmp_path / path) for path in table["image"]], "mask": list(masks)})
    np.testing.assert_array_equal(nrjax.load_dataset(frame, task="positions").labels, expected.labels)
    with pytest.raises(ValueError, match="has no column of masks; name it: mask=; it has image, m"):
        nrjax.load_dataset(tmp_path / "table.csv", task="positions")


def test_pictures_of_several_sizes():
    images, masks = scenes(6)
    wide, wide_masks = scenes(6, 64, 100)
    dataset = nrjax.load_dataset(([*images, *wide], [*masks, *wide_masks]), task="positions")
    assert {position.image.shape[:2] for position in dataset.samples[:]} == {(64, 64), (64, 100)}


def broken_folders(root):
    images, masks = scenes(6)

    def folder(name):
        write(root / name, images, masks)
        return root / name

    (folder("alone") / "masks" / "2.png").unlink()
    Image.fromarray(masks[0, :32].astype(np.uint8)).save(folder("size") / "masks" / "1.png")
    Image.fromarray(images[0]).save(folder("colour") / "masks" / "1.png")
    (folder("damaged") / "masks" / "1.png").write_bytes(b"x")
    return {
        "alone": r"images/2.png has no mask of the same name",
        "size": r"masks/1.png is 32x64 and its picture 64x64: a mask must have the size of its picture",
        "colour": r"masks/1.png holds colours \(RGB\), no ids",
        "damaged": r"masks/1.png is no mask of a known format",
    }


def test_broken_masks_are_named_by_file(tmp_path):
    for name, message in broken_folders(tmp_path).items():
        with pytest.raises(ValueError, match=f"{message}.*skip_broken=True"):
            nrjax.load_dataset(tmp_path / name, task="positions")
        with pytest.warns(RuntimeWarning, match=f"Left out 1 pictures or masks: {message}"):
            dataset = nrjax.load_dataset(tmp_path / name, task="positions", skip_broken=True)
        assert len(set(dataset.groups)) == 5


def test_bad_input(tmp_path):
    images, masks = scenes()
    write(tmp_path, images[:2], masks[:2])
    bad = [
        ((images, masks[:-1]), {}, "one per picture; got 11 masks for 12 pictures"),
        ((images, masks[:, :32]), {}, "mask 0 is 32x64 and its picture 64x64"),
        ((images, masks / 2), {}, "mask 0 must be a mask .* of integers"),
        ((images / 255, masks), {}, "picture 0 must be uint8"),
        ((images, masks * 0), {}, "2 classes or more that lie in several pictures; got 1"),
        ((images[:1], masks[:1]), {}, "2 classes or more that lie in several pictures; got 0"),
        ((images, masks), {"text": "a"}, "text, label, groups and tokens have no meaning"),
        ((images, masks), {"image_size": (8, 8)}, "leave image_size out"),
        ((images, masks), {"max_samples": 0}, "max_samples must be at least 1"),
        ((images,), {}, r"a pair \(images, masks\); got 1"),
        (tmp_path / "images", {}, "expected folders images and masks"),
    ]
    for data, options, message in bad:
        with pytest.raises(ValueError, match=message):
            nrjax.load_dataset(data, task="positions", **options)
    with pytest.raises(TypeError, match=r"positions take a pair \(images, masks\)"):
        nrjax.load_dataset(3, task="positions")
    with pytest.raises(ValueError, match=re.escape('pass task="positions" for masks')):
        nrjax.load_dataset(tmp_path)
    assert nrjax.load_dataset(tmp_path, task="classification").class_names == ("images", "masks")


class Segmented:
    """A data set of PyTorch: items of picture and mask."""

    def __init__(self, items):
        self.items, self.read = items, 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.read += 1
        return self.items[index]


@pytest.mark.parametrize("form", ["arrays", "pillow", "tensors"])
def test_data_sets_of_pytorch(form):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 32, 40, 3)).astype(np.uint8)
    masks = np.zeros((8, 32, 40), np.uint8)
    masks[:, :, 20:] = 1
    masks[:, 16:, :8] = 2
    expected = nrjax.load_dataset((images, masks), task="positions")
    if form == "arrays":
        items = list(zip(images, masks, strict=True))
    elif form == "pillow":
        items = [(Image.fromarray(i), Image.fromarray(m)) for i, m in zip(images, masks, strict=True)]
    else:
        torch = pytest.importorskip("torch", exc_type=ImportError)
        items = [
            (torch.tensor(i).permute(2, 0, 1), torch.tensor(m)[None].long()) for i, m in zip(images, masks, strict=True)
        ]
    data = nrjax.load_dataset(Segmented(items), task="positions")
    np.testing.assert_array_equal(data.labels, expected.labels)
    np.testing.assert_array_equal(data.groups, expected.groups)
    for name in ("picture", "row", "column"):
        assert [getattr(one, name) for one in data.samples] == [getattr(one, name) for one in expected.samples]
    for own, other in zip(data.samples.content(), expected.samples.content(), strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(
    ("items", "words"),
    [([], "no items"), ([3], "is a int"), ([(np.zeros((8, 8, 3), np.uint8), 1)] * 4, "is a tuple of ndarray, int"),
     ([(np.zeros((8, 8, 3), np.uint8), np.zeros((4, 4), int))] * 4, "mask of item 0 is 4x4 and its picture 8x8")],
)  # fmt: skip
def test_items_that_are_no_pictures_with_masks(items, words):
    with pytest.raises(ValueError, match=words):
        nrjax.load_dataset(Segmented(items), task="positions")
