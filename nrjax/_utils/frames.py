"""Frames of pandas, polars, pyarrow and others as arrays, through narwhals."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

_ROW_NUMBERS = re.compile(
    r"(?i:unnamed: [\d.]+|__index_level_\d+__|index|idx|row|(.+[ _-])?id)?|\w*[a-z]I[dD]"
)  # such as PassengerId


def numbers_rows(name: str, numbers: np.ndarray | None) -> bool:
    """Whether a column numbers the rows: it is called so, and has whole numbers, all different."""
    if numbers is None or not _ROW_NUMBERS.fullmatch(name) or len(numbers) < 2 or not np.isfinite(numbers).all():
        return False
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) == len(numbers)


def as_table(data: object) -> Any:
    """A batch of records of pyarrow as a table, which narwhals knows; anything else as it is."""
    if type(data).__name__ == "RecordBatch" and type(data).__module__.startswith("pyarrow"):
        import pyarrow as pa

        return pa.Table.from_batches([data])
    return data


def is_frame(data: object) -> bool:
    """Whether data are a frame, not a lazy one, of any library that narwhals knows."""
    if not hasattr(data, "columns") and not hasattr(data, "column_names"):
        return False  # saves the 90 ms of the import
    import narwhals as nw

    return nw.dependencies.is_into_dataframe(data)


def columns_of_frame(who: str, data: Any) -> tuple[list[str], Callable[[str], list[Any]], Any]:
    """Names of a frame's columns, a function that gives one as a list, and the index of its rows or None.

    Raises:
      ValueError: two columns have one name.
    """
    import narwhals as nw

    names = [str(name) for name in (data.column_names if hasattr(data, "column_names") else data.columns)]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{who} has several columns that read {', '.join(map(repr, twice[:5]))}; rename them.")
    frame = nw.from_native(data, eager_only=True)
    by_name = dict(zip(names, frame.columns, strict=True))
    return names, lambda name: frame.get_column(by_name[name]).to_list(), nw.maybe_get_index(frame)


def numbers_of_frame(who: str, data: Any) -> np.ndarray:
    """A frame of numbers as float64 `[rows, columns]`, without a column that numbers the rows.

    Cells without a number are NaN. `who` begins the error and the warning.

    Raises:
      ValueError: a column holds something else: dates would become nanoseconds.
    """
    import narwhals as nw

    names = None
    if hasattr(data, "set_axis"):  # pandas allows columns of one name, narwhals does not
        names, data = [str(name) for name in data.columns], data.set_axis(list(map(str, range(data.shape[1]))), axis=1)
    frame = nw.from_native(data, eager_only=True)
    names = names or list(frame.columns)
    array = _numbers_of(who, frame, names)
    counters = [numbers_rows(name, array[:, i]) for i, name in enumerate(names)]
    if not any(counters) or all(counters):
        return array
    listed = ", ".join(repr(name) for name, counts in zip(names, counters, strict=True) if counts)
    warnings.warn(f"{who}: left out column {listed}, which numbers the rows.", RuntimeWarning, stacklevel=5)
    return array[:, ~np.array(counters)]


def _numbers_of(who: str, frame: Any, names: list[str]) -> np.ndarray:
    import narwhals as nw

    if all(dtype.is_numeric() for dtype in frame.schema.values()):
        array = frame.to_numpy()
        if array.dtype.kind in "iuf":  # without missing cells
            return array.astype(np.float64, copy=False)
    array = np.empty(frame.shape)
    for i, column in enumerate(frame.iter_columns()):
        dtype = column.dtype
        if not (dtype.is_numeric() or dtype == nw.Boolean or (dtype == nw.Object and _are_numbers(column.to_list()))):
            native = getattr(column.to_native(), "dtype", dtype)
            raise ValueError(f"{who}: expected columns of real numbers; column {names[i][:60]!r} has dtype {native}.")
        try:
            array[:, i] = column.cast(nw.Float64).to_numpy()
        except Exception as error:  # of the frame's library
            raise ValueError(f"{who}: expected columns of real numbers: {str(error)[:200]}") from error
    return array


def _are_numbers(cells: list[Any]) -> bool:
    return all(
        isinstance(cell, (int, float, np.number, np.bool_)) or cell is None or type(cell).__name__ == "NAType"
        for cell in cells
    )
