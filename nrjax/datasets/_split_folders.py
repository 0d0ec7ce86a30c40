"""Which folders of a directory are splits, and which are classes."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

from nrjax._utils.messages import printable
from nrjax._utils.paths import is_system_file
from nrjax.datasets._splits import choose_splits, split_word
from nrjax.datasets._suffixes import kind_of_file

PLAIN_SPLITS = {"train", "test", "val", "valid", "validation", "dev", "eval"}  # no class is usually called so


class Contents(NamedTuple):
    """What lies right below a folder, without what systems leave behind."""

    folders: list[Path]
    samples: list[Path]  # images and recordings
    others: list[Path]


def contents_of(folder: Path) -> Contents:
    """Folders, samples and other files right below a folder."""
    contents = Contents([], [], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_system_file(entry.name):
                continue
            if os.path.isdir(entry.path):
                contents.folders.append(Path(entry.path))
            elif kind_of_file(entry.name):
                contents.samples.append(Path(entry.path))
            else:
                contents.others.append(Path(entry.path))
    return contents


def split_folders(root: Path, split: str) -> list[Path]:
    """The folders of the requested splits; the root itself where it has no splits.

    A split holds folders of classes and is called like a split. Where other folders hold folders too, there are splits
    only if two or more are called like one. A class may be called `train`, too: it holds samples.
    """
    folders = {folder.name: folder for folder in contents_of(root).folders}
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
        return [_unwrap(folders[name]) for name in chosen]
    _warn_of_unnamed_splits(root, list(folders.values()))
    return [root]


def split_folders_of_class(folder: Path, split: str) -> list[Path]:
    """The folders of the requested splits within that of a class; the folder itself where it holds anything else."""
    inner, samples, _ = contents_of(folder)
    if samples or not inner or not all(split_word(path.name) for path in inner):
        return [folder]
    return [folder / name for name in choose_splits(f"Class {str(folder)!r}", split, [path.name for path in inner])]


def _unwrap(folder: Path) -> Path:
    """Of `seg_train/seg_train/...`, as archives are often packed, the folder that holds the classes."""
    inner, samples, _ = contents_of(folder)
    is_wrapped = len(inner) == 1 and not samples and split_word(inner[0].name) == split_word(folder.name) is not None
    return _unwrap(inner[0]) if is_wrapped else folder


def _holds_classes(folder: Path) -> bool:
    folders, samples, _ = contents_of(folder)
    return bool(folders) and not samples


def _warn_of_unnamed_splits(root: Path, folders: list[Path]) -> None:
    """Warns of classes that hold folders of the same names: they may be splits or domains that hold the classes."""
    if not 2 <= len(folders) <= 20:
        return
    inner = [{path.name for path in contents_of(folder).folders} for folder in folders]
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
