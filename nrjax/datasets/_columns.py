"""Columns of a table by name, whatever holds them, and what the user calls a row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Place(NamedTuple):
    """What the user calls a row: a text with the row's index, or with its number in `numbers`."""

    text: str
    numbers: Sequence[Any] | None = None

    def __call__(self, row: int) -> str:
        """Such as `line 3 of the file`."""
        return self.text.format(row if self.numbers is None else self.numbers[row])


class Columns(Mapping[str, Sequence[Any]]):
    """Columns by name. Each is read when it is looked up.

    Args:
      names: of the columns.
      read: returns a column by its name.
      place: what the user calls a row; None where rows are just counted.
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], Sequence[Any]], place: Place | None = None):
        self._names, self._read, self.place = list(names), read, place

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def row(self, index: int) -> str:
        """What the user calls a row, such as `row 3 (line 4 of the file)`."""
        return row_name(self.place, index)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def row_name(place: Place | None, index: int) -> str:
    """What the user calls the row of an index."""
    return f"row {index + 1} ({place(index)})" if place else f"row {index + 1}"


def columns_of_words(sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[object]]) -> Columns:
    """Sentences and the tags of their words, as a table that `load_dataset` takes.

    Raises:
      ValueError: not one list of tags for each sentence.
    """
    if len(sentences) != len(tags):
        raise ValueError(
            f"labels must be one list of tags for each sentence; got {len(tags)} for {len(sentences)} sentences."
        )
    values = {"tokens": sentences, "tags": tags}
    return Columns(values, values.__getitem__)
