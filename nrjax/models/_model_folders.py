"""Folders of one model: checked before any framework opens a file in them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import safetensors

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular

TEXT, MOST_TEXT = (".json", ".txt"), 1 << 28  # bytes of a configuration or a vocabulary
MOST_CONFIG, CARD = 1 << 24, 60  # bytes of a configuration; first lines of a card
WEIGHTS = (".safetensors", ".msgpack")  # the second of Flax, by older releases of transformers
INDEX = ".index.json"  # of weights in several files
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5")


def local_folder(where: str, base: Path, who: str) -> Path | None:
    """The directory of a model, checked; None for a name of the hub. Raises ValueError, as `check_folder` does."""
    folder = base / Path(where).expanduser()
    if not folder.is_dir():
        if where.startswith((".", "/", "~")):
            raise ValueError(f"{who}: there is no directory {folder}.")
        return None
    check_folder(folder, who)
    return folder


def check_files(folder: Path, who: str) -> list[Path]:
    """The files of a directory of one model, which may be opened: all regular, none enormous. Raises ValueError."""
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    for path in files:
        check_regular(path, f"{who}: {printable(path.name)}")
        if path.suffix in TEXT and path.stat().st_size > MOST_TEXT:
            raise ValueError(f"{who}: {printable(path.name)} is larger than {MOST_TEXT:,} bytes.")
        if path.name.endswith(INDEX):
            _check_index(path, who)
    return files


def check_folder(folder: Path, who: str) -> None:
    """A directory of one model whose files may be opened, with weights in safetensors.

    Raises:
      ValueError: a pipe or device; no config; no weights; pickled weights alone, with the way to convert them.
    """
    files = check_files(folder, who)
    if (folder / "adapter_config.json").exists():
        raise ValueError(f"{who}: it is an adapter of another model; merge the two, and save that.")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{who}: there is no config.json in {printable(str(folder))}, so it is no model's directory.")
    weights = [path.name for path in files if path.suffix in WEIGHTS and path.parent == folder]
    pickled = [path.name for path in files if path.suffix in PICKLES and path.parent == folder]
    if not weights and pickled:
        raise ValueError(
            f"{who}: its weights are pickled ({printable(pickled[0])}), and a pickle may run any program, so they are "
            "not read. If you trust them: load the model with its framework and save it anew with "
            "safe_serialization=True, or safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."
        )
    if not weights:
        raise ValueError(f"{who}: there are no weights in {printable(str(folder))}; expected model.safetensors.")


def _check_index(path: Path, who: str) -> None:
    """Weights in several files: all in this folder, none pickled."""
    try:
        named = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
        plain = all(isinstance(name, str) and name == Path(name).name for name in named)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{who}: {printable(path.name)} is no index of weights: {first_line(error)}.") from error
    if not plain:
        raise ValueError(f"{who}: {printable(path.name)} wants files outside its folder.")
    if path.name.endswith(f".safetensors{INDEX}"):
        for name in sorted(named):
            if not name.endswith(".safetensors"):
                raise ValueError(
                    f"{who}: {printable(path.name)} wants {printable(shortened(name, 60))}, no safetensors."
                )
            check_regular(path.parent / name, f"{who}: {printable(shortened(name, 60))}")


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a folder; empty where there is none that can be read."""
    return read_json(folder / "config.json")


def read_json(path: Path) -> dict[str, Any]:
    """A configuration; empty where there is none that can be read."""
    try:
        check_regular(path, path.name)
        content = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= MOST_CONFIG else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def license_of(folder: Path) -> str:
    """The licence that a model's card says in its first lines; empty where it says none."""
    try:
        path = check_regular(folder / "README.md", "README.md")
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [file.readline(1000) for _ in range(CARD)]
    except (OSError, ValueError):
        return ""
    found = (re.fullmatch(r"license:\s*['\"]?([\w.+-]{1,60})['\"]?\s*", line) for line in lines[1:])
    return next((match[1] for match in found if match), "") if lines[0].strip() == "---" else ""


def sizes_of_files(folder: Path) -> dict[str, int]:
    """Parameters and bytes that the headers of the safetensors in a folder say; empty where there are none."""
    parameters = size = 0
    try:
        for path in sorted(folder.glob("*.safetensors")):
            check_regular(path, path.name)
            with safetensors.safe_open(path, "numpy") as file:
                shapes = [file.get_slice(name).get_shape() for name in file.keys()]
            parameters += sum(math.prod(shape) for shape in shapes)
            size += path.stat().st_size
    except (OSError, ValueError, safetensors.SafetensorError):
        return {}
    return {"parameters": parameters, "bytes": size} if size else {}
