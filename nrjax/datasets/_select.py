"""Which samples of a split are used: chosen classes, stratified sub-samples."""

import re
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from nrjax._utils.spelling import plain_spelling

_IDS = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")


def parse_classes(text: str) -> list[int]:
    """`"0-4"`, `"0,3,7"` or `"0-2,8"` as class ids in the order given.

    Raises:
      ValueError: not of that form, or a range that runs backwards.
    """
    classes: list[int] = []
    for part in text.split(","):
        match = _IDS.fullmatch(part)
        if match is None:
            raise ValueError(f"Classes {text!r}: expected ids and ranges such as 0-4 or 0,3,7-9; got {part!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"Classes {text!r}: the range {part.strip()} runs backwards; write {last}-{first}.")
        classes.extend(range(first, last + 1))
    if len(set(classes)) != len(classes):
        raise ValueError(f"Classes {text!r}: a class is named twice.")
    return classes


def _parse(text: str, class_names: Sequence[str]) -> list[int | str]:
    """Ids, ranges of ids and names of classes in a text; names may hold commas where the text is one name."""
    if plain_spelling(text) in class_names and not _IDS.fullmatch(text):
        return [plain_spelling(text)]
    parts = [plain_spelling(part) for part in text.split(",")]
    if any(part in class_names and not _IDS.fullmatch(part) for part in parts):
        unknown = [part for part in parts if part not in class_names and not _IDS.fullmatch(part)]
        if unknown:
            raise ValueError(f"Classes {text!r}: there is no class {unknown[0]!r}; it has {_listed(class_names)}.")
        named: list[int | str] = []
        for part in parts:
            named += parse_classes(part) if _IDS.fullmatch(part) else [part]
        return named
    try:
        ids = parse_classes(text)
    except ValueError as error:
        if any(any(character.isalpha() for character in part) for part in parts):
            raise ValueError(f"{error} The names of classes are {_listed(class_names)}.") from error
        raise
    return list(ids)


def _listed(class_names: Sequence[str]) -> str:
    return ", ".join(map(str, class_names[:12])) + (", ..." if len(class_names) > 12 else "")


def resolve_classes(classes: str | Iterable[int | str] | None, class_names: Sequence[str]) -> list[int]:
    """Class ids from a string of ranges, ids, or class names; all of them for None.

    Raises:
      ValueError: a class the dataset does not have, or one that is named twice.
    """
    if classes is None:
        return list(range(len(class_names)))
    requested = _parse(classes, class_names) if isinstance(classes, str) else list(classes)
    id_of = {name: i for i, name in reversed(list(enumerate(class_names)))}
    ids = [id_of.get(plain_spelling(c), c) if isinstance(c, str) else c for c in requested]
    unknown = [c for c in ids if isinstance(c, str) or not 0 <= c < len(class_names)]
    if unknown or not ids:
        raise ValueError(
            f"Classes {unknown or requested}: the dataset has {len(class_names)} classes, "
            f"0-{len(class_names) - 1} ({_listed(class_names)})."
        )
    ids = [int(c) for c in ids]
    if len(set(ids)) < len(ids):
        raise ValueError(f"Classes {classes!r}: a class is named twice.")
    numbers = [] if any(isinstance(c, str) for c in requested) else ids
    confused = [i for i in numbers if class_names[i] != str(i) and str(i) in class_names]
    if confused:
        warnings.warn(
            f"Classes {classes!r} are ids, which choose the classes called "
            f"{', '.join(class_names[i] for i in ids[:8])}. For names give a list of texts: "
            f"classes=[{str(confused[0])!r}].",
            RuntimeWarning,
            stacklevel=3,
        )
    return ids


def select(
    labels: np.ndarray, classes: Sequence[int], max_samples: int | None, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Indices, ascending, of the samples of `classes`; at most `max_samples`, in the proportions of the classes.

    The same arguments always choose the same samples. Rounding is by largest remainder, so the number asked for is met
    exactly, and every class that has samples keeps at least one. With groups whole groups are drawn at random, as many
    as fit.
    """
    if groups is not None and max_samples is not None:
        return _select_groups(np.flatnonzero(np.isin(labels, classes)), groups, max_samples, seed)
    order = np.argsort(labels, kind="stable")
    starts, stops = (np.searchsorted(labels, classes, side, sorter=order) for side in ("left", "right"))
    per_class = [order[start:stop] for start, stop in zip(starts, stops, strict=True) if start < stop]
    if not per_class:
        return np.zeros(0, np.int64)
    total = sum(map(len, per_class))
    if max_samples is None or max_samples >= total:
        return np.sort(np.concatenate(per_class))
    if max_samples < len(per_class):
        raise ValueError(f"max_samples={max_samples} is less than one for each of the {len(per_class)} classes.")
    sizes = np.array([len(indices) for indices in per_class])
    exact = sizes * max_samples / total
    counts = np.maximum(np.floor(exact).astype(int), np.minimum(sizes, 1))
    for c in np.argsort(counts - exact, kind="stable"):
        if counts.sum() < max_samples:
            counts[c] += 1
    while counts.sum() > max_samples:  # many tiny classes: one sample each is more than their share
        counts[np.argmax(counts)] -= 1
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.permutation(i)[:n] for i, n in zip(per_class, counts, strict=True)]))


def _select_groups(indices: np.ndarray, groups: np.ndarray, max_samples: int, seed: int) -> np.ndarray:
    ids = {group: i for i, group in enumerate(dict.fromkeys(groups[indices].tolist()))}
    of_samples = np.array([ids[group] for group in groups[indices].tolist()], int)
    sizes = np.bincount(of_samples, minlength=len(ids))
    chosen, room = np.zeros(len(ids), bool), max_samples
    for group in np.random.default_rng(seed).permutation(len(ids)):
        if sizes[group] <= room:
            chosen[group] = True
            room -= sizes[group]
    if len(ids) and not chosen.any():
        raise ValueError(f"max_samples={max_samples} is less than the smallest group, which has {sizes.min()} samples.")
    return indices[chosen[of_samples]]
