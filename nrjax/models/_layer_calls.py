"""Records which layers of a Flax network are called in a forward pass, what they return, and which is the head."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from nrjax.models._heads import has_vectors, main_name


class Call(NamedTuple):
    """One call of a layer."""

    key: str  # `<call number>|<path>`, under which its output is sown
    path: tuple[str, ...]  # empty for the network
    is_dense: bool
    given: Any  # the first array that it reads
    output: jax.Array


class LayerCalls:
    """Numbers the layer calls of a forward pass, and sows their outputs and the vectors that a head may read."""

    def __init__(self):
        self._active = set()
        self._calls: list[Call] = []

    def run(self, path: Any, sow: Callable[..., Any], is_dense: bool, call: Any, args: Any, kwargs: Any) -> Any:
        """Calls a layer and records it."""
        if path in self._active:  # super().__call__ of a layer that is being recorded already
            return call(*args, **kwargs)
        self._active.add(path)
        try:
            output = call(*args, **kwargs)
        finally:
            self._active.discard(path)
        if isinstance(output, jax.Array) and not (args and output is args[0]):  # no tuples, no identities (dropout)
            key = f"{len(self._calls):06d}|{'/'.join(map(str, path))}"
            given = next((arg for arg in (*args, *kwargs.values()) if isinstance(arg, jax.Array)), None)
            self._calls.append(Call(key, tuple(map(str, path)), is_dense, given, output))
            sow(name=key, value=output)
            if given is not None and path and has_vectors(given.shape, len(output) if output.ndim else 0):
                sow(name=f"{key}|given", value=given)
        return output

    def head(self, main: jax.Array, images: jax.Array) -> str | None:
        """The key of the innermost call that returned the main output, if it is a dense layer that reads vectors."""
        call = next((call for call in self._calls if call.output is main and call.path), None)
        is_head = call is not None and call.is_dense and has_vectors(call.given.shape, len(images))
        return call.key if call is not None and is_head else None

    def returning(self, main: jax.Array, matrices: set[tuple[str, ...]]) -> str | None:
        """The key of the innermost call with a weight matrix that returned the main output."""
        calls = (call for call in self._calls if call.output is main and call.path)
        return next((c.key for c in calls if any(path[: len(c.path)] == c.path for path in matrices)), None)


def main_output(output: Any, samples: int) -> jax.Array | None:
    """The main output of a network: the one whose name says so, the first vectors, or whatever has a row a sample.

    Vectors are `[samples, dims]`, with one number for every sample also `[samples]`.
    """
    if isinstance(output, Mapping):
        name = main_name(output)
        output = [output[name]] if name else list(output.values())
    leaves = (leaf for leaf in jax.tree.leaves(output) if isinstance(leaf, jax.Array))
    rows = [leaf for leaf in leaves if leaf.ndim and leaf.shape[0] == samples and leaf.dtype.kind not in "biu"]
    vectors = [leaf for leaf in rows if has_vectors(leaf.shape, samples)]
    return next(iter([*vectors, *(leaf for leaf in rows if leaf.ndim == 1), *rows]), None)
