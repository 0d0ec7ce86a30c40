"""`Model`: a Flax network ready for inference, the same for linen and NNX."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from nrjax.models._capture import Trace, trace_linen, trace_nnx
from nrjax.switches import our_own

LayerChoice = str | int
_BATCH = 3  # of the abstract images that `layers` sends through

# What networks call the switch between training and inference.
_INFERENCE = {
    "train": False,
    "training": False,
    "is_training": False,
    "deterministic": True,
    "use_running_average": True,
}


class LayerError(ValueError):
    """A model without the layer asked for (the paper's Algorithm 1 raises here)."""


class Layer(NamedTuple):
    """A layer that can be scored: its name and the shape of its output for one sample."""

    name: str
    shape: tuple[int, ...]

    @property
    def dims(self) -> int:
        """Width of the layer's features: its outputs, flattened."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """From images to network input: uint8 becomes [0, 1], then `(x - mean) / std` per channel.

    Other dtypes are not scaled: floating-point images enter as they are, and so do token ids.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __call__(self, images: jax.Array) -> jax.Array:
        """The network's input, in the compiled forward pass."""
        if images.dtype == jnp.uint8:
            images = images.astype(jnp.float32) / 255
        if self == Preprocessing():
            return images
        return (images - jnp.array(self.mean, images.dtype)) / jnp.array(self.std, images.dtype)


class Definition:
    """The part of a model without arrays, as a static argument of compiled functions.

    Equal definitions share a program. A module that cannot be hashed (a list among its attributes) is
    equal to itself alone.

    Attributes:
      module: a linen module or an NNX graph definition.
      call_kwargs: further keyword arguments of its `__call__`.
    """

    def __init__(self, module: Any, call_kwargs: Mapping[str, Any]):
        self.module, self.call_kwargs = module, dict(call_kwargs)
        try:
            self._key = (module, tuple(sorted(self.call_kwargs.items())))
            self._hash = hash(self._key)
        except TypeError:
            self._key, self._hash = id(self), id(self)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definition) and self._hash == other._hash and self._key == other._key


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A network with its weights. Models of equal `definition` share one compiled forward pass.

    Attributes:
      definition: module and keyword arguments, no arrays.
      variables: the arrays.
      trace: `(definition, variables, images) -> Trace`, pure.
      input_shape: of one image `(height, width, channels)`; None takes images as they come.
      preprocessing: applied to the images inside the compiled forward pass.
    """

    definition: Definition
    variables: Any
    trace: Callable[[Definition, Any, jax.Array], Trace]
    input_shape: tuple[int, ...] | None = None
    preprocessing: Preprocessing = Preprocessing()


def from_linen(
    module: nn.Module,
    variables: Mapping[str, Any],
    *,
    input_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing = Preprocessing(),
    call_kwargs: Mapping[str, Any] | None = None,
) -> Model:
    """A linen module and its variables, in inference mode.

    Args:
      module: the network; its `__call__` takes a batch of images first.
      variables: as from `module.init`: `{"params": ..., "batch_stats": ...}`.
      input_shape: of one image; images of another shape are then resized before they enter.
      preprocessing: see `Preprocessing`.
      call_kwargs: further keyword arguments of `__call__`. A switch named train, training,
        is_training, deterministic or use_running_average is set to inference by itself.
    """
    definition = Definition(module, _call_kwargs(module, call_kwargs))
    return Model(definition, variables, trace_linen, _shape(input_shape), preprocessing)


def from_nnx(
    module: nnx.Module,
    *,
    input_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing = Preprocessing(),
    call_kwargs: Mapping[str, Any] | None = None,
) -> Model:
    """An NNX module, in inference mode; the module itself is left as it is. Arguments: see `from_linen`."""
    inference = nnx.view(module, deterministic=True, use_running_average=True, raise_if_not_found=False)
    graphdef, *state = nnx.split(inference, nnx.RngState, ...)
    definition = Definition(graphdef, _call_kwargs(module, call_kwargs))
    return Model(definition, tuple(state), trace_nnx, _shape(input_shape), preprocessing)


def as_model(model: Any) -> Model:
    """A `Model` from what users hold: a `Model`, an NNX module, or a pair (linen module, variables)."""
    if isinstance(model, Model):
        return model
    if isinstance(model, nnx.Module):
        return from_nnx(model)
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], nn.Module):
        return from_linen(*model)
    raise TypeError(
        "A model is an nnx.Module, a pair (linen module, variables), or what load_zoo, from_linen and "
        f"from_nnx return; got {type(model).__name__}."
    )


def layers(model: Any, input_shape: Sequence[int] | None = None) -> list[Layer]:
    """Layers of a model in order of execution, the input first; nothing is computed.

    Args:
      model: see `as_model`.
      input_shape: of one image; needed where the model does not carry its own.

    Returns:
      Names and shapes (of one sample). A layer is chosen by name, by its index in this list
      (0 the input, -1 the last), or as `"penultimate"`: the input of the last dense layer.
    """
    model = as_model(model)
    shape = _shape(input_shape) or model.input_shape
    if shape is None:
        raise ValueError(
            "layers: this model does not know its input shape; give input_shape=(height, width, channels)."
        )
    images = jax.ShapeDtypeStruct((_BATCH, *shape), jnp.float32)
    names: list[str] = []
    with our_own():
        traced = jax.eval_shape(lambda v, x: model.trace(model.definition, v, x), model.variables, images)
        # A dict that went through eval_shape comes back sorted; the order of execution is read while tracing.
        jax.eval_shape(lambda v, x: names.extend(model.trace(model.definition, v, x).outputs), model.variables, images)
    return [Layer(name, traced.outputs[name].shape[1:]) for name in names]


def choose(trace: Trace, layer: LayerChoice) -> jax.Array:
    """The output of one layer of a traced forward pass.

    Raises:
      LayerError: the model has no such layer; the message lists those it has.
    """
    names = list(trace.outputs)
    if layer == "penultimate" and layer not in trace.outputs:
        if trace.penultimate is None:
            raise LayerError(f"The model has no dense layer, so no penultimate one; it has {_listing(names)}.")
        return trace.penultimate
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        layer = names[layer]
    if layer not in trace.outputs:
        raise LayerError(f"The model has no layer {layer!r}; it has {_listing(names)}.")
    return trace.outputs[layer]  # pyright: ignore[reportArgumentType]


def _listing(names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({i})" for i, name in enumerate(names))


def _call_kwargs(module: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    accepted = inspect.signature(type(module).__call__).parameters
    inference = {name: value for name, value in _INFERENCE.items() if name in accepted}
    return inference | dict(given or {})


def _shape(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if shape is None else tuple(int(size) for size in shape)
