"""Spelling of labels: which read the same, which nearly do, and which values are no classes."""

import ast
import contextlib
import decimal
import json
import math
import numbers
import re
import unicodedata
import warnings
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np

LONGEST_LIST = 10_000  # characters of a label that are looked at
MOST_FRACTIONS = 20  # different values with fractions that can be classes: ratings in halves, not measurements
INVISIBLE = "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{WORD JOINER}\ufeff\N{SOFT HYPHEN}"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0*", re.ASCII)
_SEVERAL = re.compile(r"\s*[|;,]\s*")


def plain_spelling(text: str) -> str:
    """A text in composed characters, without blanks and invisible characters at its ends."""
    return unicodedata.normalize("NFC", text).strip().strip(INVISIBLE).strip()


def same_spelling(ids: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and sorted classes of texts; texts that read the same become one class.

    Where all are numbers, `1` and `1.0` are one class, too.
    """
    plain = [plain_spelling(label) for label in classes.tolist()]
    if all(map(_NUMBER.fullmatch, plain)):
        whole = [_WHOLE.fullmatch(label) for label in plain]
        shortened = [match[1] if match else label for match, label in zip(whole, plain, strict=True)]
        plain = shortened if len(set(shortened)) < len(set(plain)) else plain
    if plain == classes.tolist():
        return ids, classes
    merged, new_ids = np.unique(
        np.array(plain, classes.dtype if classes.dtype.kind == "O" else None), return_inverse=True
    )
    return new_ids.reshape(-1)[ids].astype(np.int32), merged


def check_classes(classes: np.ndarray, samples: int) -> None:
    """Whether values can be classes.

    Raises:
      ValueError: they are a continuous target, or lists that are written as text.
    """
    values = classes.tolist()
    lists = [label for label in values if isinstance(label, str) and label[:1] in "[{(" and _is_list(label)]
    if lists:
        raise ValueError(
            f"labels must be a class per sample; {lists[0][:60]!r} is a list that is written as text. Choose one of "
            "its entries for each sample."
        )
    if not values or not all(map(_is_number, values)):
        return
    floating = [float(label) for label in values]
    fractions = any(not number.is_integer() for number in floating if math.isfinite(number))
    floats = not all(
        isinstance(label, numbers.Integral) or (isinstance(label, str) and "." not in label) for label in values
    )
    many = len(values) > MOST_FRACTIONS or (fractions and 2 * len(values) > max(samples, 4))
    if floats and many and (fractions or 2 * len(values) > samples):
        raise ValueError(
            f"labels must be classes; got {len(values):,} different numbers for {samples:,} samples, such as "
            f"{values[len(values) // 2]}: a continuous target. Group them, such as by numpy.digitize, or write the "
            "classes as whole numbers or words."
        )


def warn_of_look_alikes(classes: Iterable[str]) -> None:
    """Warns of classes that differ in case, in blanks, in how a number is written, or in the order of parts alone."""
    first_of: dict[Hashable, str] = {}
    pairs = []
    classes = list(classes)
    numeric = all(map(_NUMBER.fullmatch, classes))
    key: Callable[[str], Hashable] = float if numeric else _reading_key
    for label in classes:
        other = first_of.setdefault(key(label), label)
        if other is not label and (numeric or len(label) > 1):
            pairs.append(f"{other[:60]!r} and {label[:60]!r}")
    if pairs:
        warnings.warn(
            f"classes that nearly read the same stay apart: {', '.join(pairs[:5])}{', ...' * (len(pairs) > 5)}. Spell "
            "them the same if they are one.",
            RuntimeWarning,
            stacklevel=4,
        )


def _reading_key(label: str) -> Hashable:
    """Equal for labels that differ in case, in blanks, or in the order of parts alone."""
    text = " ".join(re.sub(r"[\s_]+", " ", unicodedata.normalize("NFKC", label).casefold()).split())
    parts = _SEVERAL.split(text)
    return text if len(parts) == 1 else tuple(sorted(parts))


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(plain_spelling(value)))
    return isinstance(value, (numbers.Real, decimal.Decimal)) and not isinstance(value, (bool, np.bool_))


def _is_list(text: str) -> bool:
    for read in (ast.literal_eval, json.loads):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return isinstance(read(text[:LONGEST_LIST]), (list, tuple, dict, set))
    return False
