"""Outputs of every layer of a Flax network, by name, in order of execution.

Both routes sow each module's output from inside its own scope, so that lifted transformations
(remat, jit) hand the values out correctly; layers inside a `scan` have no single output and are
not listed. Sown under `<call number>|<path>`, the keys alone give order and name.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
from flax import linen as nn
from flax import nnx

from nrjax.models._model import free_name

COLLECTION = "nrjax_layers"
_DENSE_LINEN = (nn.Dense, nn.DenseGeneral)
_DENSE_NNX = (nnx.Linear, nnx.LinearGeneral)


class Trace(NamedTuple):
    """What one forward pass went through.

    Attributes:
      outputs: layer name to output, in order of execution; the first is `input`.
      penultimate: the input of the last dense layer; None for a network without one.
    """

    outputs: dict[str, jax.Array]
    penultimate: jax.Array | None


def trace_linen(definition: Any, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of a linen module; see `Model` for the arguments."""
    calls = _Calls()

    def intercept(next_fun, args, kwargs, context):
        layer = context.module
        if context.method_name != "__call__":
            return next_fun(*args, **kwargs)
        sow = functools.partial(layer.sow, COLLECTION, reduce_fn=_latest, init_fn=_nothing)
        return calls.run(layer.path, sow, isinstance(layer, _DENSE_LINEN), next_fun, args, kwargs)

    with nn.intercept_methods(intercept):
        _, state = definition.module.apply(variables, images, mutable=[COLLECTION], **definition.call_kwargs)
    return _assemble(images, state.get(COLLECTION, {}))


class LayerOutput(nnx.Variable):
    """Where a traced NNX module leaves its output."""


def trace_nnx(definition: Any, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of an NNX module, given as its graph definition and state."""
    module = nnx.merge(definition.module, *variables)
    layers = list(nnx.iter_modules(module))
    paths = {id(layer): path for path, layer in layers}
    calls = _Calls()

    def intercept(call, layer, args, kwargs):
        if id(layer) not in paths:
            return call(layer, *args, **kwargs)
        sow = functools.partial(layer.sow, LayerOutput, reduce_fn=_latest, init_fn=_nothing)
        bound = functools.partial(call, layer)
        return calls.run(paths[id(layer)], sow, isinstance(layer, _DENSE_NNX), bound, args, kwargs)

    with _intercepted({type(layer) for _, layer in layers}, intercept):
        _, state = nnx.capture(lambda m, x: m(x, **definition.call_kwargs), LayerOutput)(module, images)
    return _assemble(images, nnx.to_pure_dict(state))


_patching = threading.RLock()


@contextlib.contextmanager
def _intercepted(types: set[type], intercept: Callable) -> Iterator[None]:
    """While entered, calls of modules of `types` go through `intercept(call, module, args, kwargs)`.

    NNX has no interceptors: as in `nnx.capture`, the classes' `__call__` is replaced, and put back.
    """

    def replacement(call):
        @functools.wraps(call)
        def wrapper(self, *args, **kwargs):
            return intercept(call, self, args, kwargs)

        return wrapper

    calls = {t: t.__call__ for t in types if any("__call__" in vars(base) for base in t.__mro__)}
    own = {t for t in calls if "__call__" in vars(t)}
    with _patching:
        try:
            for t, call in calls.items():
                t.__call__ = replacement(call)
            yield
        finally:
            for t, call in calls.items():
                if t in own:
                    t.__call__ = call
                else:
                    del t.__call__


class _Calls:
    """Numbers the layer calls of a forward pass and sows what they returned."""

    def __init__(self):
        self._count = 0
        self._active = set()

    def run(self, path, sow, is_dense: bool, call, args, kwargs):
        if path in self._active:  # super().__call__ of a layer that is being watched already
            return call(*args, **kwargs)
        self._active.add(path)
        try:
            out = call(*args, **kwargs)
        finally:
            self._active.discard(path)
        if isinstance(out, jax.Array) and not (args and out is args[0]):  # no tuples, no identities (dropout)
            key = f"{self._count:06d}|{'/'.join(map(str, path))}"
            self._count += 1
            sow(name=key, value=out)
            if is_dense and args:
                sow(name=f"{key}|dense", value=args[0])
        return out


def _latest(_, new):
    return new


def _nothing():
    return None


def _assemble(images: jax.Array, sown: Mapping[str, Any]) -> Trace:
    leaves = jax.tree_util.tree_flatten_with_path(sown)[0]
    keyed = {next(str(part.key) for part in path if "|" in str(part.key)): value for path, value in leaves}
    outputs, penultimate, last = {"input": images}, None, images
    for key in sorted(keyed):
        _, name, *dense = key.split("|")
        value = keyed[key]
        if dense:
            penultimate = value
        elif value.ndim and value.shape[0] == images.shape[0] and (name or value is not last):
            outputs[free_name(name or "output", outputs)] = last = value
    return Trace(outputs, penultimate)
