"""Samples that belong together, such as those of one patient: ids, checks against the target, places by size."""

from collections.abc import Callable

import numpy as np

from nrjax._utils.spelling import WORDS_FOR_MISSING, same_spelling, warn_of_look_alikes
from nrjax.labels import as_label_array, encode_plainly, is_missing

SMALL = 16  # samples of a group


def encode_groups(groups: object, samples: int, place: Callable[[int], str]) -> np.ndarray | None:
    """Dense group ids, int32 `[samples]`; None where every sample is a group of its own.

    Args:
      groups: one per sample: text, numbers, or anything hashable. What reads the same is one group.
      samples: how many there are.
      place: what the user calls the sample of an index.

    Raises:
      ValueError: groups that are missing, that are not one per sample, or that are one.
    """
    array = as_label_array(groups, "groups")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (samples,):
        raise ValueError(f"groups must be one per sample; got shape {array.shape} for {samples} samples.")
    cells = array.tolist()
    missing = [
        i for i, cell in enumerate(cells)
        if is_missing(cell) or (isinstance(cell, str) and cell.strip() in ("", *WORDS_FOR_MISSING))
    ]  # fmt: skip
    if missing:
        raise ValueError(
            f"groups must not be missing; {place(missing[0])} has none ({len(missing)} in all). Remove those samples, "
            "or give each a group of its own."
        )
    if array.dtype.kind == "O" and any(isinstance(cell, str) for cell in cells):  # 7 and "7" are one patient
        array = np.array([cell if isinstance(cell, tuple) else str(cell) for cell in cells], object)
    ids, names = encode_plainly(array, place)
    if all(isinstance(name, str) for name in names.tolist()):
        ids, names = same_spelling(ids, names)
        warn_of_look_alikes(names.tolist(), "groups")
    if len(names) < 2:
        raise ValueError(f"groups must be at least 2; got 1 group of {samples} samples. Leave groups out.")
    return None if len(names) == samples else ids


def check_classes_of_groups(ids: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> None:
    """Raises ValueError where a class is in one group alone: without that group nothing knows the class."""
    pairs = np.unique(np.stack([ids, groups]), axis=1)
    in_one = np.flatnonzero(np.bincount(pairs[0], minlength=len(classes)) == 1)
    if len(in_one) == len(classes):
        raise ValueError(
            "groups must not determine the class; every class is in one group alone, so leaving out a group leaves out "
            "its class. Leave groups out, or take smaller ones."
        )
    if len(in_one):
        raise ValueError(
            f"groups must leave every class in another group; class {classes[in_one[0]]!r} is in one group alone "
            f"({len(in_one)} of {len(classes)} classes are). Leave out the class, or take smaller groups."
        )


def members_by_size(groups: np.ndarray) -> tuple[np.ndarray, ...]:
    """Places of every group's samples, int32 `[groups, size]`; `samples` fills up.

    Groups of up to `SMALL` samples share an array, those of up to four times as many another, and so on, so that one
    large group costs the small ones nothing. Every array is a part of the program.
    """
    sizes = np.bincount(groups)
    order = np.argsort(groups, kind="stable").astype(np.int32)
    starts = np.cumsum(sizes) - sizes
    exponents = np.ceil(np.log2(np.maximum(sizes, SMALL) / SMALL) / 2).astype(int)
    arrays = []
    for exponent in np.unique(exponents[sizes > 0]):
        chosen = np.flatnonzero((exponents == exponent) & (sizes > 0))
        width = sizes[chosen].max()
        places = starts[chosen][:, None] + np.arange(width)
        inside = np.arange(width) < sizes[chosen][:, None]
        arrays.append(np.where(inside, order[np.minimum(places, len(groups) - 1)], len(groups)).astype(np.int32))
    return tuple(arrays)


def positions_in(members: tuple[np.ndarray, ...], samples: int) -> np.ndarray:
    """Where each sample is among the members, all arrays flat and one after the other, int32 `[samples]`."""
    flat = np.concatenate([array.reshape(-1) for array in members])
    inside = np.flatnonzero(flat < samples)
    positions = np.empty(samples, np.int32)
    positions[flat[inside]] = inside
    return positions
