"""Directories with one folder of images per class."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax.datasets._images import IMAGE_SUFFIXES

SPLITS = {"train", "test", "val", "valid", "validation", "dev", "eval"}


class Folders:
    """One folder of images per class, classes in natural order; what systems leave behind is no image.

    Raises:
      ValueError: there is no folder of images, a class has none, or the split is not there beside others.
    """

    def __init__(self, root: Path, split: str):
        roots = _roots(root, split)
        self._root, self._files, labels = root, [], []
        folders = sorted({folder.name for top in roots for folder in _folders(top)}, key=natural_sort_key)
        for i, name in enumerate(folders):
            found = [image for top in roots if (top / name).is_dir() for image in _images(top / name)]
            self._files += found
            labels += [i] * len(found)
        if not self._files:
            raise ValueError(
                f"Dataset {str(root)!r}: expected one folder of images per class; found {len(folders)} folders "
                f"and no image ({', '.join(sorted(IMAGE_SUFFIXES))})."
            )
        empty = [name for i, name in enumerate(folders) if i not in set(labels)]
        if empty:
            raise ValueError(
                f"Dataset {str(root)!r}: every class needs an image; {', '.join(empty[:5])} "
                f"{'has' if len(empty) == 1 else 'have'} none. Remove the folder, or mend it."
            )
        self.class_names = folders
        self.labels = np.array(labels, np.int64)

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Path]]:
        """Name and path of every image asked for."""
        for i in indices:
            yield str(self._files[i].relative_to(self._root)), self._files[i]


def folder_of_images(root: Path, split: str) -> bool:
    """Whether a directory is such a data set."""
    try:
        Folders(root, split)
    except (ValueError, OSError):
        return False
    return True


def _roots(root: Path, split: str) -> list[Path]:
    """The folders of the splits asked for, joined by `+` or `all`; the root itself where it has no splits."""
    folders = _folders(root)
    by_name = {folder.name.lower(): folder for folder in folders}
    wanted = [part.strip().lower() for part in split.split("+")]
    only_splits = bool(folders) and set(by_name) <= SPLITS
    if wanted == ["all"] and only_splits:
        return folders
    if all(part in by_name for part in wanted):
        return [by_name[part] for part in wanted]
    if only_splits:
        names = ", ".join(folder.name for folder in folders)
        raise ValueError(f"Dataset {str(root)!r} has no split {split!r}; it has {names}, to be joined by +, and all.")
    return [root]


def _folders(root: Path) -> list[Path]:
    found = [path for path in root.iterdir() if path.is_dir() and not is_system_file(path.name)]
    return sorted(found, key=lambda path: natural_sort_key(path.name))


def _images(folder: Path) -> list[Path]:
    """Images below a folder, at any depth; links to folders are not followed."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_file(name)]
        found += [
            Path(here, name) for name in names
            if not is_system_file(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        ]  # fmt: skip
    return sorted(found, key=lambda path: natural_sort_key(str(path)))
