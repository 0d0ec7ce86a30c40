"""Names of Hugging Face: those in the hub's cache, and what is known of a model without its weights."""

# pyright: reportMissingImports=false

import fnmatch
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax.datasets import Kind
from nrjax.models._huggingface_sound import SOUND
from nrjax.models._model_folders import license_of, read_config, sizes_of_files

CACHED = "cached"
KINDS: dict[str, tuple[Kind, ...]] = {"pixel_values": ("image", "position"), "input_ids": ("text", "words", "pair")}


def list_names(where: str, base: Path) -> list[str]:
    """Ids in the hub's cache of models that transformers knows: all of `cached`, those that fit of `google/*@cached`.

    Raises:
      ValueError: there are none.
    """
    who = f"hf:{where}"
    pattern, _, choice = where.rpartition("@")
    if choice != CACHED:
        raise ValueError(
            f"{who}: the hub is not searched; hf:{where}@cached are models in its cache, and hf:FOLDER/* those of a "
            "folder."
        )
    snapshots = _snapshots(who)
    found = sorted(name for name in snapshots if fnmatch.fnmatchcase(name, pattern or "*"))
    if not found:
        raise ValueError(f"{who}: the hub's cache has no such model; it has {', '.join(sorted(snapshots)) or 'none'}.")
    return found


def look_up(where: str, base: Path, *, sizes: bool) -> dict[str, Any]:
    """Licence (of the model's card), family (its type) and kinds of samples; with `sizes` parameters and bytes."""
    folder = base / Path(where).expanduser()
    folder = folder if folder.is_dir() else _snapshots(f"hf:{where}").get(where)
    if folder is None:
        return {}
    config = read_config(folder)
    known = {"license": license_of(folder), "family": config.get("model_type"), "kinds": _kinds(config)}
    return known | (sizes_of_files(folder) if sizes else {})


def _snapshots(who: str) -> dict[str, Path]:
    """Folders of the hub's cache by the ids of their models; without those that other libraries read."""
    framework("transformers", who)
    import huggingface_hub

    try:
        repositories = huggingface_hub.scan_cache_dir().repos
    except huggingface_hub.errors.CacheNotFound:
        return {}
    folders = {}
    for repository in repositories:
        revision = repository.refs.get("main")
        if repository.repo_type == "model" and revision is not None:
            folders[repository.repo_id] = revision.snapshot_path
    return {name: folder for name, folder in folders.items() if "model_type" in read_config(folder)}


def _kinds(config: dict[str, Any]) -> tuple[Kind, ...]:
    """Kinds of samples that a model takes; empty where that is not known."""
    transformers = framework("transformers", "hf:")
    kind = str(config.get("model_type"))
    if kind in SOUND:
        return ("audio",)
    if kind not in transformers.CONFIG_MAPPING:
        return ()
    model = transformers.MODEL_MAPPING.get(transformers.CONFIG_MAPPING[kind], None)
    if hasattr(model, "get_image_features") and hasattr(model, "get_text_features"):
        return ("image", "text", "pair")
    return KINDS.get(getattr(model, "main_input_name", ""), ())
