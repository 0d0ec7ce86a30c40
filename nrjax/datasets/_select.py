"""Which samples of a split are used: chosen classes, stratified sub-samples."""

import re
from collections.abc import Iterable, Sequence

import numpy as np


def parse_classes(text: str) -> list[int]:
    """`"0-4"`, `"0,3,7"` or `"0-2,8"` as class ids in the order given.

    Raises:
      ValueError: not of that form, or a range that runs backwards.
    """
    classes: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise ValueError(f"Classes {text!r}: expected ids and ranges such as 0-4 or 0,3,7-9; got {part!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"Classes {text!r}: the range {part.strip()} runs backwards; write {last}-{first}.")
        classes.extend(range(first, last + 1))
    if len(set(classes)) != len(classes):
        raise ValueError(f"Classes {text!r}: a class is named twice.")
    return classes


def resolve_classes(classes: str | Iterable[int | str] | None, class_names: Sequence[str]) -> list[int]:
    """Class ids from a string of ranges, ids, or class names; all of them for None.

    Raises:
      ValueError: a class the dataset does not have.
    """
    if classes is None:
        return list(range(len(class_names)))
    wanted = parse_classes(classes) if isinstance(classes, str) else list(classes)
    ids = [class_names.index(c) if isinstance(c, str) and c in class_names else c for c in wanted]
    unknown = [c for c in ids if isinstance(c, str) or not 0 <= c < len(class_names)]
    if unknown or not ids:
        raise ValueError(
            f"Classes {unknown or wanted}: the dataset has {len(class_names)} classes, "
            f"0-{len(class_names) - 1} ({', '.join(map(str, class_names[:12]))})."
        )
    return [int(c) for c in ids]


def select(labels: np.ndarray, classes: Sequence[int], max_samples: int | None, seed: int) -> np.ndarray:
    """Indices, ascending, of the samples of `classes`; at most `max_samples`, in the classes' proportions.

    The same arguments always choose the same samples. Rounding goes by largest remainder, so the
    number asked for is met exactly and every class that is there keeps at least one sample.
    """
    per_class = [np.flatnonzero(labels == c) for c in classes]
    total = sum(map(len, per_class))
    if max_samples is None or max_samples >= total:
        return np.sort(np.concatenate(per_class))
    if max_samples < len(classes):
        raise ValueError(f"max_samples={max_samples} is less than one for each of the {len(classes)} classes.")
    sizes = np.array([len(indices) for indices in per_class])
    exact = sizes * max_samples / total
    counts = np.maximum(np.floor(exact).astype(int), np.minimum(sizes, 1))
    for c in np.argsort(counts - exact, kind="stable"):
        if counts.sum() < max_samples:
            counts[c] += 1
    while counts.sum() > max_samples:  # many tiny classes: the floor of one took more than their share
        counts[np.argmax(counts)] -= 1
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.permutation(i)[:n] for i, n in zip(per_class, counts, strict=True)]))
