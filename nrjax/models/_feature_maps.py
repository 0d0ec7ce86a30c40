"""Feature maps: which outputs of a network have a vector for every place of a picture, and the vectors at places.

A map is `[pictures, dims, height, width]`, `[pictures, height, width, dims]`, or tokens `[pictures, tokens, dims]` of a
grid, behind those that stand for the whole picture. Height and width are in the proportion of the picture's.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from nrjax.errors import LayerError
from nrjax.models._layer_choice import PENULTIMATE, LayerChoice, layer_name

INPUT = "input"
PREFIX = re.compile(r"(cls|class|dist|distillation|reg|register)(_?(token|embedding)s?)?")  # names of weights


class Layout(NamedTuple):
    """Where the vector of a cell lies in an output.

    Attributes:
      height: cells along the height.
      width: cells along the width.
      axes: order of the axes.
      prefix: tokens before those of the grid.
    """

    height: int
    width: int
    axes: Literal["channels first", "channels last", "tokens"]
    prefix: int = 0

    def cells(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cells that contain places, given as fractions of height and width."""
        return tuple(
            np.clip(np.floor(fraction * size + 1e-9), 0, size - 1).astype(np.int64)
            for fraction, size in ((row, self.height), (column, self.width))
        )  # pyright: ignore

    def gather(self, output: Any, picture: Any, row: Any, column: Any) -> Any:
        """Vectors `[positions, dims]` of cells; arrays of any framework."""
        if self.axes == "channels first":
            return output[picture, :, row, column]
        if self.axes == "channels last":
            return output[picture, row, column]
        return output[picture, self.prefix + row * self.width + column]


def layout_of(
    shape: Sequence[int], size: Sequence[int], *, prefix: int = 0, channels_first: bool = False
) -> Layout | None:  # fmt: skip
    """The layout of an output, by its shape; None where it is no map.

    Args:
      shape: of the output, `[pictures, ...]`.
      size: height and width of the pictures that entered the network.
      prefix: tokens of the network that stand for the whole picture; some layers have none.
      channels_first: which order of axes a map of four axes has where its shape allows both.
    """
    if len(shape) == 3:
        for tokens in dict.fromkeys((prefix, 0)):
            grid = _grid(shape[1] - tokens, size)
            if grid:
                return Layout(*grid, "tokens", tokens)
        return None
    if len(shape) != 4:
        return None
    layouts = [Layout(shape[2], shape[3], "channels first"), Layout(shape[1], shape[2], "channels last")]
    layouts = [layout for layout in layouts if _is_in_proportion(layout, size)]
    first = "channels first" if channels_first else "channels last"
    return min(layouts, key=lambda layout: (_mismatch(layout, size), layout.axes != first), default=None)


def _mismatch(layout: Layout, size: Sequence[int]) -> int:
    return abs(layout.height * size[1] - layout.width * size[0])


def _is_in_proportion(layout: Layout, size: Sequence[int]) -> bool:
    """Whether a map has the picture's proportions, but for rounding and a margin that convolutions cut away."""
    if layout.height * layout.width < 2:
        return False
    if size[0] == size[1]:
        return layout.height == layout.width
    margin = min(layout.height, layout.width) // 2
    return _mismatch(layout, size) <= margin * abs(size[0] - size[1]) + max(size)


def _grid(tokens: int, size: Sequence[int]) -> tuple[int, int] | None:
    """Height and width of a grid of so many tokens in the picture's proportions."""
    grids = [(n, tokens // n) for n in range(1, tokens + 1) if tokens > 1 and tokens % n == 0]
    height, width = min(grids, key=lambda grid: abs(grid[0] * size[1] - grid[1] * size[0]), default=(0, 0))
    is_close = abs(height * size[1] - width * size[0]) < max(size) * (size[0] != size[1]) + 1
    return (height, width) if is_close and height else None


def prefix_tokens(weights: Iterable[tuple[str, Sequence[int]]]) -> int:
    """Number of tokens before those of the picture, by names and shapes of a network's weights."""
    tokens = {}
    for path, shape in weights:
        name = re.split(r"[./]", path.removesuffix("/value"))[-1]
        if PREFIX.fullmatch(name) and math.prod(shape) > 1:
            tokens[name] = shape[-2] if len(shape) > 1 else 1
    return sum(tokens.values())


class Maps(NamedTuple):
    """The layers of a network that have a map.

    Attributes:
      names: of all layers, in order of execution.
      layouts: by name, of the layers with a map; that of `penultimate` may be one of its own.
      penultimate: name in `layouts` of the last map before pooling; None where there is none.
    """

    names: list[str]
    layouts: Mapping[str, Layout]
    penultimate: str | None

    @property
    def with_map(self) -> list[str]:
        """Layers that have a map."""
        return [name for name in self.names if name in self.layouts]

    def choose(self, layers: Iterable[LayerChoice]) -> list[str]:
        """Names of the chosen layers.

        Raises:
          LayerError: there is no such layer, or it has no map.
        """
        return [self._choose(layer) for layer in layers]

    def _choose(self, layer: LayerChoice) -> str:
        name = layer_name(layer, self.names, has_penultimate=True)
        name = self.penultimate if name == PENULTIMATE and name not in self.names else name
        if name in self.layouts:
            return str(name)
        known = set(self.with_map)
        listed = [f"{with_map} ({i})" for i, with_map in enumerate(self.names) if with_map in known]
        have = f"those with one are {', '.join(listed)}" if listed else "no layer has one"
        raise LayerError(f"The layer {layer!r} has no map, so no vector for every place of a picture; {have}.")
