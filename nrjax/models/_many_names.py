"""One name for many models: patterns of names and files, the hub's cache, folders of models."""

import glob
import importlib
from pathlib import Path
from types import ModuleType

from nrjax._utils.messages import printable, shortened
from nrjax.datasets import Kind
from nrjax.models._model_folders import read_config
from nrjax.models._sources import SOURCES
from nrjax.models._zoo_description import DESCRIPTION

FILES = {  # prefixes of files by their suffix
    ".onnx": "onnx", ".keras": "keras", ".pt2": "torch", ".tflite": "litert", ".gguf": "gguf",
}  # fmt: skip

OF_FOLDERS = ("hf", "hf-zeroshot")  # a pattern leaves out the files beside them


def expand(name: str, base: Path) -> list[tuple[str, tuple[Kind, ...]]]:
    """The names that a name with a prefix stands for, each with the kinds of samples that it is a candidate for.

    Raises:
      ValueError: a pattern that nothing fits.
    """
    prefix, _, where = name.partition(":")
    listing = names_of(prefix)
    if prefix not in SOURCES or not _is_pattern(where, listing is not None) or _exists(where, base):
        return [(name, ())]
    if listing is None or _names_files(where):
        paths = sorted(glob.glob(str(Path(where).expanduser()), root_dir=str(base)))
        if prefix in OF_FOLDERS:
            paths = [path for path in paths if (base / path).is_dir()]
        if paths:
            return [(f"{prefix}:{path}", ()) for path in paths]
        if listing is None or where.startswith((".", "/", "~")):
            raise ValueError(f"{printable(shortened(name, 100))}: no file or folder fits in {printable(str(base))}.")
    found = listing.list_names(where, base)
    in_cache = prefix == "hf"
    return [
        (f"{prefix}:{each}", listing.look_up(each, base, sizes=False).get("kinds", ()) if in_cache else ())
        for each in found
    ]


def names_of(prefix: str) -> ModuleType | None:
    """The module that lists the names of a prefix, and looks them up."""
    module = SOURCES[prefix].names if prefix in SOURCES else None
    return importlib.import_module(f"nrjax.models.{module}") if module else None


def find_models(folder: Path) -> tuple[dict[str, str], list[str], list[str]]:
    """Models in a folder: names with a prefix by file or folder; models of a zoo; folders that are neither."""
    named, zoo, others = {}, [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")):
            continue
        if (prefix := prefix_of(path)) is not None:
            named[path.name] = f"{prefix}:{path}"
        elif path.is_dir():
            (zoo if (path / DESCRIPTION).exists() else others).append(path.name)
    return named, zoo, others


def prefix_of(path: Path) -> str | None:
    """What reads a file or folder that holds one model; None where nothing does, or a zoo."""
    if not path.is_dir():
        return FILES.get(path.suffix.lower())
    if (path / DESCRIPTION).exists():
        return None
    config = read_config(path)
    if "model_type" in config or any((path / name).is_file() for name in ("modules.json", "adapter_config.json")):
        return "hf"
    return "timm" if "architecture" in config else None


def _is_pattern(where: str, has_names: bool) -> bool:
    return any(sign in where for sign in "*?[") or (has_names and ("@" in where or where == "cached"))


def _names_files(where: str) -> bool:
    """Whether a pattern is one of files: names of timm have no folder, and ids of the cache come by `@cached`."""
    return "@" not in where and where != "cached" and ("/" in where or "\\" in where or where.startswith((".", "~")))


def _exists(where: str, base: Path) -> bool:
    try:
        return (base / Path(where).expanduser()).exists()
    except (OSError, ValueError):  # too long for a path
        return False
