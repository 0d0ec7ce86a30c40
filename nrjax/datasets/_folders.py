"""Directories with one folder of images per class."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nrjax._utils.messages import printable
from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax._utils.spelling import plain_spelling, warn_of_look_alikes
from nrjax.datasets._images import image_suffixes
from nrjax.datasets._splits import choose_splits, split_word
from nrjax.datasets._table_files import SUFFIXES

BESIDE = frozenset({
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".htm", ".log", ".pdf",
    ".ini", ".cfg", ".toml", ".db", ".py", ".ipynb", ".sh", ".bat", ".url", ".lnk", ".pkl", ".md5", ".sha256",
})  # fmt: skip


PLAIN_SPLITS = {"train", "test", "val", "valid", "validation", "dev", "eval"}  # these are none of the usual classes


class Folders:
    """One folder of images per class, classes in natural order; what systems leave behind is no image.

    Files that are no images but might have been, links to folders and images beside the classes are left out, with one
    warning that counts them.

    Raises:
      ValueError: there is no folder of images, a class has none, or the split is not there beside others.
    """

    def __init__(self, root: Path, split: str):
        self._root, self._files = root, []
        by_class: dict[str, list[Path]] = {}
        left_out: list[Path] = []
        for top in split_folders(root, split):
            folders, images, others = _contents(top)
            left_out += images + others
            for folder in folders:
                by_class.setdefault(plain_spelling(folder.name), []).extend(_splits_of_class(folder, split))
        self.class_names = sorted(by_class, key=natural_sort_key)
        counts = []
        for name in self.class_names:
            images = [image for folder in by_class[name] for image in _images(folder, left_out)]
            self._files += images
            counts.append(len(images))
        who = f"Dataset {printable(str(root))!r}"
        suffixes = ", ".join(sorted(image_suffixes()))
        self.remark = _left_out(root, left_out)
        if not self._files:
            tables = sorted(path.name for path in root.iterdir() if _suffix(path.name) in (*SUFFIXES, ".npz"))
            instead = f" Give one of its tables: {', '.join(map(printable, tables[:5]))}." if tables else ""
            raise ValueError(
                f"{who}: expected one folder of images per class; found {len(self.class_names)} folders and no image "
                f"({suffixes}).{instead or f' {self.remark}' * bool(self.remark)}"
            )
        empty = [printable(name) for name, count in zip(self.class_names, counts, strict=True) if not count]
        if empty:
            raise ValueError(
                f"{who}: every class needs an image; {', '.join(empty[:5])} "
                f"{'has' if len(empty) == 1 else 'have'} none ({suffixes}). Remove the folder, or mend it."
                f"{f' {self.remark}' * bool(self.remark)}"
            )
        warn_of_look_alikes(self.class_names)
        self.labels = np.repeat(np.arange(len(counts)), counts)

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Path]]:
        """Name and path of the images at `indices`."""
        for i in indices:
            yield str(self._files[i].relative_to(self._root)), self._files[i]


def folder_of_images(root: Path, split: str) -> bool:
    """Whether a directory is such a data set."""
    try:
        Folders(root, split)
    except (ValueError, OSError):
        return False
    return True


def split_folders(root: Path, split: str) -> list[Path]:
    """The folders of the splits that are asked for; the root itself where it has no splits.

    A split holds folders of classes and is called like one; where others hold such, too, there are two at least. A
    class may be called `train`, too: it holds images.
    """
    folders = {folder.name: folder for folder in _contents(root)[0]}
    named = [name for name in folders if split_word(name)]
    if len(folders) == 1 and not named:  # a folder around all others, as archives are often packed
        (only,) = folders.values()
        inner = split_folders(only, split)
        return [root] if inner == [only] else inner
    plain = all(name.lower() in PLAIN_SPLITS for name in folders)
    splits = named if plain else [name for name in named if _holds_classes(folders[name])]
    exact = [part.strip().lower() for part in split.split("+")]
    requested = [name for name in folders if name.lower() in exact and _holds_classes(folders[name])]
    others = [name for name in folders if name not in splits and _holds_classes(folders[name])]
    if len(splits) > 1 or (splits and not others) or requested:
        chosen = choose_splits(f"Dataset {str(root)!r}", split, list(dict.fromkeys([*splits, *requested])))
        if others and "all" in exact:
            listed = ", ".join(map(printable, others[:5]))
            warnings.warn(
                f"Dataset {str(root)!r}: left out the folders {listed}, which are called like no split; add them by +.",
                RuntimeWarning,
                stacklevel=5,
            )
        return [_inner(folders[name]) for name in chosen]
    _warn_of_unnamed_splits(root, list(folders.values()))
    return [root]


def _splits_of_class(folder: Path, split: str) -> list[Path]:
    """The folders of splits within that of a class, where it holds nothing else; else the folder itself."""
    inner, images, _ = _contents(folder)
    if images or not inner or not all(split_word(path.name) for path in inner):
        return [folder]
    return [folder / name for name in choose_splits(f"Class {str(folder)!r}", split, [path.name for path in inner])]


def _inner(folder: Path) -> Path:
    """Of `seg_train/seg_train/...`, as archives are often packed, the folder that holds the classes."""
    inner, images, _ = _contents(folder)
    wrapped = len(inner) == 1 and not images and split_word(inner[0].name) == split_word(folder.name) is not None
    return _inner(inner[0]) if wrapped else folder


def _holds_classes(folder: Path) -> bool:
    folders, images, _ = _contents(folder)
    return bool(folders) and not images


def _warn_of_unnamed_splits(root: Path, folders: list[Path]) -> None:
    """Warns of classes that hold folders of the same names: they may be splits or domains that hold the classes."""
    if not 2 <= len(folders) <= 20:
        return
    inner = [{path.name for path in _contents(folder)[0]} for folder in folders]
    shared = {name for name in set.intersection(*inner) if any(c.isalpha() for c in name) and not split_word(name)}
    if len(shared) > 1:
        names = ", ".join(printable(folder.name) for folder in folders[:5])
        below = ", ".join(sorted(map(printable, shared))[:5])
        warnings.warn(
            f"Dataset {str(root)!r}: the folders {names} are taken as classes, and each has folders {below}. If those "
            f"are the classes, give one folder: {folders[0]}.",
            RuntimeWarning,
            stacklevel=6,
        )


def _contents(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Folders, images and other files right below a folder; what systems leave behind is none of them."""
    folders, images, others = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_system_file(entry.name):
                continue
            group = (
                folders if os.path.isdir(entry.path) else images if _suffix(entry.name) in image_suffixes() else others
            )
            group.append(Path(entry.path))
    return folders, images, others


def _images(folder: Path, left_out: list[Path]) -> list[Path]:
    """Images below a folder, at any depth; links to folders are not followed, and added to what is left out."""
    images: list[str] = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_file(name)]
        left_out += [Path(here, name) for name in folders if os.path.islink(os.path.join(here, name))]
        for name in names:
            if is_system_file(name):
                continue
            path = os.path.join(here, name)
            if _suffix(name) in image_suffixes():
                images.append(path)
            else:
                left_out.append(Path(path))
    return [Path(path) for path in sorted(images, key=natural_sort_key)]


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _left_out(root: Path, paths: list[Path]) -> str | None:
    """A sentence about what might have been an image; notes and tables beside images are not."""
    paths = [path for path in paths if _suffix(path.name) not in BESIDE]
    if not paths:
        return None
    kinds = Counter(
        "links to folders" if path.is_symlink() and path.is_dir() else "images beside the classes"
        if _suffix(path.name) in image_suffixes() else printable(_suffix(path.name)) or "without suffix"
        for path in paths
    )  # fmt: skip
    listed = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(8))
    first = printable(str(paths[0].relative_to(root)))
    return f"Left out {len(paths):,} of its files, which are not read as images: {listed}; such as {first}."
