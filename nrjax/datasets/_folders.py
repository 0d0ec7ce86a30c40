"""Directories with one folder of images per class."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nrjax.datasets._images import IMAGE_SUFFIXES
from nrjax.files import is_litter, natural

SPLITS = {"train", "test", "val", "valid", "validation", "dev", "eval"}


class Folders:
    """One folder of images per class, classes in natural order; what systems leave behind is no image.

    Raises:
      ValueError: there is no folder of images, a class has none, or the split is not there beside others.
    """

    def __init__(self, root: Path, split: str):
        folders = _folders(root)
        if (root / split).is_dir() and split and Path(split).name == split:
            root = root / split
            folders = _folders(root)
        elif folders and {folder.name.lower() for folder in folders} <= SPLITS:
            raise ValueError(
                f"Dataset {str(root)!r} has no split {split!r}; it has {', '.join(folder.name for folder in folders)}."
            )
        self._root, self._files, labels = root, [], []
        for i, folder in enumerate(folders):
            found = _images(folder)
            self._files += found
            labels += [i] * len(found)
        if not self._files:
            raise ValueError(
                f"Dataset {str(root)!r}: expected one folder of images per class; found {len(folders)} folders "
                f"and no image ({', '.join(sorted(IMAGE_SUFFIXES))})."
            )
        empty = [folder.name for i, folder in enumerate(folders) if i not in set(labels)]
        if empty:
            raise ValueError(
                f"Dataset {str(root)!r}: every class needs an image; {', '.join(empty[:5])} "
                f"{'has' if len(empty) == 1 else 'have'} none. Remove the folder, or mend it."
            )
        self.class_names = [folder.name for folder in folders]
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


def _folders(root: Path) -> list[Path]:
    found = [path for path in root.iterdir() if path.is_dir() and not is_litter(path.name)]
    return sorted(found, key=lambda path: natural(path.name))


def _images(folder: Path) -> list[Path]:
    """Images below a folder, at any depth; links to folders are not followed."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_litter(name)]
        found += [
            Path(here, name) for name in names
            if not is_litter(name) and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        ]  # fmt: skip
    return sorted(found, key=lambda path: natural(str(path)))
