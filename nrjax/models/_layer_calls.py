"""Records which layers of a Flax network are called in a forward pass, what they return, and which is the head."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from nrjax.models._heads import LOGITS, has_vectors

MAIN_OUTPUTS = (LOGITS, "output", "out")  # names of the output that is preferred to the others


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

    def head(self, main: jax.Array, images: jax.Array, matrices: set[tuple[str, ...]]) -> str | None:
        """The key of the innermost call that returned the main output, if it has a weight matrix and reads vectors."""
        call = self.returning(main)
        if call is None or call.given is None or not has_vectors(call.given.shape, len(images)):
            return None
        has_matrix = call.is_dense or any(path[: len(call.path)] == call.path for path in matrices)
        return call.key if has_matrix and (call.is_dense or call.given is not images) else None

    def returning(self, main: jax.Array) -> Call | None:
        """The innermost call that returned the main output."""
        return next((call for call in self._calls if call.output is main and call.path), None)

    def dense(self, shape: tuple[int, ...]) -> list[Call]:
        """Calls of dense layers with outputs of a shape and vectors as inputs."""
        return [
            call for call in self._calls
            if call.is_dense and call.path and call.output.shape == shape and has_vectors(call.given.shape, shape[0])
        ]  # fmt: skip


def main_output(output: Any, samples: int) -> jax.Array | None:
    """The main output of a network, vectors `[samples, dims]`: its logits, or the first vectors; None without any."""
    if isinstance(output, Mapping):
        preferred = [output[name] for name in MAIN_OUTPUTS if name in output]
        output = [*preferred, *output.values()]
    leaves = [leaf for leaf in jax.tree.leaves(output) if isinstance(leaf, jax.Array)]
    return next((leaf for leaf in leaves if has_vectors(leaf.shape, samples)), None)
