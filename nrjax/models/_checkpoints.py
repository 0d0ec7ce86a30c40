"""Weights in files: safetensors, Flax msgpack, Orbax directories. Never pickle.

In memory and in files an array is known by its path, joined with `/`: `params/conv1/kernel`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy, which safetensors needs to read it)
import numpy as np
from flax import serialization, traverse_util

SUFFIXES = (".safetensors", ".msgpack", ".orbax")


class CheckpointError(ValueError):
    """Weights that cannot be read, or that belong to another architecture."""


def save_variables(path: Path, variables: Mapping[str, Any]) -> None:
    """Writes the arrays of a nested mapping; the suffix of `path` chooses the format (see `SUFFIXES`)."""
    flat = {name: np.asarray(value) for name, value in _flatten(variables).items()}
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

    Args:
      path: a `.safetensors` or `.msgpack` file, or an Orbax directory.
      expected: nested mapping of arrays or `jax.ShapeDtypeStruct`.

    Raises:
      CheckpointError: the file is corrupt; or arrays are missing, extra or misshapen (all are named).
    """
    wanted = _flatten(expected)
    found = _read(path)
    if not set(found) & set(wanted):  # other tools separate with dots
        found = {name.replace(".", "/"): value for name, value in found.items()}
    problems = [f"missing {name} {wanted[name].shape}" for name in wanted if name not in found]
    problems += [f"extra {name} {found[name].shape}" for name in found if name not in wanted]
    for name in wanted.keys() & found.keys():
        have, want = found[name], wanted[name]
        if have.shape != want.shape:
            problems.append(f"{name} has shape {have.shape}, expected {want.shape}")
        elif _kind(have.dtype) != _kind(want.dtype):
            problems.append(f"{name} is {have.dtype}, expected {want.dtype}")
    if problems:
        raise CheckpointError(f"{path.name} does not fit the architecture: {'; '.join(sorted(problems))}.")
    arrays = {name: found[name].astype(want.dtype) for name, want in wanted.items()}
    return traverse_util.unflatten_dict(arrays, sep="/")


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.is_dir():
            return _read_orbax(path)
        if path.suffix == ".safetensors":
            import safetensors.numpy

            return dict(safetensors.numpy.load_file(path))
        if path.suffix == ".msgpack":
            return _arrays(serialization.msgpack_restore(path.read_bytes()))
    except CheckpointError:
        raise
    except Exception as error:  # each format has its own exceptions for broken files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path.name} cannot be read, it is corrupt or not a checkpoint: {reason}") from error
    raise CheckpointError(f"{path.name}: unknown weights format; it must be one of {', '.join(SUFFIXES)}.")


def _read_orbax(path: Path) -> dict[str, np.ndarray]:
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer() as checkpointer:
        return _arrays(checkpointer.restore(path.absolute()))


def _arrays(tree: Any) -> dict[str, np.ndarray]:
    if not isinstance(tree, Mapping):
        raise CheckpointError(f"expected a mapping of arrays, got {type(tree).__name__}")
    return {name: np.asarray(value) for name, value in _flatten(tree).items()}


def _flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """`{"params/conv1/kernel": array}`; integer keys (NNX lists) become text."""
    leaves = jax.tree_util.tree_flatten_with_path(dict(tree))[0]
    return {
        "/".join(str(getattr(part, "key", getattr(part, "idx", part))) for part in path): leaf for path, leaf in leaves
    }


def _kind(dtype: Any) -> str:
    dtype = np.dtype(dtype)
    return "float" if jax.numpy.issubdtype(dtype, np.floating) else dtype.kind
