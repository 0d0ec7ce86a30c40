"""Columns of files: CSV, TSV, JSON, JSON lines, Parquet."""

import array
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable
from nrjax._utils.paths import check_regular
from nrjax.datasets._columns import Columns, Place
from nrjax.datasets._csv import read_csv
from nrjax.datasets._text_files import open_text

SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".jsonl", ".ndjson", ".json")


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
            return _read_json(path)
        return read_csv(path, tabs=suffix in (".tsv", ".tab"))
    except ValueError:
        raise
    except Exception as error:  # every format has its own ways to break
        raise ValueError(f"{printable(path.name)} cannot be read: {first_line(error)}") from error


def _read_json(path: Path) -> Columns:
    """The columns of a file with one object a line, or with one list of objects."""
    with open_text(path) as file:
        if path.suffix.lower() == ".json":
            columns = _read_json_list(file, printable(path.name))
            if columns is not None:
                return columns
            file.seek(0)  # it has lines under the other name
        return _read_json_lines(file, printable(path.name))


def _read_json_list(file: TextIO, who: str) -> Columns | None:
    """The columns of one list of objects; None where the file as a whole is no JSON."""
    try:
        content = json.load(file)
    except RecursionError as error:
        raise ValueError(f"{who} is not JSON: {first_line(error)}") from error
    except ValueError:
        return None
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError(f"{who}: expected a list of objects with the columns as fields.")
    return _columns_of_rows(content, Place("object {} of the file", range(1, len(content) + 1)))


def _read_json_lines(file: TextIO, who: str) -> Columns:
    rows: list[dict[str, Any]] = []
    lines = array.array("Q")
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
    return _columns_of_rows(rows, Place("line {} of the file", lines))


def _columns_of_rows(rows: list[dict[str, Any]], place: Place) -> Columns:
    names = dict.fromkeys(name for row in rows for name in row)
    return Columns(names, lambda name: [row.get(name) for row in rows], place)


def read_parquet(paths: Sequence[Path]) -> Columns:
    """The columns of Parquet files that follow each other.

    Raises:
      ValueError: pyarrow is missing, a file is damaged, or they differ in their columns.
    """
    framework("pyarrow", printable(paths[0].name))
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

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
