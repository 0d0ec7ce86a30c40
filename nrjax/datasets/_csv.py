"""Tables in CSV and TSV."""

import array
import csv
import itertools
import re
import warnings
from pathlib import Path
from typing import NamedTuple, TextIO

from nrjax._utils.messages import first_line, printable
from nrjax.datasets._columns import Columns, Place
from nrjax.datasets._text_files import open_text

DELIMITERS = ",;\t|"  # of CSV; the first of those that give the most columns
LONGEST_FIELD = 1 << 24  # characters of a text in CSV
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*")  # spreadsheets may begin a file with it
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*)(?:,\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class _Parsed(NamedTuple):
    delimiter: str
    header: list[str]
    columns: list[list[str]]
    lines: array.array  # the line of the file on which each row begins


def read_csv(path: Path, *, tabs: bool) -> Columns:
    """The columns of a CSV file, or of a TSV file where `tabs` is set.

    Raises:
      ValueError: no header, a row of another length, a quote that is not closed.
    """
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        with open_text(path) as file:
            parsed = _parse(file, path, tabs)
    finally:
        csv.field_size_limit(limit)
    by_name = dict(zip(parsed.header, parsed.columns, strict=True))
    if parsed.delimiter == ";":
        has_commas = any(map(_have_decimal_commas, by_name.values()))
        by_name = {name: _decimal_points(values) for name, values in by_name.items()} if has_commas else by_name
    return Columns(by_name, by_name.__getitem__, Place("line {} of the file", parsed.lines))


def _parse(file: TextIO, path: Path, tabs: bool) -> _Parsed:
    name = printable(path.name)
    first = file.readline()
    separator = _SEPARATOR_LINE.fullmatch(first)
    first = file.readline() if separator else first
    marks = separator[1] if separator else "\t" if tabs else DELIMITERS
    delimiter = max(marks, key=lambda mark: _count_fields(first, mark))
    quoting = csv.QUOTE_NONE if tabs and not _has_quotes(path) else csv.QUOTE_MINIMAL
    reader = csv.reader(itertools.chain([first], file), delimiter=delimiter, quoting=quoting, strict=True)
    skipped = int(separator is not None)
    start = 1
    lines = array.array("Q")
    try:
        names = next(reader, [])
        header = [column.strip() for column in names]
        if len(set(header)) < len(header) or not header:
            raise ValueError(f"{name}: expected a first row that names the columns, each once.")
        columns: list[list[str]] = [[] for _ in header]
        start = reader.line_num + 1
        for row in reader:
            if row == names:
                warnings.warn(f"{name}: left out line {reader.line_num + skipped}, which repeats the first row.",
                              RuntimeWarning, stacklevel=9)  # fmt: skip
            elif row and len(row) != len(header):
                raise ValueError(
                    f"{name}: line {reader.line_num + skipped} has {len(row)} fields, the first row {len(header)}."
                )
            elif row:
                lines.append(start + skipped)
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{name} is no CSV: line {start + skipped}: {first_line(error)}.") from error
    return _Parsed(delimiter, header, columns, lines)


def _count_fields(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0


def _has_quotes(path: Path) -> bool:
    """Whether a TSV file quotes its fields as CSV does. In most files a quote is a character like any other.

    A file quotes where every quote keeps to the rules within its line, or where its lines alone make no table.
    """
    with open_text(path) as file:
        rows = [line.rstrip("\r\n").split("\t") for line in file if line.strip("\r\n")]
    if len({len(row) for row in rows}) > 1:
        return True
    return all('"' not in field or _QUOTED.fullmatch(field) for row in rows for field in row)


def _have_decimal_commas(values: list[str]) -> bool:
    return all(map(_DECIMAL_COMMA.fullmatch, values)) and any("," in value for value in values)


def _decimal_points(values: list[str]) -> list[str]:
    """Numbers of a file with decimal commas, whose points group thousands, as Python writes them."""
    if not all(map(_DECIMAL_COMMA.fullmatch, values)):
        return values
    return [value.replace(".", "").replace(",", ".") for value in values]
