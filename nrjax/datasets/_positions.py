"""Positions in pictures as samples: each is a picture and a place in it, as fractions of its height and width."""

from collections.abc import Iterator
from typing import NamedTuple, overload

import numpy as np

from nrjax.datasets._lazy_images import Images
from nrjax.datasets._sample_sequence import SampleSequence

PICTURES = 16  # that go through a model at once on a CPU


class Position(NamedTuple):
    """A place in a picture.

    Attributes:
      images: all pictures.
      picture: index of this one.
      row: fraction of its height, from 0 at the top to 1.
      column: fraction of its width, from 0 at the left to 1.
    """

    images: Images
    picture: int
    row: float
    column: float

    @property
    def image(self) -> np.ndarray:
        """The picture, uint8 `[height, width, channels]`; it may be decoded anew."""
        return self.images[self.picture]


class Positions(SampleSequence):
    """Positions in pictures, one sample each.

    Args:
      images: the pictures.
      picture: index of each position's picture, `[samples]`.
      row: fractions of the picture's height, `[samples]`.
      column: fractions of its width, `[samples]`.
    """

    kind = "position"

    def __init__(self, images: Images, picture: np.ndarray, row: np.ndarray, column: np.ndarray):
        self.images, self.picture = images, np.asarray(picture, np.int64)
        self.row, self.column = np.asarray(row, np.float64), np.asarray(column, np.float64)
        each = len(self.picture) / max(1, len(np.unique(self.picture)))
        self.batch_size = 1 << int(np.ceil(np.log2(max(1.0, PICTURES * each))))

    def __len__(self) -> int:
        return len(self.picture)

    @overload
    def __getitem__(self, index: int) -> Position: ...
    @overload
    def __getitem__(self, index: slice) -> list[Position]: ...
    def __getitem__(self, index: int | slice) -> Position | list[Position]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Position(self.images, int(self.picture[index]), float(self.row[index]), float(self.column[index]))

    def take(self, rows: np.ndarray) -> "Positions":
        """The positions at `rows`, in this order."""
        return Positions(self.images, self.picture[rows], self.row[rows], self.column[rows])

    def content(self) -> Iterator[np.ndarray]:
        """The pictures that have a position, in the order in which they come, then all places."""
        _, first, order = np.unique(self.picture, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        for position in np.sort(first):
            yield self.images[int(self.picture[position])]
        yield np.stack([rank[order.reshape(-1)], self.row, self.column])

    def batch_order(self) -> np.ndarray:
        """Positions of a picture follow each other, so that the picture runs once."""
        return np.argsort(self.picture, kind="stable")
