"""Tables with a label in every row, beside a text, the path of an image, or numbers: CSV, Parquet, JSON lines."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular, natural_sort_key
from nrjax.labels import TOLD_MISSING

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
TEXTS, IMAGES = ("text", "sentence", "content"), ("image", "path", "file", "filename", "file_name", "image_path")
LABELS = ("label", "labels", "target", "class", "category")
MOST_IDS = 1 << 16  # whole numbers below are ids of classes, of which some may be missing
LONGEST_FIELD = 1 << 24  # characters of a text in CSV


class Table:
    """Columns of equal length: labels, and texts, images or numbers.

    Attributes:
      kind: `text`, `image` or `array`.
      labels: class ids.
      class_names: in natural order of the values, or as the table itself names them.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[Any]], who: str, base: Path, text: str | None, image: str | None,
        label: str | None, class_names: Sequence[str] | None = None,
    ):  # fmt: skip
        self._who, self._base = who, base
        listed = ", ".join(printable(shortened(str(name), 60)) for name in list(columns)[:20])
        for role, name in (("text", text), ("image", image), ("label", label)):
            if name is not None and name not in columns:
                raise ValueError(f"{who} has no column {name!r} for the {role}; it has {listed}.")
        label = label or next((name for name in LABELS if name in columns), None)
        if label is None:
            raise ValueError(
                f"{who} has no column of labels; name it: label=, on the command line --label. It has {listed}."
            )
        if text is None and image is None:
            text = next((name for name in TEXTS if name in columns and name != label), None)
            image = next((name for name in IMAGES if name in columns and name != label), None) if text is None else None
        self.kind = "text" if text is not None else "image" if image is not None else "array"
        self.labels, self.class_names = self._labelled(columns[label], label, class_names)
        if not len(self.labels):
            raise ValueError(f"{who} has no rows.")
        if self.kind == "array":
            self._values: Any = self._numbers({name: values for name, values in columns.items() if name != label})
        else:
            self._values = columns[text or image or ""]

    def samples(self, indices: np.ndarray) -> Any:
        """Texts or numbers of some rows."""
        return self._values[indices] if self.kind == "array" else [self._values[int(i)] for i in indices]

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of some rows' images: a path, bytes, or a picture."""
        for i in indices:
            value: Any = self._values[int(i)]
            if isinstance(value, Mapping):  # as Hugging Face has them
                value = value.get("bytes") or value.get("path")
            if isinstance(value, (str, Path)) and str(value):
                yield str(value), self._base / value
            elif isinstance(value, bytes):
                yield f"image {i}", value
            elif isinstance(value, (Image.Image, np.ndarray)):
                yield f"image {i}", value
            else:
                raise ValueError(f"{self._who}: row {i + 1} has no image; it has {shortened(repr(value), 60)}.")

    def _labelled(
        self, values: Sequence[Any], column: str, class_names: Sequence[str] | None
    ) -> tuple[np.ndarray, list[str]]:
        plain = [value.item() if isinstance(value, np.generic) else value for value in values]
        known = range(len(class_names)) if class_names is not None else None  # -1 is none at Hugging Face
        missing = [i for i, one in enumerate(plain) if _is_missing(one) or (known is not None and one not in known)]
        if missing:
            raise ValueError(
                f"{self._who}: row {missing[0] + 1} has no label in column {column!r} ({len(missing)} of {len(plain)} "
                "rows). Remove those rows, or mend them."
            )
        if class_names is not None:
            return np.array(plain, np.int64), list(class_names)
        numbers = _as_ids(plain)
        if numbers is not None:
            return numbers, [str(i) for i in range(int(numbers.max()) + 1)]
        read = {}
        for value in plain:
            other = read.setdefault(str(value), value)
            if type(other) is not type(value) and isinstance(value, str) != isinstance(other, str):
                raise ValueError(
                    f"{self._who}: labels must be told apart by how they read; column {column!r} has {other!r} and "
                    f"{value!r}. Turn all of them into text, or into numbers."
                )
        names = sorted(read, key=natural_sort_key)
        ids = {name: i for i, name in enumerate(names)}
        return np.array([ids[str(value)] for value in plain], np.int64), names

    def _numbers(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        wrong = [name for name, values in columns.items() if not _are_numbers(values)]
        if wrong or not columns:
            raise ValueError(
                f"{self._who} has neither a column of texts nor of images; name it (text=, image=; on the command line "
                f"--text, --image), or leave numbers alone, which "
                f"{', '.join(printable(str(n)) for n in wrong[:5])} is not."
            )
        return np.stack([np.asarray(values, np.float64) for values in columns.values()], axis=1).astype(np.float32)


def _as_ids(values: Sequence[Any]) -> np.ndarray | None:
    """Labels that are small whole numbers, all as numbers or all as text, are the ids of their classes."""
    if {type(one) for one in values} not in ({int}, {str}):
        return None
    if isinstance(values[0], str):
        if not all(len(one) <= len(str(MOST_IDS)) and one.isdecimal() and str(int(one)) == one for one in values):
            return None
        values = [int(one) for one in values]
    return np.array(values, np.int64) if 0 <= min(values) <= max(values) < MOST_IDS else None


def _is_missing(value: Any) -> bool:
    """Whether a cell is empty: nothing, no text or what stands for none, not a number, not a time, pandas' NA."""
    try:
        if isinstance(value, str):
            return not value.strip() or value in TOLD_MISSING
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # NA is neither equal nor not
        return True


def _are_numbers(values: Sequence[Any]) -> bool:
    try:
        np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return False
    return True


def read_table(path: Path) -> dict[str, Sequence[Any]]:
    """The columns of a file.

    Raises:
      ValueError: it is damaged, or of another format than its name says.
    """
    check_regular(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _parquet(path)
        if suffix in (".jsonl", ".ndjson"):
            return _json_lines(path)
        return _csv(path, "\t" if suffix == ".tsv" else ",")
    except UnicodeDecodeError as error:
        raise ValueError(f"{printable(path.name)} is not text in UTF-8.") from error
    except ValueError:
        raise
    except Exception as error:  # every format has its own ways to break
        raise ValueError(f"{printable(path.name)} cannot be read: {first_line(error)}") from error


def _csv(path: Path, delimiter: str) -> dict[str, Sequence[Any]]:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(rows, [])
            columns: list[list[str]] = [[] for _ in header]
            if len(set(header)) < len(header) or not header:
                raise ValueError(f"{printable(path.name)}: expected a first row that names the columns, each once.")
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise ValueError(
                        f"{printable(path.name)}: line {rows.line_num} has {len(row)} fields, "
                        f"the first row {len(header)}."
                    )
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
    except csv.Error as error:
        raise ValueError(f"{printable(path.name)} is no CSV: {first_line(error)}.") from error
    finally:
        csv.field_size_limit(before)
    return dict(zip(header, columns, strict=True))


def _json_lines(path: Path) -> dict[str, Sequence[Any]]:
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{printable(path.name)}: line {number} is not JSON: {first_line(error)}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{printable(path.name)}: line {number} is no object with the columns as fields.")
            rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(path: Path) -> dict[str, Sequence[Any]]:
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{printable(path.name)} needs pyarrow, which is not installed: pip install 'nrjax[tables]'."
        ) from error
    table = parquet.read_table(path)
    return {name: table.column(name).to_pylist() for name in table.column_names}
