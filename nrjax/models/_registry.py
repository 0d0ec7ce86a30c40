"""Architectures by name, for the `model.json` of a zoo: registered ones, and those of installed plug-ins.

Nothing named in a file is imported.
"""

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from nrjax._utils.jax_config import neutral_config
from nrjax._utils.messages import first_line, shortened
from nrjax._utils.plugins import load_plugin, plugins
from nrjax.models._checkpoints import load_variables
from nrjax.models._cnn import paper_cnn
from nrjax.models._content import code_of, digest_of
from nrjax.models._flax import from_linen, from_nnx
from nrjax.models._jax import JaxModel
from nrjax.models._preprocessing import Preprocessing

GROUP = "nrjax.architectures"
_factories: dict[str, Callable[..., nn.Module | nnx.Module]] = {}


def register_architecture(name: str, factory: Callable[..., nn.Module | nnx.Module]) -> None:
    """Makes an architecture known to zoos.

    Args:
      name: for `"architecture"` in `model.json`. A known name is replaced.
      factory: called with `"config"` of `model.json` as keyword arguments; returns a linen module,
        or an NNX module if it also takes `rngs`.

    Examples:
      >>> from flax import linen
      >>> nrjax.register_architecture("mlp", lambda sizes: linen.Sequential([linen.Dense(size) for size in sizes]))
      >>> "mlp" in nrjax.models.architectures()
      True
    """
    _factories[name] = factory
    _template.cache_clear()


def architectures() -> list[str]:
    """Names of the architectures: registered, and of plug-ins."""
    return sorted({*_factories, *plugins(GROUP)})


def custom_architectures() -> dict[str, Callable[..., nn.Module | nnx.Module]]:
    """Architectures that users registered. Another process has to register them again."""
    return {name: factory for name, factory in _factories.items() if factory is not paper_cnn}


def code_of_architectures() -> str:
    """A fingerprint of the architectures of users and plug-ins: with other code, equal files are other models."""
    custom: dict[str, Any] = {name: _plugin_or_reason(name) for name in plugins(GROUP)} | custom_architectures()
    return digest_of(code_of(sorted(custom.items())))[:16] if custom else ""


def _plugin_or_reason(name: str) -> Any:
    """The factory of a plug-in, or why there is none, which costs the models that need it."""
    try:
        return load_plugin(GROUP, name)
    except ValueError as error:
        return str(error)


def build_model(
    architecture: str, config: Mapping[str, Any], weights: Path, input_shape: Sequence[int], preprocessing:
    Preprocessing = Preprocessing(),
) -> JaxModel:  # fmt: skip
    """A registered architecture with weights from a file.

    Raises:
      ValueError: unknown architecture, or a configuration it does not take.
      CheckpointError: weights that cannot be read or do not fit.
    """
    template = _template(architecture, json.dumps(config, sort_keys=True), tuple(input_shape))
    if isinstance(template, nnx.Module):
        graphdef, rngs, state = nnx.split(template, nnx.RngState, ...)
        with neutral_config():
            nnx.replace_by_pure_dict(state, load_variables(weights, nnx.to_pure_dict(state)))
        module = nnx.merge(graphdef, rngs, state)
        model = from_nnx(module, input_shape=input_shape, preprocessing=preprocessing)
    else:
        module, expected = template
        variables = load_variables(weights, expected)
        model = from_linen(module, variables, input_shape=input_shape, preprocessing=preprocessing)
    model.pure = True  # a registered architecture is trusted, so that a zoo of thousands runs no batch twice
    return model


@functools.lru_cache(maxsize=32)
def _template(architecture: str, config: str, input_shape: tuple[int, ...]) -> Any:
    """An NNX module, or a linen module and the shapes of its variables; shared by models of equal config."""
    factory = _factories.get(architecture)
    if factory is None and architecture in plugins(GROUP):
        factory = load_plugin(GROUP, architecture)
    if factory is None:
        raise ValueError(
            f"unknown architecture {shortened(architecture)!r}; registered are {', '.join(architectures())}. "
            "Register your own with nrjax.register_architecture(name, factory) before loading."
        )
    with neutral_config():
        return _build_template(factory, architecture, config, input_shape)


def _build_template(factory: Any, architecture: str, config: str, input_shape: tuple[int, ...]) -> Any:
    try:
        parameters = inspect.signature(factory.__init__ if inspect.isclass(factory) else factory).parameters
        if "rngs" in parameters:
            return factory(**(json.loads(config) | {"rngs": nnx.Rngs(0)}))
        module = factory(**json.loads(config))
        images = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
        return module, jax.eval_shape(module.init, jax.random.key(0), images)  # pyright: ignore
    except Exception as error:
        raise ValueError(
            f"architecture {architecture!r} cannot be built from config {shortened(config)} for inputs "
            f"{shortened(str(input_shape))}: {first_line(error)}"
        ) from error


register_architecture("paper_cnn", paper_cnn)
