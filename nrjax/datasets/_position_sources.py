"""Where pictures with masks come from: arrays, a folder with `images` and `masks`, a table with a column of each."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nrjax._utils.messages import printable, shortened
from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax.datasets._columns import Columns
from nrjax.datasets._decode import image_suffixes
from nrjax.datasets._image_arrays import channels_last
from nrjax.datasets._masks import MASK_SUFFIXES
from nrjax.datasets._splits import choose_splits
from nrjax.datasets._suffixes import suffix_of
from nrjax.datasets._table_columns import IMAGES, ColumnChoice
from nrjax.errors import BrokenImage

MASKS = ("mask", "annotation", "segmentation")  # names of columns
IMAGE_FOLDER, MASK_FOLDERS = "images", ("masks", "annotations")
Content = Callable[[int], tuple[str, Any]]  # from an index to a name and a picture in any form


class MaskedPictures:
    """Pictures with masks by their index; an `ImageSource` of the pictures.

    Attributes:
      mask: name and content of the mask of an index.
      missing: sentences about pictures without a mask and masks without a picture.
    """

    class_names: list[str] = []  # noqa: RUF012
    labels = np.zeros(0, np.int64)

    def __init__(self, count: int, picture: Content, mask: Content, missing: Sequence[str] = ()):
        self._count, self._picture, self.mask, self.missing = count, picture, mask, list(missing)

    def __len__(self) -> int:
        return self._count

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of the pictures at `indices`."""
        yield from map(self._picture, map(int, indices))


def of_arrays(data: Any) -> MaskedPictures:
    """Pictures and masks in memory: arrays with an axis of pictures, or sequences of arrays or pictures of Pillow.

    Raises:
      ValueError: they are no pair, or of different lengths.
    """
    if len(data) != 2:
        raise ValueError(f"positions must be a pair (images, masks); got {len(data)} parts.")
    images, masks = (part if isinstance(part, Sequence) else np.asarray(part) for part in data)
    if len(images) != len(masks):
        raise ValueError(f"masks must be one per picture; got {len(masks)} masks for {len(images)} pictures.")

    def item(noun: str, items: Any) -> Content:
        return lambda i: (
            f"{noun} {i}",
            items[i] if isinstance(items[i], Image.Image) else np.asarray(items[i]),
        )

    return MaskedPictures(len(images), item("picture", images), item("mask", masks))


def of_items(data: Any) -> MaskedPictures:
    """A data set of PyTorch whose items are pairs of a picture and its mask, such as torchvision's; each is read once.

    Raises:
      ValueError: the first item is no pair.
    """
    read = functools.lru_cache(1)(lambda i: data[i])  # picture and mask of an item are looked up one after the other
    if not len(data):
        raise ValueError("The data set has no items.")
    first = read(0)
    parts = first if isinstance(first, (tuple, list)) else ()
    if len(parts) != 2 or not (_is_picture(parts[1]) or np.ndim(parts[1]) >= 2):
        got = type(first).__name__ + (f" of {', '.join(type(part).__name__ for part in parts)}" if parts else "")
        raise ValueError(f"positions take a data set whose items are pairs of picture and mask; item 0 is a {got}.")

    def part(noun: str, place: int) -> Content:
        def content(i: int) -> tuple[str, Any]:
            who = f"the {noun} of item {i}"
            try:
                value = read(i)[place]
            except Exception as error:  # whatever a user's own code raises
                return who, BrokenImage(f"{who} cannot be read: {type(error).__name__}: {str(error)[:200]}.")
            return who, value if _is_picture(value) else _channels_behind(np.asarray(value), place)

        return content

    return MaskedPictures(len(data), part("picture", 0), part("mask", 1))


def _is_picture(value: object) -> bool:
    return isinstance(value, Image.Image)


def _channels_behind(array: np.ndarray, place: int) -> np.ndarray:
    """A tensor's channels last; a mask `[1, height, width]` without them."""
    if array.ndim != 3:
        return array
    return channels_last(array[None])[0] if place == 0 else array[0] if array.shape[0] == 1 else array


def mask_folders(root: Path) -> tuple[Path, Path] | None:
    """The folders of pictures and of masks right below a folder; None where it has not both."""
    images = root / IMAGE_FOLDER
    masks = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), None)
    return (images, masks) if masks is not None and images.is_dir() else None


def of_folder(root: Path, split: str) -> MaskedPictures:
    """A folder with `images` and `masks`, or one with such folders for every split; files of one stem belong together.

    Raises:
      ValueError: there are no such folders, no such split, or two masks of one stem.
    """
    who = f"Dataset {printable(str(root))!r}"
    pairs = [mask_folders(root)] if mask_folders(root) else []
    if not pairs:
        by_split = {folder.name: mask_folders(folder) for folder in sorted(root.iterdir()) if mask_folders(folder)}
        if not by_split:
            raise ValueError(
                f"{who}: expected folders {IMAGE_FOLDER} and {MASK_FOLDERS[0]}, with a mask of the same name for every "
                "picture."
            )
        pairs = [by_split[name] for name in choose_splits(who, split, by_split)]
    pictures, masks, missing = [], [], []
    for images_folder, masks_folder in filter(None, pairs):
        by_stem = {side: _by_stem(folder, suffixes) for side, folder, suffixes in (
            ("picture", images_folder, image_suffixes()), ("mask", masks_folder, MASK_SUFFIXES))}  # fmt: skip
        both = [stem for stem in by_stem["picture"] if stem in by_stem["mask"]]
        pictures += [by_stem["picture"][stem] for stem in both]
        masks += [by_stem["mask"][stem] for stem in both]
        for side, other in (("picture", "mask"), ("mask", "picture")):
            alone = [path for stem, path in by_stem[side].items() if stem not in by_stem[other]]
            missing += [f"{printable(str(path.relative_to(root)))} has no {other} of the same name." for path in alone]

    def named(paths: list[Path]) -> Content:
        return lambda i: (printable(str(paths[i].relative_to(root))), paths[i])

    if not pictures:
        raise ValueError(f"{who}: no picture has a mask of the same name. {' '.join(missing[:2])}")
    return MaskedPictures(len(pictures), named(pictures), named(masks), missing)


def _by_stem(folder: Path, suffixes: Any) -> dict[str, Path]:
    """Files below a folder by their path without the suffix, in natural order."""
    paths = [path for path in folder.rglob("*") if suffix_of(path.name) in suffixes and path.is_file()]
    by_stem: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: natural_sort_key(str(path))):
        relative = path.relative_to(folder)
        if any(is_system_file(part) for part in relative.parts):
            continue
        stem = str(relative.with_suffix(""))
        if stem in by_stem:
            raise ValueError(f"{printable(path.name)} and {printable(by_stem[stem].name)} have one stem; remove one.")
        by_stem[stem] = path
    return by_stem


def of_columns(columns: Columns, who: str, base: Path, choice: ColumnChoice) -> MaskedPictures:
    """A table with a column of pictures and one of masks: paths relative to `base`, bytes, pictures or arrays.

    Raises:
      ValueError: a column is not there.
    """
    names = []
    for role, name, usual in (("image", choice.image, IMAGES), ("mask", choice.mask, MASKS)):
        name = name if name is not None else next((name for name in usual if name in columns), None)
        if name not in columns:
            listed = ", ".join(printable(shortened(str(name), 60)) for name in list(columns)[:20])
            wanted = f"no column {name!r} for the {role}" if name else f"no column of {role}s; name it: {role}="
            raise ValueError(f"{who} has {wanted}; it has {listed}.")
        names.append(name)
    pictures, masks = (columns[name] for name in names)

    def cell(noun: str, cells: Sequence[object]) -> Content:
        return lambda i: _content(cells, i, base, f"{who}: the {noun} of row {i + 1}")

    return MaskedPictures(len(pictures), cell("picture", pictures), cell("mask", masks))


def _content(cells: Sequence[object], index: int, base: Path, who: str) -> tuple[str, Any]:
    try:
        value = cells[index]
    except Exception as error:  # of the library that keeps the rows
        return who, BrokenImage(f"{who} cannot be read: {type(error).__name__}: {str(error)[:200]}")
    if isinstance(value, Mapping):  # an image of Hugging Face's datasets
        value = value.get("bytes") or value.get("path")
    if isinstance(value, (str, Path)) and str(value):
        return f"{who} ({printable(str(value))})", base / value
    if isinstance(value, (bytes, Image.Image, np.ndarray)):
        return who, value
    return who, BrokenImage(f"{who} is missing; the cell has {shortened(repr(value), 60)}.")
