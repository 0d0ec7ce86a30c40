"""Layers: their names, their shapes, and how one of them is chosen."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from nrjax.errors import LayerError

LayerChoice = str | int
PENULTIMATE, MEAN, LAST = "penultimate", "mean", "last"
MOST_LISTED = 100


class Layer(NamedTuple):
    """A layer that can be scored: its name and the shape of its output for one sample."""

    name: str
    shape: tuple[int, ...]

    @property
    def dims(self) -> int:
        """Width of the layer's features: its outputs, flattened."""
        return math.prod(self.shape)


def layer_name(layer: LayerChoice, names: Sequence[str], has_penultimate: bool) -> str:
    """The name of a layer that is chosen by name, by index or as the penultimate one.

    Raises:
      LayerError: there is no such layer.
    """
    if layer == PENULTIMATE and layer not in names:
        if not has_penultimate:
            raise LayerError(
                "The model has no dense layer at its end and answers with no vector, so it has no penultimate layer; "
                f"choose one of {list_layers(names)}."
            )
        return PENULTIMATE
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return names[layer]
    if layer not in names:
        raise LayerError(f"The model has no layer {layer!r}; it has {list_layers(names)}.")
    return str(layer)


def list_layers(names: Sequence[str]) -> str:
    """Layers with their indices, as text; of hundreds the first and the last ones."""
    numbered = [f"{name} ({i})" for i, name in enumerate(names)]
    if len(numbered) > MOST_LISTED:
        numbered = [*numbered[: MOST_LISTED // 2], "...", *numbered[-MOST_LISTED // 2 :]]
    return ", ".join(numbered)


def unique_name(name: str, taken: Iterable[str]) -> str:
    """`name`; or `name:2`, `name:3`, ... for the later calls of a layer that runs several times."""
    number, taken = 1, set(taken) if not isinstance(taken, Mapping) else taken
    while (candidate := name if number == 1 else f"{name}:{number}") in taken:
        number += 1
    return candidate
