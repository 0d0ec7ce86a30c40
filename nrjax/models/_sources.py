"""Where models come from: prefixes of names, what loads a model of each, and the options that it takes."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from nrjax._utils.plugins import load_plugin, plugins
from nrjax.models._code import version_of
from nrjax.models._content import code_of, digest_of

GROUP = "nrjax.sources"
OPTIONS = ("preprocessing", "image_size", "device", "builder")  # of `load_model`, beside `base` and `download`


class Source(NamedTuple):
    """What loads the models of a prefix.

    Attributes:
      module: of nrjax, imported when the first model is loaded.
      function: `function(where, *, base, ...)` in it.
      options: of `load_model` that it takes.
      packages: that decide what a model of files computes.
      names: module of nrjax that lists names, and looks up what is known of one; None where files are all there is.
    """

    module: str
    function: str
    options: tuple[str, ...]
    packages: tuple[str, ...]
    names: str | None = None


SOURCES = {
    "timm": Source("_timm", "load_timm", ("preprocessing", "device", "download"), ("timm", "torch"), "_timm_names"),
    "hf": Source(
        "_huggingface_load", "load_huggingface", ("preprocessing", "pooling", "device", "download"),
        ("transformers", "torch"), "_huggingface_names",
    ),
    "hf-zeroshot": Source("_zero_shot", "load_zero_shot", ("device", "download"), ("transformers", "torch")),
    "onnx": Source("_onnx_load", "load_onnx", ("preprocessing", "image_size", "device"), ("onnxruntime",)),
    "openvino": Source("_openvino", "load_openvino", ("preprocessing", "image_size"), ("openvino",)),
    "litert": Source("_litert", "load_litert", ("preprocessing", "image_size"), ("ai_edge_litert",)),
    "gguf": Source("_gguf", "load_gguf", ("pooling",), ("llama_cpp_python",)),
    "torch": Source("_torch_load", "load_torch", ("preprocessing", "image_size", "device", "builder"), ("torch",)),
    "jax": Source("_jax_export", "load_export", ("preprocessing", "image_size"), ("jax", "jaxlib")),
    "keras": Source("_keras_load", "load_keras", ("preprocessing", "image_size"), ("keras",)),
}  # fmt: skip


def prefixes() -> tuple[str, ...]:
    """Prefixes that are known: nrjax's own, then those of plug-ins."""
    return (*SOURCES, *(name for name in plugins(GROUP) if name not in SOURCES))


def has_prefix(name: str) -> bool:
    """Whether a name begins with a prefix that is known and a colon."""
    prefix, colon, _ = name.partition(":")
    return bool(colon) and (prefix in SOURCES or prefix in plugins(GROUP))


def loader_of(prefix: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """What loads a model of a prefix, and the options that it takes. Raises ValueError for a plug-in that is broken."""
    if prefix in SOURCES:
        source = SOURCES[prefix]
        module = importlib.import_module(f"nrjax.models.{source.module}")
        return getattr(module, source.function), ("base", *source.options)
    load = load_plugin(GROUP, prefix)
    try:
        parameters = inspect.signature(load).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{prefix}: the plug-in must be a function of a name; got {type(load).__name__}.") from error
    names = tuple(parameter.name for parameter in parameters)
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return load, ("base", "download", *OPTIONS) if takes_all else names


def prefixes_with(option: str) -> str:
    """Prefixes of nrjax whose models take an option, in words."""
    return ", ".join(f"{prefix}:" for prefix, source in SOURCES.items() if option in source.options)


def versions_of(prefix: str) -> list[str]:
    """What beside files decides what a model of a prefix computes: packages with versions, code of a plug-in."""
    if prefix in SOURCES:
        return [version_of(package) for package in SOURCES[prefix].packages]
    return [digest_of(code_of(load_plugin(GROUP, prefix)))[:16]]
