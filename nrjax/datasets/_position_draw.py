"""Which positions of masks are samples: cells of a grid that hold one class, drawn in balance over the classes."""

from typing import NamedTuple

import numpy as np

GRID = 16  # cells along each edge of a picture
MOST = 4096  # positions in all, unless the user asks for another number
TIMES, FLOOR = 2, 64  # cells of a class: at most so many times the median of the others, which is not below the floor


class Cells(NamedTuple):
    """Cells that hold one class.

    Attributes:
      picture: index of each cell's picture, `[cells]`.
      row: of the cell's middle, as a fraction of the height.
      column: of the cell's middle, as a fraction of the width.
      label: id of its class.
    """

    picture: np.ndarray
    row: np.ndarray
    column: np.ndarray
    label: np.ndarray

    def take(self, rows: np.ndarray) -> "Cells":
        """Some of the cells."""
        return Cells(*(values[rows] for values in self))


def cells_of(mask: np.ndarray, picture: int, grid: int = GRID) -> Cells:
    """Cells of a mask `[height, width]` all of whose pixels have one id; negative ids are no class.

    The grid divides both edges into `grid` equal parts, or into as many as there are pixels. A pixel that lies in two
    cells counts in both.
    """
    rows, columns = (min(grid, size) for size in mask.shape)
    lowest, highest = (
        _of_parts(_of_parts(mask, rows, reduce, 0), columns, reduce, 1) for reduce in (np.minimum, np.maximum)
    )
    pure = (lowest == highest) & (lowest >= 0)
    row, column = np.nonzero(pure)
    return Cells(np.full(len(row), picture), (row + 0.5) / rows, (column + 0.5) / columns, lowest[pure])


def _of_parts(mask: np.ndarray, parts: int, reduce: np.ufunc, axis: int) -> np.ndarray:
    """A reduction of every one of equal parts of an axis, with the pixels that lie in it by half."""
    size = mask.shape[axis]
    starts, stops = (np.arange(parts) * size) // parts, -(-(np.arange(1, parts + 1) * size) // parts)
    slices = [np.take(mask, np.arange(start, stop), axis) for start, stop in zip(starts, stops, strict=True)]
    return np.stack([reduce.reduce(part, axis=axis) for part in slices], axis=axis)


def draw(cells: Cells, most: int, per_picture: int, seed: int) -> np.ndarray:
    """Indices, ascending, of the cells that are drawn; deterministic by seed.

    Every class gets at most an even share of `most`, and at most twice the median of the classes without the largest,
    but 64. The rarest draws first, and each is spread evenly over its pictures.

    Args:
      cells: to draw from.
      most: cells in all.
      per_picture: cells of one picture at most.
      seed: of the order of cells that are alike.
    """
    rng = np.random.default_rng(seed)
    labels, counts = np.unique(cells.label, return_counts=True)
    room = np.full(int(cells.picture.max(initial=-1)) + 1, per_picture)
    chosen: list[int] = []
    usual = TIMES * int(np.median(np.sort(counts)[:-1])) if len(counts) > 1 else 0
    share = max(1, min(most // max(1, len(labels)), max(usual, FLOOR)))
    for label in labels[np.argsort(counts, kind="stable")]:
        members = rng.permutation(np.flatnonzero(cells.label == label))
        by_turn = members[np.argsort(_turn(cells.picture[members]), kind="stable")]
        left = share
        for cell in by_turn.tolist():
            picture = cells.picture[cell]
            if left and room[picture]:
                chosen.append(cell)
                room[picture] -= 1
                left -= 1
    return np.sort(np.array(chosen, np.int64))


def _turn(groups: np.ndarray) -> np.ndarray:
    """How many of the same group come before each."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    turn = np.empty(len(groups), np.int64)
    turn[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return turn
