"""Directories with one folder of images, or of recordings, per class."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nrjax._utils.messages import printable
from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax._utils.spelling import plain_spelling, warn_of_look_alikes
from nrjax.datasets._decode import image_suffixes
from nrjax.datasets._sound_files import SOUND_SUFFIXES
from nrjax.datasets._split_folders import contents_of, split_folders, split_folders_of_class
from nrjax.datasets._suffixes import FileKind, kind_of_file, suffix_of
from nrjax.datasets._table_files import SUFFIXES

NO_SAMPLES = frozenset({  # suffixes of files that often lie beside samples, and are left out without a remark
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".htm", ".log", ".pdf",
    ".ini", ".cfg", ".toml", ".db", ".py", ".ipynb", ".sh", ".bat", ".url", ".lnk", ".pkl", ".md5", ".sha256",
})  # fmt: skip


class Folders:
    """One folder of images, or of recordings, per class, classes in natural order.

    Left out are files that are no samples but might have been, links to folders, and samples beside the classes. One
    warning counts them. Files that systems leave behind are not counted.

    Attributes:
      kind: of the samples.
      remark: the text of that warning, or None.

    Raises:
      ValueError: there is no folder of samples, a class has none, there are images and recordings, or the split is not
        there beside others.
    """

    def __init__(self, root: Path, split: str):
        self._root, self._files = root, []
        by_class: dict[str, list[Path]] = {}
        left_out: list[Path] = []
        for top in split_folders(root, split):
            folders, samples, others = contents_of(top)
            left_out += samples + others
            for folder in folders:
                by_class.setdefault(plain_spelling(folder.name), []).extend(split_folders_of_class(folder, split))
        self.class_names = sorted(by_class, key=natural_sort_key)
        counts = []
        for name in self.class_names:
            files = [path for folder in by_class[name] for path in _find_samples(folder, left_out)]
            self._files += files
            counts.append(len(files))
        self.kind = self._kind()
        self.remark = _remark(root, left_out)
        self._check_counts(counts)
        warn_of_look_alikes(self.class_names)
        self.labels = np.repeat(np.arange(len(counts)), counts)

    def _kind(self) -> FileKind:
        """What the files hold. Raises ValueError where some hold images and some recordings."""
        counts = Counter(kind_of_file(path.name) for path in self._files)
        if len(counts) > 1:
            raise ValueError(
                f"Dataset {printable(str(self._root))!r} has images ({counts['image']:,}) and recordings "
                f"({counts['audio']:,}) in its classes; give a folder that holds one of them."
            )
        return "audio" if counts["audio"] else "image"

    def _check_counts(self, counts: list[int]) -> None:
        """Raises ValueError unless every class has a sample."""
        who = f"Dataset {printable(str(self._root))!r}"
        suffixes = ", ".join(sorted(SOUND_SUFFIXES if self.kind == "audio" else image_suffixes()))
        noun = "a recording" if self.kind == "audio" else "an image"
        remark = f" {self.remark}" if self.remark else ""
        if not self._files:
            tables = sorted(path.name for path in self._root.iterdir() if suffix_of(path.name) in (*SUFFIXES, ".npz"))
            advice = f" Give one of its tables: {', '.join(map(printable, tables[:5]))}." if tables else remark
            where = "no image in them" if self.class_names else "no image in a folder"
            raise ValueError(
                f"{who}: expected one folder of images per class; found {len(self.class_names)} folders and {where} "
                f"({suffixes}) and no recording ({', '.join(sorted(SOUND_SUFFIXES))}).{advice}"
            )
        empty = [printable(name) for name, count in zip(self.class_names, counts, strict=True) if not count]
        if empty:
            raise ValueError(
                f"{who}: every class needs {noun}; {', '.join(empty[:5])} "
                f"{'has' if len(empty) == 1 else 'have'} none ({suffixes}). Remove the folder, or mend it.{remark}"
            )

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Path]]:
        """Name and path of the images at `indices`."""
        for i in indices:
            yield str(self._files[i].relative_to(self._root)), self._files[i]

    recordings = images  # the same files, where they hold recordings


def is_folder_of_samples(root: Path, split: str) -> bool:
    """Whether a directory is such a data set."""
    try:
        Folders(root, split)
    except (ValueError, OSError):
        return False
    return True


def _find_samples(folder: Path, left_out: list[Path]) -> list[Path]:
    """Images and recordings below a folder, at any depth, in natural order. Links to folders are not followed.

    Links to folders and files that are no samples are added to `left_out`.
    """
    files: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_file(name)]
        left_out += [Path(parent, name) for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in names:
            if is_system_file(name):
                continue
            path = os.path.join(parent, name)
            if kind_of_file(name):
                files.append(path)
            else:
                left_out.append(Path(path))
    return [Path(path) for path in sorted(files, key=natural_sort_key)]


def _remark(root: Path, paths: list[Path]) -> str | None:
    """A sentence about paths that might have been samples; notes and tables beside samples are not counted."""
    paths = [path for path in paths if suffix_of(path.name) not in NO_SAMPLES]
    if not paths:
        return None
    kinds = Counter(map(_kind_of, paths))
    listed = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(8))
    first = printable(str(paths[0].relative_to(root)))
    return f"Left out {len(paths):,} of its files, which are not read as samples: {listed}; such as {first}."


def _kind_of(path: Path) -> str:
    if path.is_symlink() and path.is_dir():
        return "links to folders"
    kind = kind_of_file(path.name)
    if kind:
        return "images beside the classes" if kind == "image" else "recordings beside the classes"
    return printable(suffix_of(path.name)) or "without suffix"
