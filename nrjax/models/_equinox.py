"""Equinox modules: called sample by sample, in inference mode, with the outputs of the modules within as layers."""

# pyright: reportMissingImports=false

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nrjax.models._capture import Trace, intercepted
from nrjax.models._jax import Definition, JaxModel
from nrjax.models._layer_choice import unique_name
from nrjax.models._model import as_shape
from nrjax.models._preprocessing import Preprocessing


def from_equinox(
    module: Any, state: Any = None, *, input_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> JaxModel:  # fmt: skip
    """An Equinox module, which takes one sample: images as `[channels, height, width]`, others as they are.

    Layers are the modules within by path, in order of execution. The penultimate layer is what the last dense layer
    reads whose output is the network's.

    Args:
      module: called with a sample; it gets `key=None` where it takes a key, and `state` where there is one.
      state: of modules such as `BatchNorm`, as from `equinox.nn.make_with_state`.
      input_shape: of one image `(height, width, channels)`; images of another shape are then resized.
      preprocessing: of images; see `Preprocessing`.
    """
    import equinox

    inference = equinox.nn.inference_mode(module)
    arrays, rest = equinox.partition((inference, state), equinox.is_array)
    model = JaxModel(Definition(rest, {}), arrays, trace_equinox, as_shape(input_shape), preprocessing)
    return model


def trace_equinox(definition: Definition, variables: object, images: jax.Array) -> Trace:
    """Layer outputs of a module; see `JaxModel` for the arguments."""
    import equinox

    module, state = equinox.combine(variables, definition.module)
    takes = inspect.signature(type(module).__call__).parameters
    named = {"key": None} if "key" in takes else {}
    paths = {id(part): path for path, part in _modules(module, ())}
    order: list[tuple[str, bool]] = []

    def run(sample: jax.Array) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        outputs: dict[str, Any] = {}
        given: dict[str, Any] = {}
        order.clear()

        def intercept(call: Any, layer: Any, args: Any, kwargs: Any) -> Any:
            result = call(layer, *args, **kwargs)
            value = result[0] if isinstance(result, tuple) else result
            if id(layer) in paths and paths[id(layer)] and hasattr(value, "shape"):
                name = unique_name(paths[id(layer)], outputs)
                outputs[name] = value
                order.append((name, value is not None))
                if args and getattr(args[0], "ndim", 0) == 1 and _is_dense(layer):
                    given[name] = args[0]
            return result

        with intercepted({type(part) for _, part in _modules(module, ())}, intercept):
            result = module(sample, **named) if state is None else module(sample, state, **named)
        main = result[0] if isinstance(result, tuple) else result
        heads = [name for name in given if outputs[name] is main]
        heads = heads or [name for name in given if outputs[name].shape == getattr(main, "shape", None)]
        return main, outputs, {"read": given[heads[-1]]} if heads else {}

    channels_first = images.ndim == 4 and images.shape[3] in (1, 3)
    batch = jnp.moveaxis(images, 3, 1) if channels_first else images
    main, outputs, read = jax.vmap(run)(batch)
    ordered = {name: outputs[name] for name, _ in order}
    penultimate = read.get("read", main if getattr(main, "ndim", 0) == 2 else None)
    return Trace({"input": batch, **ordered, unique_name("output", ordered): main}, penultimate)


def _is_dense(layer: Any) -> bool:
    return any(getattr(leaf, "ndim", 0) == 2 for leaf in jax.tree.leaves(layer))


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
