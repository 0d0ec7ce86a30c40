"""Weights that older releases of transformers wrote for Flax (`flax_model.msgpack`), for the network in PyTorch."""

# pyright: reportMissingImports=false

from pathlib import Path
from typing import Any

import numpy as np

from nrjax.models._read import read_arrays

FILE = "flax_model.msgpack"
NAMES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "mean": "running_mean", "var": "running_var"}
COLLECTIONS = ("params/", "batch_stats/")


def find_flax(name: str, is_local: bool) -> Path | None:
    """The file of a directory, or of an id in the hub's cache, that has no safetensors; None where there is none."""
    if is_local:
        path = Path(name) / FILE
        return path if path.is_file() and not any(Path(name).glob("*.safetensors")) else None
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "model.safetensors"), str):
        return None
    cached = try_to_load_from_cache(name, FILE)
    return Path(cached) if isinstance(cached, str) else None


def load_flax(kind: Any, config: Any, path: Path) -> tuple[Any, dict[str, Any]]:
    """A network with the weights of a file, and what `from_pretrained` reports of them.

    Args:
      kind: a class of transformers such as `AutoModel`.
      config: of the network.
      path: of the file.

    Raises:
      CheckpointError: the file is damaged.
    """
    import torch

    module = kind.from_config(config).float().eval()
    expected = module.state_dict()
    prefix = f"{getattr(module, 'base_model_prefix', '')}."
    found, mismatched = {}, []
    for key, array in read_arrays(path).items():
        name, value = _in_torch(key, array)
        other = name.removeprefix(prefix) if name.startswith(prefix) else f"{prefix}{name}"
        name = next((known for known in (name, other) if known in expected), None)
        if name is None:  # of a head that is left out
            continue
        if tuple(expected[name].shape) != value.shape:
            mismatched.append(name)
            continue
        found[name] = torch.from_numpy(np.array(value))
    module.load_state_dict(found, strict=False)
    same = {value.data_ptr() for name, value in expected.items() if name in found}  # tied weights are written once
    missing = [name for name, value in expected.items() if name not in found and value.data_ptr() not in same]
    return module, {"missing_keys": missing, "mismatched_keys": mismatched}


def _in_torch(key: str, array: Any) -> tuple[str, np.ndarray]:
    """The name and the value that PyTorch's network has for a weight of Flax."""
    for collection in COLLECTIONS:
        key = key.removeprefix(collection)
    *path, last = key.split("/")
    value = np.asarray(array, np.float32)
    if last == "kernel":  # [..., in, out], and [height, width, in, out] of convolutions
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return ".".join([*path, NAMES.get(last, last)]), value
