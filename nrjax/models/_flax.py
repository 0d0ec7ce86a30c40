"""Flax networks, linen and NNX, in inference mode."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from flax import linen as nn
from flax import nnx

from nrjax.models._capture import trace_linen, trace_nnx
from nrjax.models._jax import Definition, JaxModel
from nrjax.models._model import as_shape
from nrjax.models._preprocessing import Preprocessing

# Names that networks give to the switch between training and inference.
_INFERENCE = {
    "train": False, "training": False, "is_training": False, "is_train": False, "deterministic": True,
    "inference": True, "use_running_average": True,
}  # fmt: skip


def from_linen(
    module: nn.Module, variables: Mapping[str, object], *, input_shape: Sequence[int] | None = None, preprocessing:
    Preprocessing = Preprocessing(), call_kwargs: Mapping[str, object] | None = None,
) -> JaxModel:  # fmt: skip
    """A linen module and its variables, in inference mode.

    Args:
      module: the network; its `__call__` takes a batch of images first.
      variables: as from `module.init`: `{"params": ..., "batch_stats": ...}`.
      input_shape: of one image; images of another shape are then resized before they enter.
      preprocessing: see `Preprocessing`.
      call_kwargs: further keyword arguments of `__call__`. A switch named train, training,
        is_training, is_train, inference, deterministic or use_running_average is set to inference by itself.

    Examples:
      >>> from flax import linen
      >>> module = linen.Sequential([lambda x: x.reshape(len(x), -1), linen.Dense(32), linen.relu, linen.Dense(5)])
      >>> variables = module.init(jax.random.key(0), np.zeros((1, 28, 28, 1)))
      >>> nrjax.extract_features(nrjax.from_linen(module, variables), images).shape
      (1000, 32)
    """
    definition = Definition(module, _call_kwargs(module, call_kwargs))
    return JaxModel(definition, variables, trace_linen, as_shape(input_shape), preprocessing)


def from_nnx(
    module: nnx.Module, *, input_shape: Sequence[int] | None = None, preprocessing: Preprocessing = Preprocessing(),
    call_kwargs: Mapping[str, object] | None = None,
) -> JaxModel:  # fmt: skip
    """An NNX module, in inference mode; the module itself is left as it is. Arguments: see `from_linen`.

    Examples:
      >>> from flax import nnx
      >>> rngs = nnx.Rngs(0)
      >>> head = [nnx.Linear(784, 32, rngs=rngs), nnx.relu, nnx.Linear(32, 5, rngs=rngs)]
      >>> module = nnx.Sequential(lambda x: x.reshape(len(x), -1), *head)
      >>> nrjax.extract_features(nrjax.from_nnx(module), images).shape
      (1000, 32)
    """
    inference = nnx.view(module, deterministic=True, use_running_average=True, raise_if_not_found=False)
    graphdef, *state = nnx.split(inference, nnx.RngState, ...)
    definition = Definition(graphdef, _call_kwargs(module, call_kwargs))
    model = JaxModel(definition, tuple(state), trace_nnx, as_shape(input_shape), preprocessing)
    model.weights = tuple(state[1:])
    return model


def _call_kwargs(module: Any, given: Mapping[str, object] | None) -> dict[str, Any]:
    accepted = inspect.signature(type(module).__call__).parameters
    inference = {name: value for name, value in _INFERENCE.items() if name in accepted}
    return inference | dict(given or {})
