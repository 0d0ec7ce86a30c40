"""Any function in JAX as a model: Equinox, Haiku, a PyTree of weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from nrjax.models._capture import Trace
from nrjax.models._jax import Definition, JaxModel
from nrjax.models._model import as_shape
from nrjax.models._preprocessing import Preprocessing


def from_function(
    apply: Callable[[Any, jax.Array], Any], params: object, *, input_shape: Sequence[int] | None = None, preprocessing:
    Preprocessing = Preprocessing(),
) -> JaxModel:  # fmt: skip
    """Any function in JAX: Equinox, Haiku, your own.

    Args:
      apply: `(params, batch)` to one output `[samples, ...]`, which is then the penultimate layer, or to a mapping
        from layer name to output, in order; a layer named `penultimate` in it is that one, else it is the last.
        It is compiled.
      params: arrays in any nesting, such as a PyTree of weights (an Equinox module's leaves that are no arrays
        belong into `apply`: `equinox.partition`).
      input_shape: of one image; images of another shape are then resized before they enter.
      preprocessing: see `Preprocessing`.

    Examples:
      >>> weights = jax.random.normal(jax.random.key(0), (784, 32))
      >>> model = nrjax.from_function(lambda w, x: jax.nn.relu(x.reshape(len(x), -1) @ w), weights)
      >>> nrjax.extract_features(model, images).shape
      (1000, 32)
    """
    model = JaxModel(Definition(apply, {}), params, _trace_function, as_shape(input_shape), preprocessing)
    model.classifies = False
    return model


def _trace_function(definition: Definition, params: object, batch: jax.Array) -> Trace:
    result = definition.module(params, batch)
    outputs = dict(result) if isinstance(result, Mapping) else {"output": result}
    wrong = {
        name: getattr(value, "shape", type(value).__name__) for name, value in outputs.items()
        if not hasattr(value, "shape") or value.shape[:1] != batch.shape[:1]
    }  # fmt: skip
    if wrong or not outputs:
        raise ValueError(
            f"the function must return an array (samples, ...), or a mapping of layer names to such arrays, of "
            f"{batch.shape[0]} samples; got {wrong or 'none'}."
        )
    penultimate = outputs.pop("penultimate", None)
    last = next(reversed(outputs.values())) if penultimate is None else penultimate
    return Trace({"input": batch, **outputs}, last)
