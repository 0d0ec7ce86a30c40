"""Weights in files, brought to the structure that an architecture expects.

In memory and in files an array is known by its path, joined with `/`: `params/conv1/kernel`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization, traverse_util

from nrjax.errors import CheckpointError
from nrjax.models._checkpoint_layout import find_weights, plain_name
from nrjax.models._read import SUFFIXES, flatten, read_arrays

MOST_NAMED = 12  # problems of one checkpoint that an error lists


def save_variables(path: Path, variables: Mapping[str, object]) -> None:
    """Writes the arrays of a nested mapping; the suffix of `path` chooses the format (see `SUFFIXES`)."""
    flat = {name: np.asarray(value) for name, value in flatten(variables).items()}
    if path.suffix == ".safetensors":
        import safetensors.numpy

        safetensors.numpy.save_file({name: np.ascontiguousarray(value) for name, value in flat.items()}, path)
    elif path.suffix == ".msgpack":
        path.write_bytes(serialization.msgpack_serialize(traverse_util.unflatten_dict(flat, sep="/")))
    elif path.suffix == ".orbax":
        import orbax.checkpoint as ocp

        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path.absolute(), traverse_util.unflatten_dict(flat, sep="/"))
    else:
        raise ValueError(f"Weights file {path.name!r}: the suffix must be one of {', '.join(SUFFIXES)}.")


def load_variables(path: Path, expected: Mapping[str, object]) -> dict[str, Any]:
    """The arrays in `path`, in the structure, shapes and dtypes of `expected`.

    They may lie as training code leaves them: in a `TrainState` or beside a step and an optimiser's state, which
    are not read; below another name; without the `params` level; with the `value` level of an `nnx.State`.

    Args:
      path: see `read_arrays`.
      expected: nested mapping of arrays or `jax.ShapeDtypeStruct`.

    Raises:
      CheckpointError: the file is corrupt; or arrays are missing, extra or misshapen (they are named).
    """
    targets = flatten(expected)
    weights = find_weights(path, {plain_name(name): value for name, value in read_arrays(path).items()}, targets)
    problems = [f"missing {name} {targets[name].shape}" for name in targets if name not in weights]
    problems += [f"extra {name} {weights[name].shape}" for name in weights if name not in targets]
    arrays = {}
    for name in targets.keys() & weights.keys():
        weight, target = weights[name], targets[name]
        with np.errstate(all="ignore"):
            arrays[name] = weight.astype(target.dtype)
        if weight.shape != target.shape:
            problems.append(f"{name} has shape {weight.shape}, expected {target.shape}")
        elif _kind(weight.dtype) != _kind(target.dtype):
            problems.append(f"{name} is {weight.dtype}, expected {target.dtype}")
        elif _kind(weight.dtype) == "float" and not _fits_range(weight, arrays[name]):
            problems.append(f"{name} has values beyond {np.dtype(target.dtype)}")
    if problems:
        listed = "; ".join(sorted(problems)[:MOST_NAMED])
        others = f"; and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        raise CheckpointError(f"{path.name} does not fit the architecture: {listed}{others}.")
    return traverse_util.unflatten_dict(arrays, sep="/")


def _fits_range(weight: np.ndarray, cast: np.ndarray) -> bool:
    """Whether no finite value became infinite in another dtype."""
    if jax.numpy.finfo(weight.dtype).max <= jax.numpy.finfo(cast.dtype).max:
        return True
    return bool((np.isfinite(cast) | ~np.isfinite(weight)).all())


def _kind(dtype: Any) -> str:
    dtype = np.dtype(dtype)
    return "float" if jax.numpy.issubdtype(dtype, np.floating) else dtype.kind
