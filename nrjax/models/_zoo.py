"""A zoo is a directory: one folder per model, holding `model.json` and its weights.

A zoo is untrusted input. Architectures come by registered name, nothing is imported or unpickled, and no file outside a
model's folder is opened. Opening a zoo reads only names. The weights of a model are loaded when it is looked up, so
that a zoo of thousands fits the memory.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from nrjax._utils.messages import first_line, shortened
from nrjax._utils.paths import check_regular, walk_files
from nrjax.errors import FingerprintError, ZooError
from nrjax.models._checkpoints import save_variables
from nrjax.models._code import version_of
from nrjax.models._jax import JaxModel
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._read import flatten
from nrjax.models._registry import build_model, code_of_architectures
from nrjax.models._zoo_description import DESCRIPTION, ModelInfo, read_description, write_description


class Zoo(Mapping[str, JaxModel]):
    """A mapping from name to model, for the models of a directory. A model is loaded again each time it is looked up.

    `zoo[name]` raises `ZooError` for a model that cannot be loaded; the others are not affected.

    Examples:
      >>> list(zoo)[:3]
      ['C0-4', 'C10', 'C5-9']
      >>> zoo["F10"].layers()[-1].name
      'logits'
      >>> zoo.info("F10").input_shape
      (28, 28, 1)
    """

    def __init__(self, path: Path, names: Sequence[str]):
        self.path: Path = path.absolute()
        self._names = tuple(names)

    def __getitem__(self, name: str) -> JaxModel:
        info = self.info(name)
        folder = self.path / name
        try:
            weights = _path_inside(folder, info.weights)
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
            return read_description(_path_inside(folder, DESCRIPTION))
        except (ValueError, OSError, RuntimeError) as error:
            raise ZooError(first_line(error, longest=2000)) from error

    def key(self, name: str) -> str:
        """The path of a model, its architectures and versions; empty where an architecture's code cannot be read."""
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
    """Opens the zoo in a directory. Only names are read. A broken model raises an error when it is looked up.

    Raises:
      FileNotFoundError: there is no such directory.
      ValueError: it holds no model.

    Examples:
      >>> zoo = nrjax.load_zoo(nrjax.demo.ZOO)
      >>> len(zoo)
      9
      >>> nrjax.rank(zoo, images, labels, scores="silhouette").best
      'F0-4'
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"Zoo {str(path)!r}: there is no such directory.")
    names = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not names:
        raise ValueError(f"Zoo {str(path)!r} is empty: expected one folder per model, each with a {DESCRIPTION}.")
    return Zoo(path, names)


def save_model(
    zoo: str | Path, name: str, variables: Mapping[str, object], *, architecture: str, config: Mapping[str, Any],
    input_shape: Sequence[int], preprocessing: Preprocessing = Preprocessing(), weights: str = "weights.safetensors",
    tags: Mapping[str, object] | None = None, license: str = "", source: str = "",
) -> Path:  # fmt: skip
    """Writes a model into a zoo. It replaces a model of that name. A crash leaves the old model or none.

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
      ValueError: a name that is no plain name; an architecture, a configuration or weights that `load_zoo` could not
        read again. Nothing is written then.

    Examples:
      >>> config = {"classes": 5, "conv_features": [4], "dense_features": 8}
      >>> variables = nrjax.models.paper_cnn(**config).init(jax.random.key(0), images[:1] / 255)
      >>> described = {"architecture": "paper_cnn", "config": config, "input_shape": (28, 28, 1)}
      >>> folder = nrjax.save_model("zoo", "mine", variables, **described)
      >>> list(nrjax.load_zoo("zoo"))
      ['mine']
    """
    if not name or name != Path(name).name or name.startswith((".", "__")):
        raise ValueError(f"Model name {name!r}: expected a plain folder name.")
    if weights != Path(weights).name:
        raise ValueError(f"Weights file {weights!r}: expected a plain file name.")
    info = ModelInfo(
        architecture, dict(config), tuple(input_shape), weights, preprocessing, dict(tags or {}), license, source
    )
    arrays = _checked_arrays(variables)
    zoo = Path(zoo)
    zoo.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=zoo))
    try:
        save_variables(staging / weights, arrays)
        write_description(staging / DESCRIPTION, info)
        written = read_description(staging / DESCRIPTION)
        build_model(architecture, written.config, staging / weights, written.input_shape, written.preprocessing)
        for path in (staging, *staging.rglob("*")):  # temporary files are private, a zoo is for sharing
            path.chmod(0o755 if path.is_dir() else 0o644)
        if (zoo / name).exists():
            shutil.rmtree(zoo / name)
        return staging.rename(zoo / name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _checked_arrays(variables: object) -> Mapping[str, Any]:
    """The nested mapping of arrays. Raises TypeError where it is none."""
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
    return arrays


def _path_inside(folder: Path, name: str) -> Path:
    """The path of a file or folder of a model. Raises ZooError where `..` or a link leaves the model's folder."""
    path, who = folder / name, shortened(name, 80)
    try:
        root, target = folder.resolve(), path.resolve()
        is_folder, exists = path.is_dir(), path.exists() or path.is_symlink()
    except (RuntimeError, OSError, ValueError) as error:  # loops of links; names too long, or with a NUL
        raise ZooError(
            f"{who!r} {'is a link to itself' if isinstance(error, RuntimeError) else 'is no file name'}"
        ) from error
    if not target.is_relative_to(root) or target == root:
        raise ZooError(f"{who!r} leaves the model's folder")
    if not exists:
        raise ZooError(f"there is no {who}")
    if not is_folder:
        return check_regular(path, who)
    for below in path.rglob("*"):
        if not below.resolve().is_relative_to(root):
            raise ZooError(f"{who!r} holds a link that leaves the model's folder")
        if not below.is_dir():
            check_regular(below, f"{who}/{below.relative_to(path)}")
    return path
