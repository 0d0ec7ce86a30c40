"""Functions that Haiku has transformed, with their parameters; outputs of modules by name are layers."""

# pyright: reportMissingImports=false

import inspect
from collections.abc import Sequence
from typing import Any

import jax

from nrjax.models._capture import Trace, penultimate_of
from nrjax.models._jax import Definition, JaxModel
from nrjax.models._layer_calls import main_output
from nrjax.models._layer_choice import unique_name
from nrjax.models._model import as_shape
from nrjax.models._preprocessing import Preprocessing


def from_haiku(
    transformed: Any, params: object, state: Any = None, *, input_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> JaxModel:  # fmt: skip
    """What `haiku.transform` or `haiku.transform_with_state` returned, of a function of one batch.

    It gets no random numbers. A function with a switch such as `is_training` is transformed with it set:
    `haiku.transform(lambda x: net(x, is_training=False))`.

    Args:
      transformed: with or without `haiku.without_apply_rng`.
      params: as from `transformed.init`.
      state: of `transform_with_state`.
      input_shape: of one image; images of another shape are then resized before they enter.
      preprocessing: of images; see `Preprocessing`.
    """
    definition = Definition(transformed.apply, {"with_state": state is not None})
    return JaxModel(definition, (params, state), trace_haiku, as_shape(input_shape), preprocessing)


def trace_haiku(definition: Definition, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of a transformed function; see `JaxModel` for the arguments."""
    import haiku

    apply, with_state = definition.module, definition.call_kwargs["with_state"]
    takes = list(inspect.signature(apply).parameters)
    outputs: dict[str, Any] = {}

    def run(variables: Any, images: jax.Array) -> Any:
        """All that the function returns."""
        head = variables if with_state else variables[:1]
        result = apply(*head, *([None] if "rng" in takes else []), images)
        return result[0] if with_state else result

    def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        result = call(*args, **kwargs)
        if context.method_name == "__call__" and getattr(result, "shape", ())[:1] == images.shape[:1]:
            outputs[unique_name(context.module.module_name, outputs)] = result
        return result

    with haiku.intercept_methods(intercept):
        main = main_output(run(variables, images), len(images))
    own = {} if main is None else {unique_name("output", outputs): main}
    return Trace({"input": images, **outputs, **own}, penultimate_of(run, main, variables, images))
