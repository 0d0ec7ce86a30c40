"""Cells of a table's column of recordings: paths, bytes, waveforms, as Hugging Face's `Audio` keeps them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line, printable, shortened
from nrjax.datasets._recordings import Cell, Waveform
from nrjax.errors import BrokenRecording


def recordings_of_cells(
    values: Sequence[object], base: Path, named_rows: Iterator[tuple[int, str]]
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """Name and content of the recordings of rows, or what is wrong with them.

    Args:
      values: the column.
      base: the folder of the table, which paths must not leave; the empty path for a table that is an object.
      named_rows: index of each row, and its name in errors.
    """
    for i, row in named_rows:
        try:
            value: Any = values[i]
        except Exception as error:  # of the library that keeps the rows
            yield row, BrokenRecording(f"{row} cannot be read: {type(error).__name__}: {first_line(error, 200)}")
            continue
        yield _recording_of_cell(value, Cell(values, i), base, row)


def _recording_of_cell(value: object, cell: Cell, base: Path, row: str) -> tuple[str, Any]:
    if isinstance(value, Mapping):
        if value.get("array") is not None and value.get("sampling_rate"):
            return row, Waveform(np.asarray(value["array"]), value["sampling_rate"])
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return row, cell
    if not isinstance(value, (str, Path)) or not str(value):
        return row, BrokenRecording(f"{row} has no recording; it has {shortened(repr(value), 60)}.")
    path = os.path.normpath(base / value)
    if base != Path() and not Path(path).is_relative_to(os.path.normpath(base)):
        return row, BrokenRecording(
            f"{row}: {printable(shortened(str(value), 100))} lies outside the table's folder; pass the table as a "
            "frame to read files from anywhere."
        )
    return printable(str(value)), base / value
