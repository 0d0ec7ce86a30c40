"""LoRA adapters of Hugging Face, added to the weights of their base; PEFT itself is not needed.

PEFT imports modules that a configuration names, so that its reader is not used.
"""

# pyright: reportMissingImports=false

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from nrjax._utils.messages import first_line, printable, shortened
from nrjax.models._model_folders import check_files, read_json
from nrjax.models._sentences import read_state

CONFIG, PREFIX = "adapter_config.json", "base_model.model."
ELSE = ("use_dora", "rank_pattern", "alpha_pattern", "layer_replication", "lora_bias", "use_qalora", "megatron_config")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+|[\w-]+")


class Adapter(NamedTuple):
    """A LoRA adapter.

    Attributes:
      base: where its base is: a directory, or an id in the hub's cache.
      scale: of what is added.
      is_transposed: whether the base's weights are `[in, out]`, as those of GPT-2.
      state: its weights by name.
    """

    base: str
    scale: float
    is_transposed: bool
    state: dict[str, Any]


def read_adapter(folder: Path, who: str) -> Adapter | None:
    """The adapter of a folder; None for one that holds none, or is merged.

    Raises:
      ValueError: an adapter of another kind, pickled weights, or a base that is not there.
    """
    if not (folder / CONFIG).is_file() or (folder / "config.json").is_file():
        return None
    check_files(folder, who)
    config = read_json(folder / CONFIG)
    kind, others = config.get("peft_type"), [name for name in ELSE if config.get(name)]
    if kind != "LORA" or others:
        what = printable(shortened(", ".join(others) or str(kind), 60))
        raise ValueError(
            f"{who}: it is an adapter ({what}) other than plain LoRA; merge it, model.merge_and_unload() of PEFT, and "
            "save that."
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise ValueError(f"{who}: there is no adapter_model.safetensors, and a pickle is not read; save it anew.")
    try:
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{who}: {CONFIG} must say r and lora_alpha, two numbers; {first_line(error)}.") from error
    base = _find_base(folder, str(config.get("base_model_name_or_path") or ""), who)
    return Adapter(base, scale, bool(config.get("fan_in_fan_out")), read_state(folder, "adapter_model.safetensors"))


def _find_base(folder: Path, name: str, who: str) -> str:
    """The folder beside the adapter that is called as its base, the folder above, or an id of the hub."""
    beside = folder.absolute().parent / Path(name).name
    for place in (beside, folder.absolute().parent):
        if name and (place / "config.json").is_file() and place != folder.absolute():
            return str(place)
    if HUB_ID.fullmatch(name):
        return name
    raise ValueError(
        f"{who}: it is an adapter of {printable(shortened(name, 80)) or 'no model that it names'}, which is not beside "
        f"it; put the folder {printable(Path(name).name)} there."
    )


def merge(module: Any, adapter: Adapter, who: str) -> None:
    """Adds an adapter to the weights of a module.

    Raises:
      ValueError: it changes layers that the module does not have, or in another way.
    """
    import torch

    pairs: dict[str, dict[str, Any]] = {}
    for name, value in adapter.state.items():
        path = name.removeprefix(PREFIX)
        part = re.fullmatch(r"(.+)\.(lora_[AB])\.weight", path)
        if part is not None:
            pairs.setdefault(part[1], {})[part[2]] = value
        elif "lora_" in path:
            raise ValueError(f"{who}: {printable(shortened(name, 80))} is no plain LoRA; merge it with PEFT.")
        else:  # trained whole; heads that are left out have no place
            weight = _weight(module, path)
            if weight is not None:
                _check_shape(weight, value, name, who)
                weight.data.copy_(value)
    for path, pair in pairs.items():
        weight = _weight(module, f"{path}.weight")
        if weight is None or set(pair) != {"lora_A", "lora_B"} or any(value.ndim != 2 for value in pair.values()):
            raise ValueError(f"{who}: it changes {printable(shortened(path, 80))}, which its base has not as a matrix.")
        added = adapter.scale * (pair["lora_B"].float() @ pair["lora_A"].float())
        added = added.T if adapter.is_transposed else added
        _check_shape(weight, added, path, who)
        with torch.no_grad():
            weight += added.to(weight.dtype)


def _weight(module: Any, path: str) -> Any:
    """A weight by its path in the module, or in the model with a head of which it is the base."""
    weights = dict(module.named_parameters())
    prefix = getattr(module, "base_model_prefix", "")
    return next((weights[name] for name in (path, path.removeprefix(f"{prefix}."), f"{prefix}.{path}")
                 if name in weights), None)  # fmt: skip


def _check_shape(weight: Any, value: Any, name: str, who: str) -> None:
    if weight.shape != value.shape:
        raise ValueError(
            f"{who}: {printable(shortened(name, 80))} is {tuple(value.shape)}, and its base has {tuple(weight.shape)}."
        )
