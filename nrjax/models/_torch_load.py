"""Files of PyTorch: exported programs, TorchScript, and weights in safetensors with a function that builds the network.

Pickles are never read.
"""

# pyright: reportMissingImports=false

import hashlib
import importlib
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._torch import TorchModel
from nrjax.models._torch_live import from_torch
from nrjax.models._torch_program import MOST_JSON, read_program
from nrjax.models._torch_runs import described, on_accelerator

Builder = str | Callable[[], Any]
ADVICE = (
    "Save a program, torch.export.save(torch.export.export(module, (batch,), dynamic_shapes=...), 'net.pt2'), or the "
    "weights, safetensors.torch.save_file(module.state_dict(), 'net.safetensors')"
)
UNSAFE = re.compile(  # of TorchScript: what reads or writes files, and classes and operations of other libraries
    rb"\b(?:torch|ops\.aten)\.(?:save|from_file)\b|\bops\.(?!prim\.|aten\.|quantized\.)\w+\."
    rb"|\btorch\.classes\.(?!quantized\.)\w+"
)


def load_torch(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None,
    image_size: tuple[int, int] | None = None, device: str | None = None, builder: Builder | None = None,
) -> TorchModel:  # fmt: skip
    """The model of a file.

    Args:
      where: an exported program (`.pt2`), TorchScript, or weights in safetensors.
      base: what a relative path is relative to.
      preprocessing: of images; a file does not say it. Default: stretched to the size of the input, and scaled to
        [0, 1].
      image_size: height and width of images where the file does not say them.
      device: that it runs on; None is the fastest.
      builder: of weights alone: a function that returns the module, or `module:function`, which is imported; the
        current folder is searched last.

    Raises:
      ValueError: a pickle; operations that reach beyond the network; weights that do not fit, or have no builder.
    """
    who = shortened(f"torch:{where}")
    framework("torch", who)
    path = check_regular(base / Path(where).expanduser(), who)
    if path.suffix.lower() == ".safetensors":
        module, sizes, definition = _from_state(path, builder, who), [], None
    else:
        if builder is not None:
            raise ValueError(f"{who}: builder is of weights in .safetensors; leave it out.")
        module, sizes, definition = _from_archive(path, who)
    batch, channels, height, width = sizes if len(sizes) == 4 else [sizes[0] if sizes else None, None, None, None]
    if image_size is not None and not (height and width):
        height, width = image_size
    shape = (height, width, channels or 3) if height and width else None
    model = from_torch(on_accelerator(module, device), input_shape=shape, preprocessing=preprocessing)
    model.batch, model.definition = batch, definition
    model.files = (path,)
    model.description = described(model.module, who)
    return model


def _from_archive(path: Path, who: str) -> tuple[Any, list[int | None], str]:
    """The module of a program, the sizes of its input (None where any is taken), and what it computes as text."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{who}: it is neither an exported program, TorchScript nor .safetensors. {ADVICE}.")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any("/models/" in name and name.endswith(".json") for name in names):
            try:
                return read_program(archive)
            except ValueError as error:
                raise ValueError(f"{who}: {str(error).rstrip('.')}; no exported program that is taken.") from error
        if not any("/code/" in name for name in names):
            raise ValueError(f"{who}: it is a pickle, which may run any program, so it is not read. {ADVICE}.")
        texts = list(_texts(archive, who))
        unsafe = next((match for text in texts if (match := UNSAFE.search(text))), None)
        if unsafe is not None:
            found = printable(unsafe[0].decode(errors="replace"))
            raise ValueError(f"{who}: its TorchScript calls {found}, which reaches beyond the network; not loaded.")
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated
            module = torch.jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        raise ValueError(f"{who}: its TorchScript cannot be loaded: {first_line(error)}") from error
    return module, [], hashlib.sha256(b"".join(texts)).hexdigest()


def _texts(archive: zipfile.ZipFile, who: str) -> Iterator[bytes]:
    """The code of a TorchScript, and the names of its classes."""
    infos = [info for info in archive.infolist() if "/code/" in info.filename or info.filename.endswith(".pkl")]
    if sum(info.file_size for info in infos) > MOST_JSON:
        raise ValueError(f"{who}: its code is larger than {MOST_JSON:,} bytes.")
    return (archive.read(info) for info in infos if not info.filename.endswith(".debug_pkl"))


def _from_state(path: Path, builder: Builder | None, who: str) -> Any:
    """The module of a builder, with weights of a file."""
    import torch

    if builder is None:
        raise ValueError(
            f"{who}: weights alone are no network; say what builds it, builder='module:function', on the command line "
            "--builder module:function."
        )
    function = _imported(builder, who) if isinstance(builder, str) else builder
    try:
        module = function()
    except Exception as error:  # of the user's own function
        raise ValueError(f"{who}: the builder failed: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"{who}: the builder must return a torch.nn.Module; got {type(module).__name__}.")
    try:
        with safetensors.safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}
    except Exception as error:
        raise ValueError(f"{who}: its weights cannot be read: {first_line(error)}") from error
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise ValueError(f"{who}: its weights do not fit: {printable(' '.join(lines))[:300]}") from error
    tied = {name for name, weight in module.state_dict().items() if name in missing and _is_tied(module, name, weight)}
    wrong = [f"missing {name}" for name in missing if name not in tied] + [f"unknown {name}" for name in unexpected]
    if wrong:
        raise ValueError(f"{who}: its weights do not fit what the builder returns: {printable(', '.join(wrong[:5]))}.")
    return module


def _is_tied(module: Any, name: str, weight: Any) -> bool:
    """Whether a weight is another one, too, so that a file holds it once."""
    others = (value for other, value in module.state_dict().items() if other != name)
    return any(value.data_ptr() == weight.data_ptr() and value.shape == weight.shape for value in others)


def _imported(builder: str, who: str) -> Callable[[], Any]:
    name, colon, function = builder.partition(":")
    if not colon or not re.fullmatch(r"[\w.]+", name) or not re.fullmatch(r"[\w.]+", function):
        raise ValueError(f"{who}: builder must be module:function; got {printable(shortened(builder, 60))!r}.")
    here = os.getcwd()
    sys.path.append(here)  # last, so that it stands in for no other module
    try:
        found: Any = importlib.import_module(name)
        for part in function.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the user's module does
        raise ValueError(
            f"{who}: builder {builder} cannot be imported: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.path.remove(here)
    return found
