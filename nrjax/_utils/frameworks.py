"""Frameworks that nrjax does not install by itself: imported when a model or a data set needs one."""

import contextlib
import importlib
import os
import sys
from types import ModuleType

from nrjax._utils.messages import first_line
from nrjax._utils.process_wide import environment_default
from nrjax.errors import MissingFramework

EXTRAS = {  # module, which is also the name of its distribution, and the extra that installs it
    "torch": "torch", "timm": "timm", "torchvision": "timm", "transformers": "huggingface", "datasets": "huggingface",
    "tokenizers": "huggingface",
    "onnx": "onnx", "onnxruntime": "onnx", "openvino": "openvino", "keras": "keras",
    "ai_edge_litert": "litert", "llama_cpp": "gguf",
    "tensorflow_datasets": "tfds", "pyarrow": "tables",
    "ray": "ray", "soundfile": "audio",
}  # fmt: skip


def framework(name: str, who: str) -> ModuleType:
    """The module of a framework.

    Args:
      name: a key of `EXTRAS`.
      who: what needs it; begins the error.

    Raises:
      MissingFramework: it is not installed, or does not import; the message says how to get it.
    """
    backend = environment_default("KERAS_BACKEND", "jax") if name == "keras" else contextlib.nullcontext()
    try:
        with backend:  # read once, while Keras is imported
            return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise MissingFramework(f"{who} needs {not_installed(name, EXTRAS[name])}") from error
        raise MissingFramework(f"{who} needs {name}, which does not import: {first_line(error)}") from error
    except Exception as error:  # builds that do not fit each other
        raise MissingFramework(
            f"{who} needs {name}, which does not import: {type(error).__name__}: {first_line(error)}"
        ) from error


def not_installed(name: str, extra: str) -> str:
    """The end of a sentence about a package that is missing: its name, and the command that installs it."""
    return f"{name}, which is not installed: pip install 'nrjax[{extra}]'."


def environment_of_workers() -> dict[str, str]:
    """The environment for processes that get models of this one: with the backend that Keras has here."""
    environment = dict(os.environ)
    keras = sys.modules.get("keras")
    if keras is not None:
        with contextlib.suppress(AttributeError):  # it was not imported to its end
            environment["KERAS_BACKEND"] = keras.backend.backend()
    return environment
