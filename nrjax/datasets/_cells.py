"""What single cells of a table are: labels, numbers, texts, or missing."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nrjax._utils.messages import shortened
from nrjax.labels import TOLD_MISSING

MOST_IDS = 1 << 16  # whole numbers below are ids of classes, of which some may be missing


def wrong_text(value: Any) -> str | None:
    """What is wrong with a text; None where nothing is."""
    if not isinstance(value, str):
        return f"has no text; it has {shortened(repr(value), 60)}."
    if not value.strip():
        return "has an empty text."
    try:
        value.encode()
    except UnicodeEncodeError:
        return "has half a character (a lone surrogate) in its text, which no tokenizer takes."
    return None


def as_ids(values: Sequence[Any]) -> np.ndarray | None:
    """Labels that are small whole numbers, all as numbers or all as text, are the ids of their classes."""
    if {type(value) for value in values} not in ({int}, {str}):
        return None
    if isinstance(values[0], str):
        if not all(len(v) <= len(str(MOST_IDS)) and v.isascii() and v.isdecimal() and str(int(v)) == v for v in values):
            return None
        values = [int(value) for value in values]
    return np.array(values, np.int64) if 0 <= min(values) <= max(values) < MOST_IDS else None


def whole_numbers(values: Sequence[Any]) -> set[int]:
    """The labels, where all of them are whole numbers, or text of such."""
    try:
        numbers = {float(value) for value in set(values)}
        return {int(number) for number in numbers} if all(map(float.is_integer, numbers)) else set()
    except (TypeError, ValueError, OverflowError):
        return set()


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: nothing, no text or what stands for none, not a number, not a time, pandas' NA."""
    try:
        if isinstance(value, str):
            return not value.strip() or value.strip() in TOLD_MISSING
        return value is None or (getattr(value, "ndim", 0) == 0 and bool(value != value))
    except (TypeError, ValueError):  # NA is neither equal nor not
        return True


def floats(values: Sequence[Any]) -> np.ndarray | None:
    """Numbers, NaN for cells that are none; None where most are none."""
    try:
        numbers = np.asarray(values, np.float64)
        return numbers if numbers.ndim == 1 else None
    except (TypeError, ValueError):
        numbers = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        with contextlib.suppress(TypeError, ValueError):
            numbers[i] = float(value)
    there = sum(not is_missing(value) for value in values)
    return numbers if 0 < there <= 2 * np.isfinite(numbers).sum() else None


def numbers_rows(numbers: np.ndarray | None) -> bool:
    """Whether numbers may be those of rows: whole, and each another one."""
    if numbers is None or len(numbers) < 2 or not np.isfinite(numbers).all():
        return False
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) == len(numbers)
