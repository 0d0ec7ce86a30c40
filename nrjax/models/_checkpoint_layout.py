"""Finds the weights of an architecture within all that training code saved beside and around them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nrjax.errors import CheckpointError

TRAINING = {  # names that training code gives to what it saves beside the weights
    "opt_state", "optimizer", "optimizer_state", "step", "epoch", "rng", "rngs", "key", "dropout_rng", "dropout_key",
    "loss_scale", "dynamic_scale", "ema", "ema_params", "metrics", "tx", "global_step", "iteration",
}  # fmt: skip


def plain_name(name: str) -> str:
    """`a.kernel`, `a/kernel/value` and `a/kernel/.value` are all `a/kernel`; `batch_stats` and numbers stay."""
    parts = [part for part in name.replace(".", "/").split("/") if part]
    return "/".join(parts[:-1] if len(parts) > 1 and parts[-1] in ("value", "raw_value") else parts)


class _Place(NamedTuple):
    """Where in a checkpoint the arrays may lie; of two places the larger tuple is the better one."""

    hits: int  # expected arrays that it has
    fits: int  # hits of the right shape
    earliness: int  # of equal places the outer one is better
    prefix: str
    level: str  # that names have in the architecture and not in the checkpoint
    names: dict[str, str]  # from names in the checkpoint to expected names


def find_weights(path: Path, arrays: Mapping[str, np.ndarray], expected: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Arrays under their expected names, from the place in the checkpoint that holds most of them.

    A place is a path that all of them share, with or without the level `params`; of equal places the outer one. Arrays
    at that place that are not expected are returned, too, where they belong to the network.

    Args:
      path: of the checkpoint, for errors.
      arrays: of the checkpoint, by plain name.
      expected: arrays of the architecture, or their shapes, by name.

    Raises:
      CheckpointError: several places hold as many.
    """
    by_plain_name = {plain_name(name): name for name in expected}
    if len(by_plain_name) < len(expected):  # the architecture itself has such names
        return dict(arrays)
    places = _places(arrays, expected, by_plain_name)
    best = max(places)
    if best.hits == 0:
        return {name: value for name, value in arrays.items() if not TRAINING & set(name.split("/"))}
    depth = best.prefix.count("/")
    rivals = [
        place.prefix for place in places
        if place.hits == best.hits and place.prefix != best.prefix and place.prefix.count("/") == depth > 0
    ]  # fmt: skip
    if rivals:
        raise CheckpointError(
            f"{path.name} holds weights for this architecture in several places ({best.prefix.rstrip('/')}, "
            f"{rivals[0].rstrip('/')}); save one of them alone."
        )
    return {name: arrays[key] for key, name in best.names.items() if key in arrays} | _unexpected(arrays, best)


def _places(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any], by_plain_name: Mapping[str, str]
) -> list[_Place]:  # fmt: skip
    prefixes = {""}
    for name in arrays:
        parts = name.split("/")
        if not TRAINING & set(parts):
            prefixes |= {"/".join(parts[:depth]) + "/" for depth in range(1, min(len(parts), 4))}
    places: list[_Place] = []
    for prefix in sorted(prefixes, key=lambda prefix: (prefix.count("/"), prefix)):
        for level in ("", "params/"):
            names = {prefix + plain.removeprefix(level): name for plain, name in by_plain_name.items()}
            hits = names.keys() & arrays.keys()
            fits = sum(arrays[key].shape == expected[names[key]].shape for key in hits)
            places.append(_Place(len(hits), fits, -len(places), prefix, level, names))
        if not prefix and max(places).fits == len(expected):  # all arrays lie at the outermost place
            break
    return places


def _unexpected(arrays: Mapping[str, np.ndarray], place: _Place) -> dict[str, np.ndarray]:
    """Arrays inside a place that no expected name has: they belong to another architecture.

    What training keeps lies beside the place. Where names begin with the collection (`params`, `batch_stats`), other
    collections are no layers.
    """
    tops = {name.removeprefix(place.prefix).partition("/")[0] for name in place.names}
    by_collection = not place.level and "params" in tops
    unexpected = {}
    for name, value in arrays.items():
        if not name.startswith(place.prefix) or name in place.names:
            continue
        inner = name.removeprefix(place.prefix)
        top = inner.partition("/")[0]
        if top not in TRAINING and (top in tops or not (place.prefix or by_collection)):
            unexpected[inner] = value
    return unexpected
