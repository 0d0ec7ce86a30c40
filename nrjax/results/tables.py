"""Rows as text tables and as CSV."""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from nrjax._utils.messages import printable

Row = Mapping[str, Any]

TERMINAL = 80  # characters; headers of a wider table take several lines


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every key, in order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def as_table(rows: Sequence[Row], widest: int = 60) -> str:
    """Columns under headers; numbers to the right and whole; text cells wrap at `widest` characters."""
    text = _table(rows, widest, {})
    if max(map(len, text.splitlines())) <= TERMINAL:
        return text
    return _table(rows, widest, {column: _in_lines(column, rows) for column in columns_of(rows)})


def _in_lines(header: str, rows: Sequence[Row]) -> str:
    """A header in two lines or one, no narrower than its words and the cells below it."""
    cells = [str(row.get(header, "")) for row in rows]
    return "\n".join(textwrap.wrap(header, max(1 + len(header) // 2, *map(len, [*cells, *header.split()])))) or header


def _table(rows: Sequence[Row], widest: int, headers: Mapping[str, str]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns = columns_of(rows)
    for column in columns:
        numbers = all(_is_number(row[column]) for row in rows if row.get(column) not in (None, "", "-"))
        table.add_column(
            Text("\n".join(map(printable, headers.get(column, column).split("\n")))),
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=numbers,
            max_width=widest,
        )
    for row in rows:  # Text: names come from files and are not markup
        table.add_row(*(Text(printable(str(row.get(column, "")))) for column in columns))
    text = io.StringIO()
    Console(file=text, width=10_000, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())


def as_csv(rows: Sequence[Row]) -> str:
    """One line per row after a header; fields that are missing or None are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
