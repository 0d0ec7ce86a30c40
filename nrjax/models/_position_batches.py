"""Positions in pictures as a batch: every distinct picture once, whole, and the places in it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nrjax.datasets import Position
from nrjax.models._feature_maps import Layout
from nrjax.models._model import Inputs


class PositionBatch(NamedTuple):
    """Positions as a model takes them.

    Attributes:
      pictures: the distinct pictures as a batch of the model.
      picture: index of each position's picture, `[positions]`.
      row: fraction of the picture's height, `[positions]`.
      column: fraction of its width, `[positions]`.
    """

    pictures: Any
    picture: np.ndarray
    row: np.ndarray
    column: np.ndarray

    def cells(self, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture, row and column of the cell of a map that contains each position."""
        return (self.picture, *layout.cells(self.row, self.column))

    def padded(self) -> "PositionBatch":
        """With pictures and positions up to powers of two, so that few sizes are compiled."""
        pictures, positions = (1 << (n - 1).bit_length() for n in (len(self.pictures), len(self.picture)))
        return PositionBatch(*(
            np.concatenate([values, np.zeros((size - len(values), *values.shape[1:]), values.dtype)])
            for values, size in zip(self, (pictures, positions, positions, positions), strict=True)
        ))  # fmt: skip


def with_positions(inputs: Inputs, whole: Callable[[Sequence[np.ndarray]], Any], words: str) -> Inputs:
    """Inputs that take positions in pictures, too.

    A place is a fraction of the picture, so the network must see the whole picture: nothing may be cut away.

    Args:
      inputs: of pictures.
      whole: from uint8 pictures `[height, width, channels]` to a batch, without a crop.
      words: what `whole` does.
    """

    def prepare(samples: object) -> Any:
        if isinstance(samples, (list, tuple)) and len(samples) and isinstance(samples[0], Position):
            return _batch_of(samples, whole)
        return inputs.prepare(samples)

    return dataclasses.replace(
        inputs, prepare=prepare, others=(*inputs.others, "position"), position_preprocessing=words
    )  # fmt: skip


def _batch_of(positions: Sequence[Position], whole: Callable[[Sequence[np.ndarray]], Any]) -> PositionBatch:
    index: dict[tuple[int, int], int] = {}
    pictures = []
    for position in positions:
        key = id(position.images), position.picture
        if key not in index:
            index[key] = len(pictures)
            pictures.append(position.image)
    picture = np.array([index[id(position.images), position.picture] for position in positions])
    row, column = (np.array([getattr(position, axis) for position in positions]) for axis in ("row", "column"))
    return PositionBatch(whole(pictures), picture, row, column)
