"""Calls of the modules within a PyTorch network in one forward pass, recorded by hooks."""

# pyright: reportMissingImports=false

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from nrjax.models._heads import has_vectors
from nrjax.models._layer_choice import unique_name
from nrjax.models._torch_runs import is_program


class Call(NamedTuple):
    """One call of a module in a forward pass."""

    name: str  # of the layer, another one for every call
    module: Any
    given: Any  # the first floating-point tensor that it reads
    output: Any  # the first one that it returns


@contextlib.contextmanager
def hooked(module: Any, hook: Callable[[str], Any], path: str | None = None) -> Iterator[None]:
    """While entered, `hook(path)` is called after every call of an inner module, or of the one at a path.

    Programs of TorchScript and `torch.export` call no modules, so their hooks are never called.
    """
    inner = [(name, part) for name, part in module.named_modules() if name and path in (None, name)]
    handles = [
        part.register_forward_hook(hook(name), with_kwargs=True)
        for name, part in (() if is_program(module) else inner)
    ]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def record_calls(module: Any, samples: int, head: str | None = None) -> Iterator[list[Call]]:
    """Records calls of inner modules that return a vector for every sample, in the order in which they end.

    Args:
      module: the network; None records nothing.
      samples: in the batch.
      head: the name of the only call to record; None records all.
    """
    calls: list[Call] = []
    names: list[str] = []

    def hook(path: str) -> Callable[..., None]:
        def after(layer: Any, args: Any, named: Mapping[str, Any], output: Any) -> None:
            name = unique_name(path, names)
            names.append(name)
            given = next((tensors[""] for arg in (*args, *named.values()) if (tensors := tensors_of(arg))), None)
            value = tensors_of(output).get("")
            if head not in (None, name) or given is None or value is None:
                return
            if has_vectors(value.shape, samples):
                calls.append(Call(name, layer, given.clone(), value.clone()))  # later modules may change them in place
            elif value.ndim == 4 and getattr(layer, "kernel_size", None) == (1, 1):  # a head whose output is averaged
                mean = given.mean(dim=(2, 3))
                calls.extend(Call(name, layer, mean, logits.mean(dim=(2, 3))) for logits in (value, value.relu()))

        return after

    if module is None:
        yield calls
        return
    with hooked(module, hook, None if head is None else head.partition(":")[0]):
        yield calls


def tensors_of(output: Any) -> dict[str, Any]:
    """Floating-point tensors in the output of a module: the first under an empty suffix, others under `.NAME`."""
    import torch

    if isinstance(output, torch.Tensor):
        return {"": output} if output.is_floating_point() else {}
    if dataclasses.is_dataclass(output) and not isinstance(output, Mapping):
        output = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, (list, tuple)):
        names = getattr(output, "_fields", range(len(output)))
        output = dict(zip(map(str, names), output, strict=True))
    if not isinstance(output, Mapping):
        return {}
    tensors = {str(k): v for k, v in output.items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    return {"" if i == 0 else f".{name}": value for i, (name, value) in enumerate(tensors.items())}
