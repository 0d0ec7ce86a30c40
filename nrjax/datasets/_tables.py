"""Tables with a label in every row, beside texts, images, recordings or numbers."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nrjax._utils.frames import numbers_rows
from nrjax._utils.messages import printable, shortened
from nrjax.datasets._cells import as_floats, is_missing, text_problem
from nrjax.datasets._columns import Columns, row_name
from nrjax.datasets._recording_cells import recordings_of_cells
from nrjax.datasets._splits import split_word
from nrjax.datasets._table_columns import ColumnChoice, choose_columns
from nrjax.datasets._table_target import read_target
from nrjax.datasets._text_pairs import Pairs, pairs_of
from nrjax.errors import BrokenImage
from nrjax.target_tasks import TaskName

SPLIT_COLUMNS = ("split", "subset", "partition", "set", "Split", "Subset")


class Table:
    """Columns of equal length: labels, and texts, images, recordings or numbers.

    Attributes:
      kind: `text`, `pair`, `image`, `audio` or `array`.
      task: of the target.
      labels: class ids, or numbers; -1 or NaN where a row has no label.
      class_names: in natural order of the values, or the table's own names; of numbers the columns' names.
      groups: what every row belongs to; None where that is not asked for.
      left_out: what is wrong with the rows that could not be read at all.
    """

    def __init__(
        self, columns: Columns, who: str, base: Path, choice: ColumnChoice, task: TaskName | None = None,
        class_names: Sequence[str] | None = None,
    ):  # fmt: skip
        self._who, self._base, self._place = who, base, columns.place
        self.left_out: list[str] = []
        self._features: list[str] = []  # names of the columns of numbers
        roles = choose_columns(who, columns, choice)
        of_texts = "pair" if len(roles.texts) == 2 else "text"
        of_files = "image" if roles.image is not None else "audio" if roles.audio is not None else "array"
        self.kind = of_texts if roles.texts else of_files
        self._label = ", ".join(roles.labels)
        self._warn_of_splits(columns, roles.of_target)
        try:
            target = read_target([columns[name] for name in roles.labels], roles.labels, class_names, task, self._row)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{who}, column {self._label!r}: {error}") from error
        self.task, self.labels, self.class_names, self._unlabelled = target
        self.groups = None if roles.groups is None else self._read_groups(columns[roles.groups], roles.groups)
        if not len(self.labels):
            raise ValueError(f"{who} has no rows.")
        if self.kind == "array":
            self._values: Any = self._read_numbers(columns, [name for name in columns if name not in roles.of_target])
        elif self.kind == "pair":
            self._values = pairs_of([columns[name] for name in roles.texts])
        elif len(roles.texts) > 1:
            self._values = _join_texts([columns[name] for name in roles.texts])
        else:
            self._values = columns[roles.texts[0] if roles.texts else roles.image or roles.audio or ""]

    def use_numbers(self, values: np.ndarray) -> None:
        """Makes arrays `[rows, ...]` the samples of the table."""
        self.kind, self._values = "array", values

    def check_labels(self, *, skip_broken: bool) -> None:
        """Leaves out the rows that have no label.

        Raises:
          ValueError: there are such rows, and none may be left out.
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
        """Texts, pairs of texts or numbers of the rows at `indices`."""
        if self.kind == "pair":
            return Pairs([self._values[int(i)] for i in indices])
        return self._values[indices] if self.kind == "array" else [str(self._values[int(i)]) for i in indices]

    def broken(self, indices: np.ndarray) -> dict[int, str]:
        """What is wrong with the rows whose text or numbers cannot be used, by the row's index."""
        if self.kind == "array":
            finite = np.isfinite(self._values[indices]).reshape(len(indices), -1).all(axis=1)
            wrong = indices[~finite]
            return {int(i): f"{self._who}: {self._number_problem(int(i))}" for i in wrong}
        problems = ((int(i), self._text_problem(int(i))) for i in indices)
        return {i: f"{self._who}: {self._row(i)} {problem}" for i, problem in problems if problem}

    def _text_problem(self, index: int) -> str | None:
        if self.kind == "pair":
            pair = self._values[index]
            return text_problem(None) if pair is None else text_problem(pair.first) or text_problem(pair.second)
        try:
            return text_problem(self._values[index])
        except BrokenImage as error:
            return str(error)

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of the images of rows: a path, bytes, a picture, an array, or a `BrokenImage`."""
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
            if isinstance(value, Mapping):  # an image of Hugging Face's datasets
                value = value.get("bytes") or value.get("path")
            if isinstance(value, (str, Path)) and str(value):
                yield str(value), self._base / value
            elif isinstance(value, (bytes, Image.Image, np.ndarray)):
                yield row, value
            else:
                yield row, BrokenImage(f"{row} has no image; it has {shortened(repr(value), 60)}.")

    def recordings(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of the recordings of rows; see `RecordingSource`."""
        rows = ((int(i), f"{self._who}: {self._row(int(i))}") for i in indices)
        return recordings_of_cells(self._values, self._base, rows)

    def _warn_of_splits(self, columns: Columns, of_target: Sequence[str]) -> None:
        """Warns of a column that says which split a row is of: all rows are taken."""
        for name in (name for name in SPLIT_COLUMNS if name in columns and name not in of_target):
            values = list(dict.fromkeys(map(str, columns[name])))
            if len(values) > 1 and all(map(split_word, values)):
                warnings.warn(
                    f"{self._who}: all rows are taken, of {', '.join(values[:5])} in column {name!r}, too. For one of "
                    f"these give its rows alone, such as frame[frame[{name!r}] == {values[0]!r}].",
                    RuntimeWarning, stacklevel=5,
                )  # fmt: skip

    def _row(self, index: int) -> str:
        """What the user calls a row."""
        return row_name(self._place, index)

    def _read_groups(self, cells: Sequence[object], name: str) -> np.ndarray:
        groups = np.empty(len(cells), object)
        for i, cell in enumerate(cells):
            if is_missing(cell):
                raise ValueError(
                    f"{self._who}: {self._row(i)} has no group in column {name!r}. Remove such rows, or give each a "
                    "group of its own."
                )
            groups[i] = cell.item() if isinstance(cell, np.generic) else cell
        return groups

    def _read_numbers(self, columns: Columns, names: Sequence[str]) -> np.ndarray:
        """Columns of numbers as float64 `[rows, columns]`, without a column that numbers the rows."""
        arrays = {name: as_floats(columns[name]) for name in names}
        wrong = [name for name, numbers in arrays.items() if numbers is None]
        counters = [name for name in names if numbers_rows(name, arrays[name])]
        if wrong or len(counters) == len(names):
            raise ValueError(
                f"{self._who} has no column of texts, images or recordings; name it (text=, image=, audio=; on the "
                f"command line --text, --image, --audio), or leave numbers alone, which "
                f"{', '.join(printable(str(name)) for name in (wrong or names)[:5])} is not."
            )
        if counters:
            remark = f"{self._who}: left out column {', '.join(map(repr, counters))}, which numbers the rows."
            warnings.warn(remark, RuntimeWarning, stacklevel=5)
        self._columns = columns
        self._features = [name for name in names if name not in counters]
        return np.stack([arrays[name] for name in self._features], axis=1)  # pyright: ignore

    def _number_problem(self, index: int) -> str:
        """Which cell of a row is no number."""
        if not self._features:
            return f"{self._row(index)} has numbers that are not finite."
        column = int(np.flatnonzero(~np.isfinite(self._values[index]))[0])
        name = self._features[column]
        value = shortened(repr(self._columns[name][index]), 40)
        return f"{self._row(index)} has no number in column {printable(name)!r}; it has {value}."


def _join_texts(columns: Sequence[Sequence[object]]) -> list[str | None]:
    """Texts of several columns joined by line breaks; None where one of a row is no text."""
    rows = zip(*columns, strict=True)
    return ["\n".join(row) if all(isinstance(text, str) for text in row) else None for row in rows]
