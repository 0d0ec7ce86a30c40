"""Spelling of labels: which read the same, which nearly do, and which values are no classes."""

import ast
import contextlib
import datetime
import decimal
import html
import json
import math
import numbers
import re
import unicodedata
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

LONGEST_LIST = 10_000  # characters of a label that are looked at
MOST_FRACTIONS = 20  # different values with fractions that can be classes: ratings in halves, not measurements
FEW_OF_ONE = 4  # samples of a class: whole numbers or dates that have fewer, on average, may be a continuous target
NO_IDS = (-1, -100)  # what data sets and losses have where there is no class
WORDS_FOR_MISSING = ("NA", "N/A", "n/a", "#N/A", "#NA", "NULL", "null", "None", "?")  # of R, SQL, Python, spreadsheets
INVISIBLE = "\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}"
INVISIBLE += "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{WORD JOINER}\ufeff\N{SOFT HYPHEN}"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0*", re.ASCII)
_AMOUNT = re.compile(r"[$€£¥]?\s*([+-]?\d[\d., '\u00a0\u202f]*)\s*(?:[%‰°$€£¥]|EUR|USD)?")  # a number and its unit
_QUOTES, _DASHES = "\"'\u2018\u2019\u201c\u201d", "-\u2010\u2011\u2012\u2013\u2014\u2212"
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


def check_classes(classes: np.ndarray, samples: int, *, is_told: bool = False) -> None:
    """Whether values can be classes.

    Args:
      classes: the different values.
      samples: that have them.
      is_told: whether the user has said that they are classes.

    Raises:
      ValueError: they are a continuous target, unless the user has said otherwise, or lists that are written as text.
    """
    values = classes.tolist()
    lists = [label for label in values if isinstance(label, str) and label[:1] in "[{(" and _is_list(label)]
    if lists:
        raise ValueError(
            f"labels must be a class per sample; {lists[0][:60]!r} is a list that is written as text. Choose one of "
            "its entries for each sample."
        )
    many = len(values) > MOST_FRACTIONS and FEW_OF_ONE * len(values) > samples
    if is_told or not values:
        return
    if (many or 2 * len(values) > max(samples, 12)) and all(map(_is_date, classes)):
        raise ValueError(
            f"labels must be classes; got {len(values):,} different dates or times for {samples:,} samples, such as "
            f'{values[len(values) // 2]}. Group them, such as by year; or pass task="classification" to take each for '
            "a class."
        )
    if 2 * len(values) > samples and len(values) > MOST_FRACTIONS and all(isinstance(label, str) for label in values):
        if not all(map(_is_number, values)) and _amounts(values) is None:
            warnings.warn(
                f"labels have {len(values):,} different texts for {samples:,} samples, such as {values[0][:60]!r}, and "
                "each is taken for a class. Names of samples and free texts are none.", RuntimeWarning, stacklevel=4,
            )  # fmt: skip
            return
    amounts = None if all(map(_is_number, values)) else _amounts(values)
    if amounts is None and not all(map(_is_number, values)):
        return
    floating = [float(label) for label in values] if amounts is None else amounts
    fractions = any(not number.is_integer() for number in floating if math.isfinite(number))
    floats = amounts is not None or not all(
        isinstance(label, numbers.Integral) or (isinstance(label, str) and "." not in label) for label in values
    )
    many = len(values) > MOST_FRACTIONS or (fractions and 2 * len(values) > max(samples, 4))
    if floats and many and (fractions or 2 * len(values) > samples):
        advice = 'Pass task="regression" to rank by the numbers' if amounts is None else (
            "Write them as numbers, without a unit and with a decimal point, to rank by them"
        )  # fmt: skip
        raise ValueError(
            f"labels must be classes; got {len(values):,} different numbers for {samples:,} samples, such as "
            f"{values[len(values) // 2]}: a continuous target. {advice}; or group them, such as by numpy.digitize, or "
            "write the classes as whole numbers or words."
        )


def warn_of_no_class(classes: Sequence[object]) -> None:
    """Warns of what often means that a sample has no label: -1 or -100 beside ids from 0 on, and words such as NA."""
    wrong = [repr(label) for label in classes if isinstance(label, str) and label in WORDS_FOR_MISSING]
    beside = ""
    with contextlib.suppress(TypeError, ValueError):
        numbers = {float(label) for label in classes}  # pyright: ignore[reportArgumentType]
        if len(numbers) > 2 and 0 in numbers and min(numbers) in NO_IDS and all(map(float.is_integer, numbers)):
            wrong, beside = [f"{min(numbers):.0f}"], " beside 0, 1, ..."
    if wrong:
        warnings.warn(
            f"labels have {wrong[0]}{beside}; {wrong[0]} counts as a class. Leave those samples out if it means that "
            "they have no label.", RuntimeWarning, stacklevel=4,
        )  # fmt: skip


def warn_of_look_alikes(classes: Iterable[object], noun: str = "classes") -> None:
    """Warns of classes whose `_reading_key` is equal, or the number that they write."""
    first_of: dict[Hashable, object] = {}
    pairs = []
    classes = list(classes)
    numeric = all(_NUMBER.fullmatch(str(label)) for label in classes)
    key: Callable[[str], Hashable] = float if numeric else _reading_key
    for label in classes:
        other = first_of.setdefault(key(str(label)), label)
        are_letters = len(str(label)) == len(str(other)) == 1 and f"{label}{other}".isascii()  # such as a and A
        if other is not label and (numeric or not are_letters):
            pairs.append(f"{other!r:.62} and {label!r:.62}")
    if pairs:
        warnings.warn(
            f"{noun} with nearly the same name stay different: {', '.join(pairs[:5])}"
            f"{', ...' * (len(pairs) > 5)}. Spell them the same if they are one.",
            RuntimeWarning,
            stacklevel=4,
        )


def _reading_key(label: str) -> Hashable:
    """Equal for labels that differ in case, blanks, dashes, quotes, HTML's names, or in the order of parts alone."""
    text = unicodedata.normalize("NFKC", html.unescape(label)).casefold()
    text = "".join(mark for mark in text if mark not in INVISIBLE + _QUOTES)
    text = " ".join(re.sub(rf"[\s_]+|(?<=\w)[{_DASHES}]+(?=\w)", " ", text).split())
    parts = _SEVERAL.split(text)
    return text if len(parts) == 1 else tuple(sorted(parts))


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(plain_spelling(value)))
    return isinstance(value, (numbers.Real, decimal.Decimal)) and not isinstance(value, (bool, np.bool_))


def _amount(value: object) -> float | None:
    """The number of a text such as `53.1%`, `$1,250.00` or `12,5`; None for any other value."""
    match = _AMOUNT.fullmatch(plain_spelling(value)) if isinstance(value, str) else None
    if match is None:
        return None
    digits = re.sub(r"[ '\u00a0\u202f]", "", match[1])
    if re.fullmatch(r"[+-]?\d+,\d+", digits):
        return float(digits.replace(",", "."))
    digits = digits.replace(",", "")
    return float(digits) if _NUMBER.fullmatch(digits) else None


def _amounts(values: Iterable[object]) -> list[float] | None:
    """The numbers of texts with units; None where one is none."""
    amounts = [_amount(value) for value in values]
    return None if None in amounts else [amount for amount in amounts if amount is not None]


def _is_date(value: object) -> bool:
    """Whether a value is a date or a time, or the text of one such as 2024-05-17."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return len(value) >= 10 and not value.isdecimal() and bool(datetime.datetime.fromisoformat(value))
        return False
    return isinstance(value, (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64))


def _is_list(text: str) -> bool:
    for read in (ast.literal_eval, json.loads):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return isinstance(read(text[:LONGEST_LIST]), (list, tuple, dict, set))
    return False
