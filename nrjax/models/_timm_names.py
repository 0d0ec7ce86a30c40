"""Names of timm: those that a pattern fits, and what is known of them without their weights."""

# pyright: reportMissingImports=false

import difflib
import fnmatch
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax.models._model_folders import read_config, sizes_of_files

CHOICES = ("", "pretrained", "cached")


def list_names(where: str, base: Path) -> list[str]:
    """Names that a pattern fits: `resnet*` are architectures with weights, `resnet*@pretrained` all of their weights.

    `resnet*@cached` are those of them that lie in the hub's cache.

    Raises:
      ValueError: there are none.
    """
    who = f"timm:{where}"
    timm = framework("timm", who)
    pattern, _, choice = where.partition("@")
    if choice not in CHOICES:
        raise ValueError(f"{who}: behind @ stands {' or '.join(CHOICES[1:])}; got {choice!r}.")
    names = timm.list_models(pretrained=True, include_tags=bool(choice))
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern) or name.partition(".")[0] == pattern]
    if choice == "cached":
        found = [name for name in found if _is_cached(timm, name)]
    if not found:
        known = sorted({name.partition(".")[0] for name in timm.list_models()})
        near = difflib.get_close_matches(pattern.strip("*"), known, n=3)
        advice = "its cache of the hub has none" if choice == "cached" else \
            f"near it are {', '.join(near)}" if near else "see timm.list_models()"  # fmt: skip
        raise ValueError(f"{who}: no model of timm fits that has weights; {advice}.")
    return found


def look_up(where: str, base: Path, *, sizes: bool) -> dict[str, Any]:
    """Licence, architecture and family of a name or a directory; with `sizes` also parameters and bytes.

    Sizes of a name are those of its architecture, which is built without memory for weights.
    """
    folder = base / Path(where).expanduser()
    if folder.is_dir():
        config = read_config(folder)
        settings = config.get("pretrained_cfg", {})
        known = {"license": settings.get("license"), "architecture": config.get("architecture")}
        return known | (sizes_of_files(folder) if sizes else {})
    timm = framework("timm", f"timm:{where}")
    import torch

    settings = timm.get_pretrained_cfg(where, allow_unregistered=True)
    architecture = where.partition(".")[0]
    if settings is None or not timm.is_model(architecture):
        return {}
    module = timm.model_entrypoint(architecture).__module__
    known = {"license": settings.license, "architecture": architecture, "family": module.rpartition(".")[2]}
    if sizes:
        with torch.device("meta"):
            weights = list(timm.create_model(where, pretrained=False).parameters())
        known["parameters"] = sum(weight.numel() for weight in weights)
        known["bytes"] = sum(weight.numel() * weight.element_size() for weight in weights)
    return known


def _is_cached(timm: Any, name: str) -> bool:
    """Whether safetensors of a name lie in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    settings = timm.get_pretrained_cfg(name)
    place = settings.hf_hub_id and try_to_load_from_cache(settings.hf_hub_id, "model.safetensors")
    return isinstance(place, str)
