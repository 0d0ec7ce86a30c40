"""Outputs of every layer of a Flax network, by name, in order of execution.

Both routes sow each module's output from inside its own scope, so that lifted transformations
(remat, jit) hand the values out correctly; layers inside a `scan` have no single output and are
not listed. Sown under `<call number>|<path>`, the keys alone give order and name.
"""

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from nrjax.models._logits import made_of_logits
from nrjax.models._model import free_name

COLLECTION = "nrjax_layers"
LOGITS = ("logits", "output", "out")  # what a network may call the answer that its classes are read from
_DENSE_LINEN = (nn.Dense, nn.DenseGeneral)
_DENSE_NNX = (nnx.Linear, nnx.LinearGeneral)


class Trace(NamedTuple):
    """What one forward pass went through.

    Attributes:
      outputs: layer name to output, in order of execution; the first is `input`.
      penultimate: what the head reads, the innermost layer with weights whose output is the network's; of a network
        without a head its own output; None where that is no vector for every sample either.
    """

    outputs: dict[str, jax.Array]
    penultimate: jax.Array | None


def trace_linen(definition: Any, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of a linen module; see `Model` for the arguments."""

    def run(variables: Any, images: jax.Array) -> tuple[Any, _Calls, Any]:
        calls = _Calls()

        def intercept(next_fun, args, kwargs, context):
            layer = context.module
            if context.method_name != "__call__":
                return next_fun(*args, **kwargs)
            sow = functools.partial(layer.sow, COLLECTION, reduce_fn=_latest, init_fn=_nothing)
            return calls.run(layer.path, sow, isinstance(layer, _DENSE_LINEN), next_fun, args, kwargs)

        with nn.intercept_methods(intercept):
            answer, state = definition.module.apply(variables, images, mutable=[COLLECTION], **definition.call_kwargs)
        return answer, calls, state.get(COLLECTION, {})

    weights = jax.tree_util.tree_flatten_with_path(dict(variables))[0]
    matrices = {_names(path)[1:] for path, weight in weights if jnp.ndim(weight) > 1}  # without the collection
    return _trace(run, matrices, variables, images)


class LayerOutput(nnx.Variable):
    """Where a traced NNX module leaves its output."""


def trace_nnx(definition: Any, variables: Any, images: jax.Array) -> Trace:
    """Layer outputs of an NNX module, given as its graph definition and state."""

    def run(variables: Any, images: jax.Array) -> tuple[Any, _Calls, Any]:
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
            answer, state = nnx.capture(lambda m, x: m(x, **definition.call_kwargs), LayerOutput)(module, images)
        return answer, calls, nnx.to_pure_dict(state)

    states = [jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(state))[0] for state in variables]
    matrices = {_names(path) for state in states for path, weight in state if jnp.ndim(weight) > 1}
    return _trace(run, matrices, variables, images)


def _trace(run: Callable[..., Any], matrices: set[tuple[str, ...]], variables: Any, images: jax.Array) -> Trace:
    """The trace of a network from what it answers, its calls and what these left behind."""
    answer, calls, sown = run(variables, images)
    vector = main_answer(answer, len(images))
    head = None if vector is None else calls.head(vector, images, matrices)
    if vector is not None and not calls.made(vector):  # by no layer, but by the network itself

        def logits(variables: Any, images: jax.Array) -> tuple[Any, list[Any]]:
            answer, calls, sown = run(variables, images)
            keyed = _keyed(sown)
            return main_answer(answer, len(images)), [keyed[call.key] for call in calls.dense(vector.shape)]

        i = made_of_logits(logits, variables, images)
        head = None if i is None else calls.dense(vector.shape)[i].key
    return _assemble(images, sown, head, vector)


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


class _Call(NamedTuple):
    key: str  # of what was sown
    path: tuple[str, ...]
    is_dense: bool
    given: Any
    output: Any


class _Calls:
    """Numbers the layer calls of a forward pass and sows what they returned, and what may be a head's input."""

    def __init__(self):
        self._active = set()
        self._calls: list[_Call] = []

    def run(self, path, sow, is_dense: bool, call, args, kwargs):
        if path in self._active:  # super().__call__ of a layer that is being watched already
            return call(*args, **kwargs)
        self._active.add(path)
        try:
            out = call(*args, **kwargs)
        finally:
            self._active.discard(path)
        if isinstance(out, jax.Array) and not (args and out is args[0]):  # no tuples, no identities (dropout)
            key = f"{len(self._calls):06d}|{'/'.join(map(str, path))}"
            given = next((arg for arg in (*args, *kwargs.values()) if isinstance(arg, jax.Array)), None)
            self._calls.append(_Call(key, tuple(map(str, path)), is_dense, given, out))
            sow(name=key, value=out)
            if given is not None and path and _is_vector(given, len(out) if out.ndim else 0):
                sow(name=f"{key}|given", value=given)
        return out

    def head(self, answer: jax.Array, images: jax.Array, matrices: set[tuple[str, ...]]) -> str | None:
        """The innermost call whose output is the network's, if it has a weight matrix and reads vectors."""
        call = self.made(answer)
        if call is None or call.given is None or not _is_vector(call.given, len(images)):
            return None
        has_matrix = call.is_dense or any(path[: len(call.path)] == call.path for path in matrices)
        return call.key if has_matrix and (call.is_dense or call.given is not images) else None

    def made(self, answer: jax.Array) -> _Call | None:
        """The innermost call whose output is the network's."""
        return next((call for call in self._calls if call.output is answer and call.path), None)

    def dense(self, shape: tuple[int, ...]) -> list[_Call]:
        """Dense layers with outputs of a shape, whose inputs are vectors."""
        return [
            call for call in self._calls
            if call.is_dense and call.path and call.output.shape == shape and _is_vector(call.given, shape[0])
        ]  # fmt: skip


def main_answer(answer: Any, samples: int) -> jax.Array | None:
    """The vectors `[samples, dims]` that a network's answer is about: its logits, or the first; None without any."""
    if isinstance(answer, Mapping):
        named = [answer[name] for name in LOGITS if name in answer]
        answer = [*named, *answer.values()]
    leaves = [leaf for leaf in jax.tree.leaves(answer) if isinstance(leaf, jax.Array)]
    return next((leaf for leaf in leaves if _is_vector(leaf, samples)), None)


def _is_vector(array: jax.Array, samples: int) -> bool:
    return array.ndim >= 2 and array.shape[0] == samples and math.prod(array.shape[1:]) == max(array.shape[1:])


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """The keys of a path in a tree."""
    return tuple(str(getattr(part, "key", getattr(part, "idx", part))) for part in path)


def _latest(_, new):
    return new


def _nothing():
    return None


def _keyed(sown: Mapping[str, Any]) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(sown)[0]
    return {next(str(part.key) for part in path if "|" in str(part.key)): value for path, value in leaves}


def _assemble(images: jax.Array, sown: Mapping[str, Any], head: str | None, answer: jax.Array | None) -> Trace:
    keyed, outputs, last = _keyed(sown), {"input": images}, images
    for key in sorted(keyed):
        _, name, *given = key.split("|")
        value = keyed[key]
        if not given and value.ndim and value.shape[0] == images.shape[0] and (name or value is not last):
            outputs[free_name(name or "output", outputs)] = last = value
    return Trace(outputs, answer if head is None else keyed[f"{head}|given"])
