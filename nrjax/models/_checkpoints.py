"""Weights as training left them, brought to the structure that an architecture expects.

In memory and in files an array is known by its path, joined with `/`: `params/conv1/kernel`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import serialization, traverse_util

from nrjax.models._read import SUFFIXES, CheckpointError, flatten, read_arrays

# What training keeps beside the weights; it is left where it is.
TRAINING = {
    "opt_state", "optimizer", "optimizer_state", "step", "epoch", "rng", "rngs", "key", "dropout_rng", "dropout_key",
    "loss_scale", "dynamic_scale", "ema", "ema_params", "metrics", "tx", "global_step", "iteration",
}  # fmt: skip
NAMED = 12  # problems of one checkpoint that are told


def save_variables(path: Path, variables: Mapping[str, Any]) -> None:
    """Writes the arrays of a nested mapping; the suffix of `path` chooses the format (see `SUFFIXES`)."""
    flat = {name: np.asarray(value) for name, value in flatten(variables).items()}
    if path.suffix == ".safetensors":
        import safetensors.numpy

        safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in flat.items()}, path)
    elif path.suffix == ".msgpack":
        path.write_bytes(serialization.msgpack_serialize(traverse_util.unflatten_dict(flat, sep="/")))
    elif path.suffix == ".orbax":
        import orbax.checkpoint as ocp

        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path.absolute(), traverse_util.unflatten_dict(flat, sep="/"))
    else:
        raise ValueError(f"Weights file {path.name!r}: the suffix must be one of {', '.join(SUFFIXES)}.")


def load_variables(path: Path, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays in `path`, in the structure, shapes and dtypes of `expected`.

    They may lie as training code leaves them: in a `TrainState` or beside a step and an optimiser's state, which
    are not read; below another name; without the `params` level; with the `value` level of an `nnx.State`.

    Args:
      path: see `read_arrays`.
      expected: nested mapping of arrays or `jax.ShapeDtypeStruct`.

    Raises:
      CheckpointError: the file is corrupt; or arrays are missing, extra or misshapen (they are named).
    """
    wanted = flatten(expected)
    found = _placed(path, {_plain(name): value for name, value in read_arrays(path).items()}, wanted)
    problems = [f"missing {name} {wanted[name].shape}" for name in wanted if name not in found]
    problems += [f"extra {name} {found[name].shape}" for name in found if name not in wanted]
    arrays = {}
    for name in wanted.keys() & found.keys():
        have, want = found[name], wanted[name]
        with np.errstate(all="ignore"):
            arrays[name] = have.astype(want.dtype)
        if have.shape != want.shape:
            problems.append(f"{name} has shape {have.shape}, expected {want.shape}")
        elif _kind(have.dtype) != _kind(want.dtype):
            problems.append(f"{name} is {have.dtype}, expected {want.dtype}")
        elif _kind(have.dtype) == "float" and not _fits(have, arrays[name]):
            problems.append(f"{name} has values beyond {np.dtype(want.dtype)}")
    if problems:
        told = "; ".join(sorted(problems)[:NAMED])
        more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise CheckpointError(f"{path.name} does not fit the architecture: {told}{more}.")
    return traverse_util.unflatten_dict(arrays, sep="/")


def _plain(name: str) -> str:
    """`a.kernel`, `a/kernel/value` and `a/kernel/.value` are all `a/kernel`; `batch_stats` and numbers stay."""
    parts = [part for part in name.replace(".", "/").split("/") if part]
    return "/".join(parts[:-1] if len(parts) > 1 and parts[-1] in ("value", "raw_value") else parts)


class _Place(NamedTuple):
    """Where in a checkpoint the arrays may lie; of two the larger is the better one."""

    hits: int  # arrays that are there
    fits: int  # of them of the right shape
    earliness: int  # the outer place of equals
    prefix: str
    level: str  # that names have in the architecture and not in the checkpoint
    names: dict[str, str]  # in the checkpoint, to those that are wanted


def _placed(path: Path, found: Mapping[str, np.ndarray], wanted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays under the names that are wanted: those of the place in the tree that holds most of them.

    A place is a path that all of them share, with or without the level `params`; the outer one of equals.
    """
    plain = {_plain(name): name for name in wanted}
    if len(plain) < len(wanted):  # the architecture itself has such names
        return dict(found)
    prefixes = {""}
    for name in found:
        parts = name.split("/")
        if not TRAINING & set(parts):
            prefixes |= {"/".join(parts[:depth]) + "/" for depth in range(1, min(len(parts), 4))}
    places: list[_Place] = []
    for prefix in sorted(prefixes, key=lambda prefix: (prefix.count("/"), prefix)):
        for level in ("", "params/"):
            names = {prefix + name.removeprefix(level): known for name, known in plain.items()}
            hits = names.keys() & found.keys()
            fits = sum(found[name].shape == wanted[names[name]].shape for name in hits)
            places.append(_Place(len(hits), fits, -len(places), prefix, level, names))
        if not prefix and max(places).fits == len(wanted):  # all of it, where it is meant to lie: no need to search
            break
    best = max(places)
    if best.hits == 0:
        return {name: value for name, value in found.items() if not TRAINING & set(name.split("/"))}
    prefix, names = best.prefix, best.names
    rivals = [
        place.prefix for place in places if place.hits == best.hits and place.prefix != prefix
        and place.prefix.count("/") == prefix.count("/") > 0
    ]  # fmt: skip
    if rivals:
        raise CheckpointError(
            f"{path.name} holds weights for this architecture in several places ({prefix.rstrip('/')}, "
            f"{rivals[0].rstrip('/')}); save one of them alone."
        )
    # Beside the place is what training keeps; what is inside it and not wanted belongs to another architecture.
    inside = {name: value for name, value in found.items() if name.startswith(prefix) and name not in names}
    tops = {name.removeprefix(prefix).partition("/")[0] for name in names}
    by_collection = not best.level and "params" in tops  # what lies beside params and statistics is no layer
    extra = {
        name.removeprefix(prefix): value for name, value in inside.items()
        if name.removeprefix(prefix).partition("/")[0] not in TRAINING
        and (name.removeprefix(prefix).partition("/")[0] in tops or not (prefix or by_collection))
    }  # fmt: skip
    return {known: found[name] for name, known in names.items() if name in found} | extra


def _fits(have: np.ndarray, cast: np.ndarray) -> bool:
    if jax.numpy.finfo(have.dtype).max <= jax.numpy.finfo(cast.dtype).max:
        return True
    return bool((np.isfinite(cast) | ~np.isfinite(have)).all())


def _kind(dtype: Any) -> str:
    dtype = np.dtype(dtype)
    return "float" if jax.numpy.issubdtype(dtype, np.floating) else dtype.kind
