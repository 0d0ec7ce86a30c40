"""The one door for labels, wherever they come from: classes that can be told apart, and no sample without one."""

import datetime
import enum
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nrjax._utils.spelling import check_classes, same_spelling, warn_of_look_alikes, warn_of_no_class

TOLD_MISSING = ("nan", "NaN", "<NA>", "NaT")  # what text makes of a label that is missing


def encode(
    labels: object, place: Callable[[int], str] = "sample {}".format, *, is_told: bool = False
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Dense class ids `0..classes-1`, int32 `[samples]`, and the label of each id.

    Labels are text, numbers, booleans, dates, or anything hashable; a column `[samples, 1]` is taken as it is
    meant. Labels of one kind are in sorted order, of several kinds in that of their first appearance. Types do not
    melt: `"1"` and `1` are two classes. Texts that read the same are one class: composed and decomposed characters,
    blanks at the ends, and `"1"` and `"1.0"` where all labels are numbers. Classes that nearly read the same, -1
    beside ids of classes, and words such as NA are warned of.

    Args:
      labels: one per sample.
      place: what the user calls the sample of an index.
      is_told: whether the user has said that the labels are classes.

    Raises:
      ValueError: labels that are missing or infinite (the samples are named), that are not one per sample, that cannot
        be told apart safely, or that are a continuous target.
      TypeError: what has no order or is no sequence.
    """
    ids, classes = _encode(labels, place)
    check_classes(classes, len(ids), is_told=is_told)
    warn_of_no_class(classes.tolist())
    are_texts = [isinstance(label, str) for label in classes.tolist()]
    if all(are_texts):
        ids, classes = same_spelling(ids, classes)
        missing = np.isin(classes, ["", *TOLD_MISSING])
        if missing.any():
            _refuse_missing(missing[ids], classes[ids], place)
    if any(are_texts):
        warn_of_look_alikes(classes.tolist())
    return ids, classes


def check_same_order(samples: object, labels: object, noun: str = "labels") -> None:
    """Whether samples and labels of pandas that have the same index have it in the same order.

    Args:
      samples: of any kind; what has no index of pandas has no order.
      labels: beside them, or groups, or features.
      noun: what the error calls these.

    Raises:
      ValueError: they have not; by place, samples would get the labels of others.
    """
    left, right = index_of(samples), index_of(labels)
    if left is None or right is None:
        return
    if len(left) == len(right) and not left.equals(right) and left.is_unique and left.isin(right).all():
        raise ValueError(
            f"{noun} have the index of the samples in another order. Put them in the same one, "
            f"{noun}.loc[samples.index]; or take both as they stand, without an index: {noun}.to_numpy()."
        )


def index_of(data: object) -> Any:
    """The index of what pandas holds; None of anything else."""
    index = getattr(data, "index", None)
    return index if hasattr(index, "equals") else None


def _encode(labels: object, place: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    array = as_label_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"labels must have one axis, a class per sample; got shape {array.shape}.{_advice(array)}")
    if array.dtype.kind == "O":
        return _encode_objects(array.tolist(), place)
    if array.dtype.kind == "V":
        raise ValueError(f"labels must be text, numbers or the like; got records of dtype {array.dtype}.")
    if array.dtype.kind in "fcmM":
        _refuse_missing(~np.isfinite(array) if array.dtype.kind in "fc" else np.isnat(array), array, place)
    if array.dtype.kind in "US":
        _refuse_missing(np.isin(array, np.array(TOLD_MISSING, array.dtype.kind)), array, place)
    return encode_plainly(array, place)


def encode_plainly(array: np.ndarray, place: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    """`encode` of values of one axis of which none is missing, as they are spelled."""
    if array.dtype.kind == "O":
        return _encode_objects(array.tolist(), place)
    classes, ids = np.unique(array, return_inverse=True)
    return ids.reshape(-1).astype(np.int32), classes


def _advice(labels: np.ndarray) -> str:
    """What to do with labels of several axes: rows that choose one class have an argmax, others none."""
    if labels.ndim < 2:
        return ""
    if labels.ndim == 2 and labels.dtype.kind == "O":  # of a frame
        labels = np.array(labels.tolist())
    if labels.ndim > 2 or labels.dtype.kind not in "biuf":
        return " Choose one class for each sample."
    ones = (labels == 1).sum(axis=1)
    binary = bool(((labels == 0) | (labels == 1)).all())
    if binary and (ones == 1).all():
        return " The rows are one-hot: take the class of each, labels.argmax(axis=1)."
    if binary:
        row = int(np.flatnonzero(ones != 1)[0])
        return f" Row {row} has {ones[row]} classes: rank by one column at a time, labels[:, 0]."
    if (labels >= 0).all() and np.isclose(labels.sum(axis=1), 1, atol=1e-3).all():
        return " Take the most probable class of each row, labels.argmax(axis=1)."
    return " Rank by one column at a time, labels[:, 0]."


def as_label_array(labels: object, who: str = "labels") -> np.ndarray:
    """NumPy's view of the labels; a list whose entries are not of one kind stays a list of objects."""
    if np.ma.isMaskedArray(labels):
        raise ValueError(
            f"{who} must not be a masked array, whose mask would be lost. Remove the masked samples, from the features "
            "too."
        )
    if hasattr(labels, "tocsr"):
        raise TypeError(f"{who} must be a sequence, a class per sample; got a sparse matrix. Use {who}.toarray().")
    if isinstance(labels, (str, bytes, Mapping, set, frozenset)) or not isinstance(labels, Iterable):
        raise TypeError(f"{who} must be a sequence, a class per sample; got {type(labels).__name__}.")
    if hasattr(labels, "isna") and hasattr(labels, "to_numpy"):  # pandas: categories, nullable and string columns
        column: Any = labels
        return np.asarray(column.astype(object), object)
    if isinstance(labels, np.ndarray) or hasattr(labels, "__array__") or hasattr(labels, "__array_interface__"):
        try:
            return np.asarray(labels)
        except Exception as error:
            raise TypeError(f"{who}: NumPy refuses this {type(labels).__name__}: {error}") from error
    listed = list(labels)
    if any(
        getattr(label, "ndim", None) == 0 and not isinstance(label, np.generic) for label in listed
    ):  # of JAX, torch
        listed = [label if is_missing(label) or getattr(label, "ndim", None) != 0 else label.item() for label in listed]
    kinds = {_kind(label) for label in listed}
    if len(kinds) <= 1 and not kinds & {"other", "missing"}:
        try:
            array = np.asarray(listed)
        except (ValueError, OverflowError):
            array = None
        if array is not None and (array.dtype.kind != "f" or "integer" not in kinds):  # integers beyond int64 melt
            return array
    array = np.empty(len(listed), object)
    for i, label in enumerate(listed):
        scalar = getattr(label, "ndim", None) == 0 and hasattr(label, "item") and not is_missing(label)
        array[i] = label.item() if scalar else label
    return array


def _kind(label: object) -> str:
    if is_missing(label):
        return "missing"
    for kind, types in (
        ("text", str), ("bytes", bytes), ("boolean", (bool, np.bool_)), ("integer", numbers.Integral),
        ("number", numbers.Real), ("date", (datetime.date, np.datetime64)),
    ):  # fmt: skip
        if isinstance(label, types):
            return kind
    return "row" if isinstance(label, (list, tuple)) or getattr(label, "ndim", 0) else "other"


def is_missing(label: object) -> bool:
    """Whether a label is one that is not there, as frames, text and numbers have it."""
    if label is None or label is np.ma.masked or type(label).__name__ in ("NAType", "NaTType"):
        return True
    try:
        text = label.decode("latin-1") if isinstance(label, bytes) else label
        return bool(label != label) or (isinstance(text, str) and text in TOLD_MISSING)
    except (TypeError, ValueError):  # of arrays, and of what does not say
        return False


def _encode_objects(labels: list[Any], place: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    infinite = (isinstance(label, float) and math.isinf(label) for label in labels)
    missing = [is_missing(label) or inf for label, inf in zip(labels, infinite, strict=True)]
    _refuse_missing(np.array(missing, bool), labels, place)
    kinds = [_kind(label) for label in labels]
    names = set(kinds)
    if "boolean" in names and names & {"integer", "number"}:
        truth, number = kinds.index("boolean"), next(i for i, k in enumerate(kinds) if k in ("integer", "number"))
        raise ValueError(
            f"labels must not mix booleans and numbers, of which some are equal; {place(truth)} has {labels[truth]}, "
            f"{place(number)} has {labels[number]}. Turn all of them into numbers or text."
        )
    keys = []
    for i, (label, kind) in enumerate(zip(labels, kinds, strict=True)):
        try:
            hash(label)
            if getattr(label, "ndim", 0) or (type(label).__eq__ is object.__eq__ and not isinstance(label, enum.Enum)):
                raise TypeError  # told apart by address alone; members of an enumeration are there once
        except TypeError:
            raise ValueError(
                f"labels must be values that can be told apart, such as text or numbers; {place(i)} has "
                f"{str(label)[:60]} ({type(label).__name__})."
            ) from None
        keys.append(("number" if kind == "integer" else kind, label))
    _refuse_several([label for _, label in dict.fromkeys(keys)])
    order = dict.fromkeys(keys)
    if len({kind for kind, _ in order}) == 1 and "other" not in names and "row" not in names:
        order = dict.fromkeys(sorted(order))
    ids = {key: i for i, key in enumerate(order)}
    classes = np.empty(len(order), object)
    for i, (_, label) in enumerate(order):
        classes[i] = label
    return np.array([ids[key] for key in keys], np.int32), classes


def _refuse_several(labels: Iterable[object]) -> None:
    """Raises where tuples are lists of tags: of several lengths, or the same in another order."""
    rows = [label for label in labels if isinstance(label, tuple)]
    lengths, sets = {len(row) for row in rows}, {frozenset(row) for row in rows}
    if len(lengths) > 1 or len(sets) < len(rows):
        raise ValueError(
            f"labels must be a class per sample; got tuples of several, such as {str(rows[-1])[:60]}. Choose one class "
            "for each sample."
        )


def _refuse_missing(missing: np.ndarray, labels: Any, place: Callable[[int], str]) -> None:
    samples = np.flatnonzero(missing).tolist()
    if len(samples):
        others = "".join(f", {i}" for i in samples[1:5]) if place(0) == "sample 0" else ""
        named = f"{place(samples[0])}{others}{', ...' * (len(samples) > 5)}"
        raise ValueError(
            f"labels must not be missing; {named} has {str(labels[int(samples[0])]).strip() or 'no text'} "
            f"({len(samples)} in all). "
            "Remove those samples, from the features too, or give them a class."
        )
