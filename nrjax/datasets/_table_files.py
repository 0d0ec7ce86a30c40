"""Columns of files: CSV, TSV, JSON, JSON lines, Parquet."""

import array
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nrjax._utils.messages import first_line, printable
from nrjax._utils.paths import check_regular
from nrjax.datasets._text_files import open_text

SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".jsonl", ".ndjson", ".json")
DELIMITERS = ",;\t|"  # of CSV; of those that give as many columns, the first
LONGEST_FIELD = 1 << 24  # characters of a text in CSV
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = re.compile(r"[+-]?\d*(?:,\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class Place(NamedTuple):
    """What the user calls a row: a text with its index, or with its number in `numbers`."""

    text: str
    numbers: Sequence[Any] | None = None

    def __call__(self, row: int) -> str:
        """Such as `line 3 of the file`."""
        return self.text.format(row if self.numbers is None else self.numbers[row])


class Columns(Mapping[str, Sequence[Any]]):
    """Columns by name, each read when it is looked up, and how the user counts its rows.

    Args:
      names: of the columns.
      read: a column by its name.
      place: what the user calls a row; None where rows are just counted.
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], Sequence[Any]], place: Place | None = None):
        self._names, self._read, self.place = list(names), read, place

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_table(path: Path) -> Columns:
    """The columns of a file.

    Raises:
      ValueError: it is damaged, or of another format than its name says.
    """
    check_regular(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return read_parquet([path])
        if suffix in (".jsonl", ".ndjson", ".json"):
            return _json(path)
        return _csv(path, tabs=suffix in (".tsv", ".tab"))
    except ValueError:
        raise
    except Exception as error:  # every format has its own ways to break
        raise ValueError(f"{printable(path.name)} cannot be read: {first_line(error)}") from error


def _csv(path: Path, *, tabs: bool) -> Columns:
    before = csv.field_size_limit(LONGEST_FIELD)
    start, skipped = 1, 0
    try:
        with open_text(path) as file:
            first = file.readline()
            told = re.fullmatch(r"sep=(.)\s*", first)  # as spreadsheets begin a file
            first = file.readline() if told else first
            marks = told[1] if told else "\t" if tabs else DELIMITERS
            delimiter = max(marks, key=lambda mark: _count_fields(first, mark))
            quoted = not tabs or _quotes(path)
            quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
            rows = csv.reader(itertools.chain([first], file), delimiter=delimiter, quoting=quoting, strict=True)
            header = [name.strip() for name in next(rows, [])]
            if len(set(header)) < len(header) or not header:
                raise ValueError(f"{printable(path.name)}: expected a first row that names the columns, each once.")
            columns: list[list[str]] = [[] for _ in header]
            lines, skipped = array.array("Q"), int(told is not None)
            start = rows.line_num + 1
            for row in rows:
                if row:
                    if len(row) != len(header):
                        raise ValueError(
                            f"{printable(path.name)}: line {rows.line_num + skipped} has {len(row)} fields, "
                            f"the first row {len(header)}."
                        )
                    lines.append(start + skipped)
                    for column, value in zip(columns, row, strict=True):
                        column.append(value)
                start = rows.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{printable(path.name)} is no CSV: line {start + skipped}: {first_line(error)}.") from error
    finally:
        csv.field_size_limit(before)
    by_name = dict(zip(header, columns, strict=True))
    if delimiter == ";":
        by_name = {name: _decimal_points(values) for name, values in by_name.items()}
    return Columns(by_name, by_name.__getitem__, Place("line {} of the file", lines))


def _count_fields(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0


def _quotes(path: Path) -> bool:
    """Whether a TSV has quotes as CSV has them. Most have none, and then a quote is a character like any other.

    It has them where every quote keeps to the rules within its line, or where its lines alone make no table.
    """
    with open_text(path) as file:
        rows = [line.rstrip("\r\n").split("\t") for line in file if line.strip("\r\n")]
    if len({len(row) for row in rows}) > 1:
        return True
    return all('"' not in field or _QUOTED.fullmatch(field) for row in rows for field in row)


def _decimal_points(values: list[str]) -> list[str]:
    """Numbers with a decimal comma, as files with semicolons have them."""
    numbers = all(map(_DECIMAL_COMMA.fullmatch, values)) and any("," in value for value in values)
    return [value.replace(",", ".") for value in values] if numbers else values


def _json(path: Path) -> Columns:
    """An object a line, or one list of objects."""
    who = printable(path.name)
    rows: list[dict[str, Any]] = []
    lines = array.array("Q")
    with open_text(path) as file:
        if path.suffix.lower() == ".json":
            try:
                content = json.load(file)
            except RecursionError as error:
                raise ValueError(f"{who} is not JSON: {first_line(error)}") from error
            except ValueError:  # lines, under the other name
                content = None
                file.seek(0)
            if content is not None:
                if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
                    raise ValueError(f"{who}: expected a list of objects with the columns as fields.")
                return _of_rows(content, Place("object {} of the file", range(1, len(content) + 1)))
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{who}: line {number} is not JSON: {first_line(error)}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{who}: line {number} is no object with the columns as fields.")
            rows.append(row)
            lines.append(number)
    return _of_rows(rows, Place("line {} of the file", lines))


def _of_rows(rows: list[dict[str, Any]], place: Place) -> Columns:
    names = dict.fromkeys(name for row in rows for name in row)
    return Columns(names, lambda name: [row.get(name) for row in rows], place)


def read_parquet(paths: Sequence[Path]) -> Columns:
    """The columns of Parquet files that follow each other.

    Raises:
      ValueError: pyarrow is missing, a file is damaged, or they differ in their columns.
    """
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{printable(paths[0].name)} needs pyarrow, which is not installed: pip install 'nrjax[tables]'."
        ) from error
    files = []
    for path in paths:
        try:
            files.append(parquet.ParquetFile(check_regular(path)))
        except Exception as error:
            raise ValueError(f"{printable(path.name)} cannot be read: {first_line(error)}") from error
        if set(files[-1].schema_arrow.names) != set(files[0].schema_arrow.names):
            raise ValueError(f"{printable(path.name)} has other columns than {printable(paths[0].name)}.")

    def read(name: str) -> list[Any]:
        try:
            return [value for file in files for value in file.read(columns=[name]).column(name).to_pylist()]
        except Exception as error:
            who = f"{printable(paths[0].name)}{' and those beside it' * (len(paths) > 1)}"
            raise ValueError(f"{who}: column {printable(name)!r} cannot be read: {first_line(error)}") from error

    return Columns(files[0].schema_arrow.names, read)
