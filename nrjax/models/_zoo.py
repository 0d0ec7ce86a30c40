"""A zoo is a directory: one folder per model, holding `model.json` and its weights.

A zoo is untrusted input. Architectures come by registered name, nothing is imported or unpickled, and
no file outside a model's folder is opened. Reading a zoo reads only the JSON; weights are loaded when a
model is asked for, one at a time, so that a zoo of thousands fits.
"""

import dataclasses
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from nrjax._utils.messages import first_line, shortened
from nrjax._utils.paths import check_regular, walk_files
from nrjax.models._checkpoints import save_variables
from nrjax.models._code import version_of
from nrjax.models._content import FingerprintError
from nrjax.models._jax import JaxModel
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._read import flatten
from nrjax.models._registry import build_model, code_of_architectures

DESCRIPTION = "model.json"
MAX_DESCRIPTION_BYTES = 1 << 20
MOST_INPUTS = 1 << 26  # values of one input
MOST_NAMED = 5
_FIELDS = {
    "architecture": str, "config": dict, "input_shape": list, "weights": str,
    "preprocessing": dict, "tags": dict, "license": str, "source": str,
}  # fmt: skip
_REQUIRED = ("architecture", "config", "input_shape", "weights")


class ZooError(ValueError):
    """A model of a zoo that cannot be loaded, and why."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What `model.json` says. Shapes without the sample axis; `weights` is a path inside the model's folder."""

    architecture: str
    config: dict[str, Any]
    input_shape: tuple[int, ...]
    weights: str
    preprocessing: Preprocessing = Preprocessing()
    tags: dict[str, Any] = dataclasses.field(default_factory=dict)
    license: str = ""
    source: str = ""


class Zoo(Mapping[str, JaxModel]):
    """Models of a directory by name, each loaded anew when it is looked up.

    `zoo[name]` raises `ZooError` for a model that cannot be loaded; the others are not affected.
    """

    def __init__(self, path: Path, names: Sequence[str]):
        self.path = path.absolute()
        self._names = tuple(names)

    def __getitem__(self, name: str) -> JaxModel:
        info = self.info(name)
        folder = self.path / name
        try:
            weights = _inside(folder, info.weights)
            model = build_model(info.architecture, info.config, weights, info.input_shape, info.preprocessing)
            model.files = (folder / DESCRIPTION, *walk_files(weights))
            return model
        except (ValueError, OSError) as error:
            raise ZooError(first_line(error, longest=2000)) from error

    def info(self, name: str) -> ModelInfo:
        """The description of a model, without its weights. Raises `ZooError` if it is not one."""
        if name not in self._names:
            raise KeyError(f"no model {name!r} in {self.path}; it has {', '.join(self._names)}")
        folder = self.path / name
        try:
            if not folder.resolve().is_relative_to(self.path.resolve()):
                raise ZooError(f"{name} is a link that leaves the zoo")
            return _read_description(_inside(folder, DESCRIPTION))
        except (ValueError, OSError, RuntimeError) as error:
            raise ZooError(first_line(error, longest=2000)) from error

    def key(self, name: str) -> str:
        """Where a model lies, and what makes a network of it; empty where an architecture's code cannot be read."""
        try:
            return f"zoo {self.path.resolve() / name} {code_of_architectures()} {version_of('flax')}"
        except FingerprintError:
            return ""

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Zoo({str(self.path)!r}, {len(self)} models)"


def load_zoo(path: str | Path) -> Zoo:
    """The zoo in a directory. Only names are read here; a broken model shows when it is looked up.

    Raises:
      FileNotFoundError: there is no such directory.
      ValueError: it holds no model.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"Zoo {str(path)!r}: there is no such directory.")
    names = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not names:
        raise ValueError(f"Zoo {str(path)!r} is empty: expected one folder per model, each with a {DESCRIPTION}.")
    return Zoo(path, names)


def save_model(
    zoo: str | Path,
    name: str,
    variables: Mapping[str, Any],
    *,
    architecture: str,
    config: Mapping[str, Any],
    input_shape: Sequence[int],
    preprocessing: Preprocessing = Preprocessing(),
    weights: str = "weights.safetensors",
    tags: Mapping[str, Any] | None = None,
    license: str = "",
    source: str = "",
) -> Path:
    """Writes a model into a zoo, replacing one of that name; a crash leaves the old one or none, never half.

    Args:
      zoo: the zoo's directory, made if missing.
      name: the model's folder.
      variables: nested mapping of arrays: linen variables, or the state of an NNX module, without that of random
        numbers: `nnx.state(module, nnx.Not(nnx.RngState))`.
      architecture: a registered name.
      config: what the architecture's factory is called with; must be JSON.
      input_shape: of one image.
      preprocessing: see `nrjax.models.Preprocessing`.
      weights: name of the weights file; its suffix is the format (.safetensors, .msgpack, .orbax).
      tags: anything worth knowing, such as training data and classes; must be JSON.
      license: of the weights.
      source: where they came from, such as the command that made them.

    Returns:
      The model's folder.

    Raises:
      ValueError: a name that is none; an architecture, a configuration or weights that `load_zoo` could not read
        again. Nothing is written then.
    """
    if not name or name != Path(name).name or name.startswith((".", "__")):
        raise ValueError(f"Model name {name!r}: expected a plain folder name.")
    if weights != Path(weights).name:
        raise ValueError(f"Weights file {weights!r}: expected a plain file name.")
    info = ModelInfo(
        architecture, dict(config), tuple(input_shape), weights, preprocessing, dict(tags or {}), license, source
    )
    arrays: Any = variables
    if isinstance(variables, nnx.State):
        arrays = nnx.to_pure_dict(nnx.filter_state(variables, nnx.Not(nnx.RngState)))
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"variables must be a nested mapping of arrays, or an nnx.State; got {type(variables).__name__}. Of a "
            'linen module pass {"params": ...}, of an NNX module nnx.state(module), of a TrainState its params.'
        )
    for path, leaf in flatten(arrays).items():
        if not hasattr(leaf, "dtype") or np.dtype(leaf.dtype).kind in "OUS":
            raise TypeError(f"variables must hold arrays; {path} is {type(leaf).__name__}.")
    zoo = Path(zoo)
    zoo.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=zoo))
    try:
        save_variables(staging / weights, arrays)
        (staging / DESCRIPTION).write_text(json.dumps(_described(info), indent=2) + "\n", encoding="utf-8")
        written = _read_description(staging / DESCRIPTION)
        build_model(architecture, written.config, staging / weights, written.input_shape, written.preprocessing)
        for path in (staging, *staging.rglob("*")):  # temporary files are private, a zoo is for sharing
            path.chmod(0o755 if path.is_dir() else 0o644)
        if (zoo / name).exists():
            shutil.rmtree(zoo / name)
        return staging.rename(zoo / name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _described(info: ModelInfo) -> dict[str, Any]:
    """What `model.json` says: of the preprocessing mean and std, and what is not as ever."""
    said = dataclasses.asdict(info)
    usual = dataclasses.asdict(Preprocessing())
    said["preprocessing"] = {
        key: value for key, value in said["preprocessing"].items() if key in ("mean", "std") or value != usual[key]
    }
    return said


def _inside(folder: Path, name: str) -> Path:
    """The path of a file of a model; it may not leave the model's folder, by `..` or by a link."""
    path, who = folder / name, shortened(name, 80)
    try:
        root, target = folder.resolve(), path.resolve()
        is_folder, is_there = path.is_dir(), path.exists() or path.is_symlink()
    except (RuntimeError, OSError, ValueError) as error:  # loops of links; names too long, or with a NUL
        raise ZooError(
            f"{who!r} {'is a link to itself' if isinstance(error, RuntimeError) else 'is no file name'}"
        ) from error
    if not target.is_relative_to(root) or target == root:
        raise ZooError(f"{who!r} leaves the model's folder")
    if not is_there:
        raise ZooError(f"there is no {who}")
    if not is_folder:
        return check_regular(path, who)
    for below in path.rglob("*"):
        if not below.resolve().is_relative_to(root):
            raise ZooError(f"{who!r} holds a link that leaves the model's folder")
        if not below.is_dir():
            check_regular(below, f"{who}/{below.relative_to(path)}")
    return path


def _read_description(path: Path) -> ModelInfo:
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise ZooError(f"{DESCRIPTION} is larger than {MAX_DESCRIPTION_BYTES} bytes")
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{DESCRIPTION} is not JSON: {first_line(error)}") from error
    if not isinstance(fields, dict):
        raise ZooError(f"{DESCRIPTION} must be an object with {', '.join(_REQUIRED)}; it is a {type(fields).__name__}")
    problems = [f"{key} is missing" for key in _REQUIRED if key not in fields]
    unknown = [key for key in fields if key not in _FIELDS]
    problems += [f"{shortened(key, 60)} is not a field" for key in unknown[:MOST_NAMED]]
    problems += [f"and {len(unknown) - MOST_NAMED} more are not" for _ in unknown[MOST_NAMED : MOST_NAMED + 1]]
    problems += [
        f"{key} must be a {kind.__name__}"
        for key, kind in _FIELDS.items()
        if key in fields and not isinstance(fields[key], kind)
    ]
    if not problems and not all(type(n) is int and n > 0 for n in fields["input_shape"]):
        problems.append("input_shape must hold positive integers")
    if not problems and (len(fields["input_shape"]) > 8 or math.prod(fields["input_shape"]) > MOST_INPUTS):
        problems.append(f"input_shape must have at most 8 axes and {MOST_INPUTS:,} values")
    if problems:
        raise ZooError(f"{DESCRIPTION}: {'; '.join(problems)}")
    fields["input_shape"] = tuple(fields["input_shape"])
    fields["preprocessing"] = _preprocessing(fields.get("preprocessing", {}))
    return ModelInfo(**fields)


def _preprocessing(fields: dict[str, Any]) -> Preprocessing:
    for key, values in fields.items():
        numbers = isinstance(values, list) and all(type(v) in (int, float) and abs(v) <= 1e30 for v in values)
        if key in ("mean", "std") and (not numbers or not values or (key == "std" and min(values) <= 0)):
            raise ZooError(
                f"{DESCRIPTION}: preprocessing takes mean and std, lists of numbers, std positive; got {key}"
            )
    try:
        made: dict[str, Any] = {
            key: tuple(float(v) for v in values) if key in ("mean", "std") else tuple(values)
            if isinstance(values, list) else values for key, values in fields.items()
        }  # fmt: skip
        return Preprocessing(**made)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in dataclasses.fields(Preprocessing))
        raise ZooError(f"{DESCRIPTION}: preprocessing takes {known}: {first_line(error)}") from error
