"""Equinox modules: called sample by sample, in inference mode, with the outputs of the modules within as layers."""

# pyright: reportMissingImports=false

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax.nnx.tracers import TraceState

from nrjax.models._capture import Trace, intercepted, penultimate_of
from nrjax.models._jax import Definition, JaxModel
from nrjax.models._layer_calls import main_output
from nrjax.models._layer_choice import unique_name
from nrjax.models._model import as_shape
from nrjax.models._preprocessing import Preprocessing


def from_equinox(
    module: Any, state: Any = None, *, input_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> JaxModel:  # fmt: skip
    """An Equinox module, which takes one sample: images as `[channels, height, width]`, others as they are.

    Layers are the modules within by path, in order of execution, but for those that `jax.vmap` calls for every token.
    The penultimate layer is what the head reads, found in the module's program; of one without a head its own output.

    Args:
      module: called with a sample; it gets `key=None` where it takes a key, and `state` where there is one.
      state: of modules such as `BatchNorm`, as from `equinox.nn.make_with_state`.
      input_shape: of one image `(height, width, channels)`; images of another shape are then resized.
      preprocessing: of images; see `Preprocessing`.
    """
    import equinox

    inference = equinox.nn.inference_mode(module)
    arrays, rest = equinox.partition((inference, state), equinox.is_array)
    return JaxModel(Definition(rest, {}), arrays, trace_equinox, as_shape(input_shape), preprocessing)


def trace_equinox(definition: Definition, variables: object, images: jax.Array) -> Trace:
    """Layer outputs of a module; see `JaxModel` for the arguments."""
    import equinox

    channels_first = images.ndim == 4 and images.shape[3] in (1, 3)
    batch = jnp.moveaxis(images, 3, 1) if channels_first else images
    order: list[str] = []

    def run(variables: Any, batch: jax.Array) -> tuple[Any, dict[str, Any]]:
        """All that the module returns for a batch, and outputs of the modules within; `order` are their names."""
        module, state = equinox.combine(variables, definition.module)
        takes = inspect.signature(type(module).__call__).parameters
        named = {"key": None} if "key" in takes else {}
        paths = {id(part): path for path, part in _modules(module, ())}

        def run_sample(sample: jax.Array) -> tuple[Any, dict[str, Any]]:
            outputs: dict[str, Any] = {}
            level = TraceState()

            def intercept(call: Any, layer: Any, args: Any, kwargs: Any) -> Any:
                result = call(layer, *args, **kwargs)
                value = result[0] if isinstance(result, tuple) else result
                # Within a vmap or scan of the module's own a layer has no single output.
                if paths.get(id(layer)) and hasattr(value, "shape") and level.is_valid():
                    outputs[unique_name(paths[id(layer)], outputs)] = value
                return result

            with intercepted({type(part) for _, part in _modules(module, ())}, intercept):
                result = module(sample, **named) if state is None else module(sample, state, **named)[0]
            order[:] = outputs
            return jax.tree.map(lambda leaf: leaf if equinox.is_array(leaf) else None, result), outputs

        return jax.vmap(run_sample)(batch)

    result, outputs = run(variables, batch)
    ordered = {name: outputs[name] for name in order}
    main = main_output(result, len(batch))
    own = {} if main is None else {unique_name("output", ordered): main}
    return Trace(
        {"input": batch, **ordered, **own}, penultimate_of(lambda *given: run(*given)[0], main, variables, batch)
    )


def _modules(thing: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Modules within a module, with their paths; the outer ones first."""
    import equinox

    if isinstance(thing, equinox.Module):
        yield ".".join(path), thing
        parts: Any = {name: getattr(thing, name, None) for name in thing.__dataclass_fields__}
    elif isinstance(thing, (list, tuple)):
        parts = dict(enumerate(thing))
    else:
        parts = thing if isinstance(thing, Mapping) else {}
    for name, part in parts.items():
        yield from _modules(part, (*path, str(name)))
