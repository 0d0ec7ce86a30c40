"""Pairs of texts in models of single texts: one vector from those of both."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nrjax.datasets import Pair


class PairBatch(NamedTuple):
    """Pairs of texts as a model takes them.

    Attributes:
      inputs: of the first texts followed by the second ones, or of the pairs where the model takes both at once.
    """

    inputs: Any


def prepare_apart(pairs: Sequence[Pair], prepare: Callable[[list[str]], Any]) -> PairBatch:
    """The texts of pairs in one batch: the first ones, then the second ones."""
    return PairBatch(prepare([pair.first for pair in pairs] + [pair.second for pair in pairs]))


def combine(features: np.ndarray) -> np.ndarray:
    """`[u, v, abs(u - v), u * v]` of every pair, `[pairs, 4 dims]`.

    Args:
      features: of the first texts followed by the second ones, `[2 pairs, dims]`.

    Source: Conneau et al. 2017, arXiv 1705.02364; the classifier of InferSent reads them.
    """
    first, second = np.split(features, 2)
    return np.concatenate([first, second, np.abs(first - second), first * second], axis=1)
