"""Arrays in files, by path: safetensors (also in shards), Flax msgpack, Orbax directories. Never pickle."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy, which safetensors needs to read it)
import numpy as np
from flax import serialization

from nrjax._utils.messages import first_line
from nrjax._utils.paths import check_regular, natural_sort_key
from nrjax._utils.process_wide import process_wide
from nrjax.errors import CheckpointError

SUFFIXES = (".safetensors", ".msgpack", ".orbax")
INDEX = ".safetensors.index.json"  # of a checkpoint in shards, as the Hugging Face hub has them
MOST_INDEX = 1 << 26  # bytes
ITEMS = ("default", "state", "params", "model", "train_state")  # of a CheckpointManager, the likeliest first
NO_WEIGHTS = ("optimizer", "opt_state", "metrics")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array in a checkpoint by its path, joined with `/`: `params/conv1/kernel`.

    Args:
      path: a `.safetensors` file, the index of one in shards, a `.msgpack` file, or a directory of Orbax: a
        checkpoint, a step of a `CheckpointManager`, or its root, of which the last step is taken.

    Raises:
      CheckpointError: it is none, or damaged.
    """
    try:
        if path.is_dir():
            return _read_orbax(_find_item(path))
        check_regular(path)
        if path.name.endswith(INDEX):
            return _read_shards(path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if path.suffix == ".msgpack":
            return _as_arrays(serialization.msgpack_restore(path.read_bytes()))
    except CheckpointError:
        raise
    except MemoryError as error:
        raise CheckpointError(f"{path.name} does not fit the memory.") from error
    except Exception as error:  # each format has its own exceptions for broken files
        reason = first_line(error)
        if path.name in reason:
            raise CheckpointError(reason) from error
        raise CheckpointError(f"{path.name} cannot be read, it is corrupt or not a checkpoint: {reason}") from error
    if path.suffix == ".orbax":
        raise CheckpointError(f"{path.name} is a file; a checkpoint of Orbax is a directory.")
    raise CheckpointError(
        f"{path.name}: unknown weights format; it must be one of {', '.join(SUFFIXES)}, or an index {INDEX}."
    )


def flatten(tree: Mapping[str, object]) -> dict[str, Any]:
    """`{"params/conv1/kernel": array}`; integer keys (NNX lists) become text."""
    leaves = jax.tree_util.tree_flatten_with_path(dict(tree))[0]
    return {
        "/".join(str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path): leaf
        for path, leaf in leaves
    }


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    import safetensors.numpy

    return dict(safetensors.numpy.load_file(path))


def _read_shards(path: Path) -> dict[str, np.ndarray]:
    if path.stat().st_size > MOST_INDEX:
        raise CheckpointError(f"{path.name} is larger than {MOST_INDEX:,} bytes.")
    try:
        shard_of = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(shard_of.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is no index: expected JSON with a weight_map of names to files.") from error
    arrays: dict[str, np.ndarray] = {}
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise CheckpointError(f"{path.name} names {str(shard)[:80]!r}, which is no .safetensors file beside it.")
        file = path.parent / shard
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise CheckpointError(f"{shard!r} leaves the model's folder.")
        tensors = _read_safetensors(check_regular(file))
        arrays |= {name: tensors[name] for name, own in shard_of.items() if own == shard and name in tensors}
    missing = sorted(set(shard_of) - set(arrays))
    if missing:
        raise CheckpointError(f"{path.name} names arrays that their files lack: {', '.join(missing[:5])}.")
    return arrays


def _find_item(path: Path) -> Path:
    """The directory of arrays within a directory that a `Checkpointer` or `CheckpointManager` wrote."""
    if _holds_arrays(path):
        return path
    steps = sorted(
        (p for p in path.iterdir() if p.is_dir() and p.name.isdecimal()), key=lambda p: natural_sort_key(p.name)
    )
    items: list[Path] = []
    folder = path
    for folder in reversed(steps or [path]):  # the last that is whole
        if _holds_arrays(folder):
            return folder
        items = [
            p for p in sorted(folder.iterdir()) if p.is_dir() and _holds_arrays(p) and p.name not in NO_WEIGHTS
        ]  # fmt: skip
        if items:
            break
    named = [folder / name for name in ITEMS if folder / name in items]
    if not items:
        raise CheckpointError(f"{path.name} is no checkpoint of Orbax: it has no _METADATA, and no step that has.")
    if not named and len(items) > 1:
        raise CheckpointError(
            f"{path.name} holds several checkpoints ({', '.join(item.name for item in items[:5])}); name one of them."
        )
    return named[0] if named else items[0]


def _holds_arrays(path: Path) -> bool:
    return (path / "_METADATA").is_file() or (path / "manifest.ocdbt").is_file()


def _read_orbax(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a checkpoint, whatever devices they were saved from."""
    import orbax.checkpoint as ocp

    with _quietly, ocp.PyTreeCheckpointer() as checkpointer:
        metadata: Any = checkpointer.metadata(path.absolute())
        tree = getattr(metadata, "item_metadata", metadata)
        tree = getattr(tree, "tree", tree)
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        return _as_arrays(checkpointer.restore(path.absolute(), restore_args=as_numpy))


class _Loop(asyncio.SelectorEventLoop):
    """Drops calls once it is closed: reads of a damaged checkpoint go on after the error of the first is raised."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        try:
            return super().call_soon_threadsafe(callback, *args, context=context)
        except RuntimeError:
            if not self.is_closed():
                raise
            return asyncio.Handle(callback, args, self, context)

    def call_exception_handler(self, context: object) -> None:
        """Silent: a read that nobody waits for any more is reported when it is collected, which may be much later."""


@process_wide
def _quietly() -> Iterator[None]:
    """Without what Orbax and its threads report of a damaged checkpoint: the error is raised, too."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels, hook, new_loop = [logger.level for logger in loggers], threading.excepthook, asyncio.new_event_loop
    threading.excepthook = lambda _: None
    asyncio.new_event_loop = asyncio.events.new_event_loop = _Loop
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        threading.excepthook = hook
        asyncio.new_event_loop = asyncio.events.new_event_loop = new_loop
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _as_arrays(tree: object) -> dict[str, np.ndarray]:
    if not isinstance(tree, Mapping):
        raise CheckpointError(f"expected a mapping of arrays, got {type(tree).__name__}")
    arrays = {name: np.asarray(value) for name, value in flatten(tree).items()}
    return {name: array for name, array in arrays.items() if array.dtype.kind not in "OUS"}
