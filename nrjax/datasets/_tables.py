"""Tables with a label in every row, beside texts, images or numbers."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nrjax._utils.messages import printable, shortened
from nrjax.datasets._cells import floats, numbers_rows, wrong_text
from nrjax.datasets._images import BrokenImage
from nrjax.datasets._table_files import Columns
from nrjax.datasets._table_labels import classes_of, rows_without_label

TEXTS, IMAGES = ("text", "sentence", "content"), ("image", "path", "file", "filename", "file_name", "image_path")
LABELS = ("label", "labels", "target", "class", "category")
ROW_NUMBERS = re.compile(r"(unnamed: [\d.]+|__index_level_\d+__|index|idx|id|row)?", re.IGNORECASE)


class Table:
    """Columns of equal length: labels, and texts, images or numbers.

    Attributes:
      kind: `text`, `image` or `array`.
      labels: class ids; -1 where a row has no label.
      class_names: in natural order of the values, or as the table itself names them.
      left_out: what is wrong with the rows that could not be read at all.
    """

    def __init__(
        self, columns: Columns, who: str, base: Path, text: str | Sequence[str] | None, image: str | None,
        label: str | None, class_names: Sequence[str] | None = None,
    ):  # fmt: skip
        self._who, self._base, self._place = who, base, columns.place
        self.left_out: list[str] = []
        self._features: list[str] = []
        texts = _names(text, columns)
        listed = ", ".join(printable(shortened(str(name), 60)) for name in list(columns)[:20])
        for role, names in (("text", texts), ("image", _names(image, columns)), ("label", _names(label, columns))):
            for name in names:
                if name not in columns:
                    raise ValueError(f"{who} has no column {name!r} for the {role}; it has {listed}.")
        label = label or next((name for name in LABELS if name in columns), None)
        if label is None:
            raise ValueError(
                f"{who} has no column of labels; name it: label=, on the command line --label. It has {listed}."
            )
        if not texts and image is None:
            texts = [name for name in TEXTS if name in columns and name != label][:1]
            image = next((name for name in IMAGES if name in columns and name != label), None)
            if texts and image is not None:  # pictures go before texts, and texts before paths
                texts, image = ([], image) if _holds_pictures(columns[image]) else (texts, None)
        self.kind = "text" if texts else "image" if image is not None else "array"
        self._label = label
        plain = [value.item() if isinstance(value, np.generic) else value for value in columns[label]]
        self._unlabelled = rows_without_label(plain, class_names)
        labelled = np.setdiff1d(np.arange(len(plain)), self._unlabelled)
        self.labels = np.full(len(plain), -1, np.int64)
        try:
            self.labels[labelled], self.class_names = classes_of(
                [plain[i] for i in labelled], class_names, lambda i: self._row(int(labelled[i]))
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"{who}, column {label!r}: {error}") from error
        if not len(self.labels):
            raise ValueError(f"{who} has no rows.")
        if self.kind == "array":
            self._values: Any = self._numbers(columns, [name for name in columns if name != label])
        elif len(texts) > 1:
            parts = [columns[name] for name in texts]
            self._values = [
                "\n".join(row) if all(isinstance(part, str) for part in row) else None
                for row in zip(*parts, strict=True)
            ]
        else:
            self._values = columns[texts[0] if texts else image or ""]

    def use_numbers(self, values: np.ndarray) -> None:
        """Makes arrays `[rows, ...]` the samples of the table."""
        self.kind, self._values = "array", values

    def check_labels(self, *, skip_broken: bool) -> None:
        """Leaves out the rows that have no label.

        Raises:
          ValueError: there are such, and none may be left out.
        """
        if not self._unlabelled:
            return
        if not skip_broken:
            first, count = self._unlabelled[0], len(self._unlabelled)
            place = f" Row {first + 1} is {self._place(first)}." if self._place else ""
            raise ValueError(
                f"{self._who}: row {first + 1} has no label in column {self._label!r} ({count} of {len(self.labels)} "
                f"rows). Remove those rows, or mend them; skip_broken=True, on the command line --skip-broken, leaves "
                f"them out.{place} Empty cells are none, and so is -1 beside ids of classes."
            )
        self.left_out += [f"{self._row(i)} has no label." for i in self._unlabelled]

    def samples(self, indices: np.ndarray) -> Any:
        """Texts or numbers of some rows."""
        return self._values[indices] if self.kind == "array" else [str(self._values[int(i)]) for i in indices]

    def broken(self, indices: np.ndarray) -> dict[int, str]:
        """What is wrong with those of the rows whose text or numbers cannot be used, by their index."""
        if self.kind == "array":
            finite = np.isfinite(self._values[indices]).reshape(len(indices), -1).all(axis=1)
            wrong = indices[~finite]
            return {int(i): f"{self._who}: {self._bad_number(int(i))}" for i in wrong}
        reasons = ((int(i), self._wrong_text(int(i))) for i in indices)
        return {i: f"{self._who}: {self._row(i)} {reason}" for i, reason in reasons if reason}

    def _wrong_text(self, index: int) -> str | None:
        try:
            return wrong_text(self._values[index])
        except BrokenImage as error:
            return str(error)

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of some rows' images: a path, bytes, a picture, an array, or why there is none."""
        for i in map(int, indices):
            row = f"{self._who}: {self._row(i)}"
            try:
                value: Any = self._values[i]
            except BrokenImage as error:
                yield row, error
                continue
            except ValueError:  # labels that are wrong
                raise
            except Exception as error:  # of the library that keeps the rows
                yield row, BrokenImage(f"{row} cannot be read: {type(error).__name__}: {str(error)[:200]}")
                continue
            if isinstance(value, Mapping):  # as Hugging Face has them
                value = value.get("bytes") or value.get("path")
            if isinstance(value, (str, Path)) and str(value):
                yield str(value), self._base / value
            elif isinstance(value, (bytes, Image.Image, np.ndarray)):
                yield row, value
            else:
                yield row, BrokenImage(f"{row} has no image; it has {shortened(repr(value), 60)}.")

    def _row(self, index: int) -> str:
        place = f" ({self._place(index)})" if self._place else ""
        return f"row {index + 1}{place}"

    def _numbers(self, columns: Columns, names: Sequence[str]) -> np.ndarray:
        arrays = {name: floats(columns[name]) for name in names}
        wrong = [name for name, numbers in arrays.items() if numbers is None]
        counted = [name for name in names if ROW_NUMBERS.fullmatch(name) and numbers_rows(arrays[name])]
        if wrong or len(counted) == len(names):
            raise ValueError(
                f"{self._who} has neither a column of texts nor of images; name it (text=, image=; on the command line "
                f"--text, --image), or leave numbers alone, which "
                f"{', '.join(printable(str(name)) for name in (wrong or names)[:5])} is not."
            )
        if counted:
            remark = f"{self._who}: left out column {', '.join(map(repr, counted))}, which numbers the rows."
            warnings.warn(remark, RuntimeWarning, stacklevel=5)
        self._columns = columns
        self._features = [name for name in names if name not in counted]
        return np.stack([arrays[name] for name in self._features], axis=1)  # pyright: ignore

    def _bad_number(self, index: int) -> str:
        """Which cell of a row is no number."""
        if not self._features:
            return f"{self._row(index)} has numbers that are not finite."
        column = int(np.flatnonzero(~np.isfinite(self._values[index]))[0])
        name = self._features[column]
        value = shortened(repr(self._columns[name][index]), 40)
        return f"{self._row(index)} has no number in column {printable(name)!r}; it has {value}."


def _names(given: str | Sequence[str] | None, columns: Mapping[str, Any]) -> list[str]:
    """Names of columns: one, or several in a list or joined by commas."""
    if isinstance(given, str) and given not in columns and "," in given:
        parts = [part.strip() for part in given.split(",")]
        return parts if all(part in columns for part in parts) else [given]
    return [] if given is None else [given] if isinstance(given, str) else list(given)


def _holds_pictures(values: Sequence[Any]) -> bool:
    first = next((value for value in values if value is not None), None)
    return isinstance(first, (bytes, Mapping, Image.Image, np.ndarray))
