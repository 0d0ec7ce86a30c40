"""What single cells of a table are: texts, numbers, or missing."""

import ast
import contextlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nrjax._utils.messages import shortened
from nrjax.labels import TOLD_MISSING

_WITHOUT_COMMA = re.compile(r"""(['"])\s+(?=['"])""")  # between the texts of an array of NumPy


def text_problem(value: object) -> str | None:
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


def whole_numbers(values: Sequence[Any]) -> set[int]:
    """The distinct values, where all of them are whole numbers or the text of such numbers; else an empty set."""
    try:
        numbers = {float(value) for value in set(values)}
        return {int(number) for number in numbers} if all(map(float.is_integer, numbers)) else set()
    except (TypeError, ValueError, OverflowError):
        return set()


def is_missing(value: object) -> bool:
    """Whether a cell is empty: None, empty text or a word for missing, NaN, a time that is none, the NA of pandas."""
    try:
        if isinstance(value, str):
            return not value.strip() or value.strip() in TOLD_MISSING
        return value is None or (getattr(value, "ndim", 0) == 0 and bool(value != value))
    except (TypeError, ValueError):  # NA is neither equal nor not
        return True


def list_in_text(text: str) -> list[Any] | None:
    """The list that a text is of, as Python and NumPy write it; None where it is of none."""
    text = _WITHOUT_COMMA.sub(r"\1, ", text.strip())  # Python reads 'a' 'b' as one text
    with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        value = ast.literal_eval(text) if text[:1] in "[{(" or text == "set()" else None
        return [*value] if isinstance(value, (list, tuple, set)) else None
    return None


def as_floats(values: Sequence[Any]) -> np.ndarray | None:
    """Cells as float64, NaN where a cell is no number; None where more than half of the filled cells are none."""
    names = {
        i for i, value in enumerate(values) if isinstance(value, str) and "_" in value
    }  # 12_34, to Python a number
    if not names:
        with contextlib.suppress(TypeError, ValueError):
            numbers = np.asarray(values, np.float64)
            return numbers if numbers.ndim == 1 else None
    numbers = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        with contextlib.suppress(TypeError, ValueError):
            numbers[i] = np.nan if i in names else float(value)
    filled = sum(not is_missing(value) for value in values)
    return numbers if 0 < filled <= 2 * np.isfinite(numbers).sum() else None
