"""Outputs of every layer of a Flax network, by name, in order of execution.

Linen and NNX sow each module's output from inside its own scope, so that lifted transformations (remat, jit) hand the
values out correctly. Layers inside a `scan` have no single output and are not listed. The keys `<call number>|<path>`
under which outputs are sown give order and name.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.errors
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from nrjax._utils.messages import first_line
from nrjax.models._heads import has_vectors
from nrjax.models._layer_calls import LayerCalls, main_output
from nrjax.models._layer_choice import unique_name
from nrjax.models._program_heads import read_by_head

COLLECTION = "nrjax_layers"
_DENSE_LINEN = (nn.Dense, nn.DenseGeneral)
_DENSE_NNX = (nnx.Linear, nnx.LinearGeneral)
_SOWN_ONCE = {"reduce_fn": lambda _, new: new, "init_fn": lambda: None}  # the latest value instead of a tuple of all


class Trace(NamedTuple):
    """Outputs of one forward pass.

    Attributes:
      outputs: layer name to output, in order of execution; the first is `input`.
      penultimate: what the head reads, the innermost layer with weights whose output is the network's; of a network
        without a head its own output; None where that is no vector for every sample either.
    """

    outputs: dict[str, jax.Array]
    penultimate: jax.Array | None


def trace_linen(definition: Any, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of a linen module; see `JaxModel` for the arguments."""

    def run(variables: Any, images: jax.Array) -> tuple[Any, LayerCalls, Any]:
        calls = LayerCalls()

        def intercept(next_fun, args, kwargs, context):
            layer = context.module
            if context.method_name != "__call__":
                return next_fun(*args, **kwargs)
            sow = functools.partial(layer.sow, COLLECTION, **_SOWN_ONCE)
            return calls.run(layer.path, sow, isinstance(layer, _DENSE_LINEN), next_fun, args, kwargs)

        with nn.intercept_methods(intercept):
            try:
                output, state = definition.module.apply(
                    variables, images, mutable=[COLLECTION], **definition.call_kwargs
                )
            except (flax.errors.ModifyScopeVariableError, flax.errors.InvalidRngError) as error:
                raise ValueError(
                    "the network trains: it draws random numbers or changes its statistics. Switch it to inference: "
                    "nrjax.from_linen(module, variables, call_kwargs={'NAME': False}), or module.clone(NAME=False). It "
                    f"says: {first_line(error)}"
                ) from error
        return output, calls, state.get(COLLECTION, {})

    weights = jax.tree_util.tree_flatten_with_path(dict(variables))[0]
    matrices = {_names(path)[1:] for path, weight in weights if jnp.ndim(weight) > 1}  # without the collection
    return _trace(run, matrices, variables, images)


class LayerOutput(nnx.Variable):
    """The variable in which a traced NNX module leaves its output."""


def trace_nnx(definition: Any, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of an NNX module, given as its graph definition and state."""

    def run(variables: Any, images: jax.Array) -> tuple[Any, LayerCalls, Any]:
        module = nnx.merge(definition.module, *variables)
        layers = list(nnx.iter_modules(module))
        paths = {id(layer): path for path, layer in layers}
        calls = LayerCalls()

        def intercept(call, layer, args, kwargs):
            if id(layer) not in paths:
                return call(layer, *args, **kwargs)
            sow = functools.partial(layer.sow, LayerOutput, **_SOWN_ONCE)
            bound = functools.partial(call, layer)
            return calls.run(paths[id(layer)], sow, isinstance(layer, _DENSE_NNX), bound, args, kwargs)

        with intercepted({type(layer) for _, layer in layers}, intercept):
            output, state = nnx.capture(lambda m, x: m(x, **definition.call_kwargs), LayerOutput)(module, images)
        return output, calls, nnx.to_pure_dict(state)

    states = [jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(state))[0] for state in variables]
    matrices = {_names(path) for state in states for path, weight in state if jnp.ndim(weight) > 1}
    return _trace(run, matrices, variables, images)


def _trace(run: Callable[..., Any], matrices: set[tuple[str, ...]], variables: object, images: jax.Array) -> Trace:
    """The trace of a network: `run` returns its output, calls and sown values; `matrices` are paths of weights."""
    output, calls, sown = run(variables, images)
    main = main_output(output, len(images))
    by_key, outputs, last = _by_key(sown), {"input": images}, images
    for key in sorted(by_key):
        _, name, *given = key.split("|")
        value = by_key[key]
        has_rows = value.ndim and value.shape[0] == images.shape[0]
        if not given and has_rows and (name or value is not last):
            outputs[unique_name(name or "output", outputs)] = last = value
    read = None
    if main is not None:
        head = calls.head(main, images)
        read = by_key.get(f"{head}|given") if head else None
        read = (
            read_by_head(functools.partial(_main_and_read, run, matrices), variables, images) if read is None else read
        )
        main = main if has_vectors(main.shape, len(images)) else None
    return Trace(outputs, main if read is None else read)


def penultimate_of(
    run: Callable[..., Any], main: jax.Array | None, variables: object, images: jax.Array
) -> jax.Array | None:  # fmt: skip
    """What the head of a network reads, by its program alone; see `Trace`.

    Args:
      run: from weights and samples to all that the network returns.
      main: output of the batch, if there is one.
      variables: weights.
      images: a batch.
    """
    if main is None:
        return None
    read = read_by_head(lambda weights, batch: (main_output(run(weights, batch), len(batch)),), variables, images)
    return read if read is not None else main if has_vectors(main.shape, len(images)) else None


def _main_and_read(
    run: Callable[..., Any], matrices: set[tuple[str, ...]], variables: object, images: jax.Array
) -> Any:
    """The main output, and what the module that returns it reads."""
    output, calls, sown = run(variables, images)
    main = main_output(output, len(images))
    module = calls.returning(main, matrices)
    given = _by_key(sown).get(f"{module}|given")
    return (main,) if given is None else (main, given)


_patching = threading.RLock()


@contextlib.contextmanager
def intercepted(types: set[type], intercept: Callable) -> Iterator[None]:
    """While entered, calls of modules of `types` go through `intercept(call, module, args, kwargs)`.

    NNX has no interceptors: as in `nnx.capture`, the classes' `__call__` is replaced, and restored.
    """

    def replacement(call):
        @functools.wraps(call)
        def wrapper(self, *args, **kwargs):
            return intercept(call, self, args, kwargs)

        return wrapper

    calls = {t: t.__call__ for t in types if any("__call__" in vars(base) for base in t.__mro__)}
    defining = {t for t in calls if "__call__" in vars(t)}
    with _patching:
        try:
            for t, call in calls.items():
                t.__call__ = replacement(call)
            yield
        finally:
            for t, call in calls.items():
                if t in defining:
                    t.__call__ = call
                else:
                    del t.__call__


def _names(path: tuple[object, ...]) -> tuple[str, ...]:
    """The keys of a path in a tree."""
    return tuple(str(getattr(part, "key", getattr(part, "idx", part))) for part in path)


def _by_key(sown: Mapping[str, object]) -> dict[str, Any]:
    """Sown values by the keys that `LayerCalls` gave them."""
    leaves = jax.tree_util.tree_flatten_with_path(sown)[0]
    return {next(str(part.key) for part in path if "|" in str(part.key)): value for path, value in leaves}
