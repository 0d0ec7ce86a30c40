"""Directories with one folder of images per class."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nrjax._utils.messages import printable
from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax._utils.spelling import plain_spelling, warn_of_look_alikes
from nrjax.datasets._decode import image_suffixes
from nrjax.datasets._split_folders import contents_of, split_folders, split_folders_of_class, suffix_of
from nrjax.datasets._table_files import SUFFIXES

NO_IMAGES = frozenset({  # suffixes of files that often lie beside images, and are left out without a remark
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".htm", ".log", ".pdf",
    ".ini", ".cfg", ".toml", ".db", ".py", ".ipynb", ".sh", ".bat", ".url", ".lnk", ".pkl", ".md5", ".sha256",
})  # fmt: skip


class Folders:
    """One folder of images per class, classes in natural order. Files that systems leave behind are no images.

    Left out are files that are no images but might have been, links to folders, and images beside the classes. One
    warning counts them.

    Attributes:
      remark: the text of that warning, or None.

    Raises:
      ValueError: there is no folder of images, a class has none, or the split is not there beside others.
    """

    def __init__(self, root: Path, split: str):
        self._root, self._files = root, []
        by_class: dict[str, list[Path]] = {}
        left_out: list[Path] = []
        for top in split_folders(root, split):
            folders, images, others = contents_of(top)
            left_out += images + others
            for folder in folders:
                by_class.setdefault(plain_spelling(folder.name), []).extend(split_folders_of_class(folder, split))
        self.class_names = sorted(by_class, key=natural_sort_key)
        counts = []
        for name in self.class_names:
            images = [image for folder in by_class[name] for image in _find_images(folder, left_out)]
            self._files += images
            counts.append(len(images))
        self.remark = _remark(root, left_out)
        self._check_counts(counts)
        warn_of_look_alikes(self.class_names)
        self.labels = np.repeat(np.arange(len(counts)), counts)

    def _check_counts(self, counts: list[int]) -> None:
        """Raises ValueError unless every class has an image."""
        who = f"Dataset {printable(str(self._root))!r}"
        suffixes = ", ".join(sorted(image_suffixes()))
        remark = f" {self.remark}" if self.remark else ""
        if not self._files:
            tables = sorted(path.name for path in self._root.iterdir() if suffix_of(path.name) in (*SUFFIXES, ".npz"))
            advice = f" Give one of its tables: {', '.join(map(printable, tables[:5]))}." if tables else remark
            raise ValueError(
                f"{who}: expected one folder of images per class; found {len(self.class_names)} folders and no image "
                f"({suffixes}).{advice}"
            )
        empty = [printable(name) for name, count in zip(self.class_names, counts, strict=True) if not count]
        if empty:
            raise ValueError(
                f"{who}: every class needs an image; {', '.join(empty[:5])} "
                f"{'has' if len(empty) == 1 else 'have'} none ({suffixes}). Remove the folder, or mend it.{remark}"
            )

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Path]]:
        """Name and path of the images at `indices`."""
        for i in indices:
            yield str(self._files[i].relative_to(self._root)), self._files[i]


def is_folder_of_images(root: Path, split: str) -> bool:
    """Whether a directory is such a data set."""
    try:
        Folders(root, split)
    except (ValueError, OSError):
        return False
    return True


def _find_images(folder: Path, left_out: list[Path]) -> list[Path]:
    """Images below a folder, at any depth, in natural order. Links to folders are not followed.

    Links to folders and files that are no images are added to `left_out`.
    """
    images: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_file(name)]
        left_out += [Path(parent, name) for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in names:
            if is_system_file(name):
                continue
            path = os.path.join(parent, name)
            if suffix_of(name) in image_suffixes():
                images.append(path)
            else:
                left_out.append(Path(path))
    return [Path(path) for path in sorted(images, key=natural_sort_key)]


def _remark(root: Path, paths: list[Path]) -> str | None:
    """A sentence about paths that might have been images; notes and tables beside images are not counted."""
    paths = [path for path in paths if suffix_of(path.name) not in NO_IMAGES]
    if not paths:
        return None
    kinds = Counter(map(_kind_of, paths))
    listed = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(8))
    first = printable(str(paths[0].relative_to(root)))
    return f"Left out {len(paths):,} of its files, which are not read as images: {listed}; such as {first}."


def _kind_of(path: Path) -> str:
    if path.is_symlink() and path.is_dir():
        return "links to folders"
    suffix = suffix_of(path.name)
    return "images beside the classes" if suffix in image_suffixes() else printable(suffix) or "without suffix"
