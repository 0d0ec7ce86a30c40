"""Calls of the modules within a PyTorch network in one forward pass, recorded by hooks."""

# pyright: reportMissingImports=false

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from nrjax.models._heads import has_vectors
from nrjax.models._layer_choice import unique_name
from nrjax.models._torch_runs import is_program

PRODUCT = "product"  # the beginning of a name, of a product outside of modules


class Call(NamedTuple):
    """One call of a module in a forward pass."""

    name: str  # of the layer, another one for every call
    module: Any
    given: Any  # the first floating-point tensor that it reads
    output: Any  # the first one that it returns


@contextlib.contextmanager
def hooked(module: Any, hook: Callable[[str], Any], path: str | None = None) -> Iterator[None]:
    """While entered, `hook(path)` is called after every call of an inner module, or of the one at a path.

    Programs of TorchScript and `torch.export` call no modules, so their hooks are never called; those within a module
    take none.
    """
    inner = [(name, part) for name, part in module.named_modules() if name and path in (None, name)]
    handles = [
        part.register_forward_hook(hook(name), with_kwargs=True)
        for name, part in (() if is_program(module) else inner) if not is_program(part)
    ]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def record_calls(
    module: Any, samples: int, head: str | None = None, *, of_products: bool = False
) -> Iterator[list[Call]]:  # fmt: skip
    """Records calls of inner modules that return a vector for every sample, in the order in which they end.

    Args:
      module: the network; None records nothing.
      samples: in the batch.
      head: the name of the only call to record; None records all.
      of_products: whether products outside of modules are recorded instead.
    """
    calls: list[Call] = []
    names: list[str] = []

    def hook(path: str) -> Callable[..., None]:
        def after(layer: Any, args: Any, named: Mapping[str, object], output: Any) -> None:
            name = unique_name(path, names)
            names.append(name)
            given = next((tensors[""] for arg in (*args, *named.values()) if (tensors := tensors_of(arg))), None)
            value = tensors_of(output).get("")
            if given is None or value is None or (head is not None and head.partition("|")[0] != name):
                return
            for pool, read, answer in _vectors_of(layer, given, value, samples):
                if head in (None, f"{name}{pool}"):
                    calls.append(Call(f"{name}{pool}", layer, read, answer))

        return after

    if module is None:
        yield calls
        return
    if of_products or (head or "").startswith(PRODUCT):
        from nrjax.models._torch_products import RecordProducts

        mode = RecordProducts(samples)
        with mode.outside_of_layers(module), mode:
            yield calls
        calls += (Call(f"{PRODUCT} {i}", *product) for i, product in enumerate(mode.found))
        return
    with hooked(module, hook, None if head is None else re.split("[:|]", head)[0]):
        yield calls


def _vectors_of(layer: Any, given: Any, value: Any, samples: int) -> Iterator[tuple[str, Any, Any]]:
    """Vectors that a layer may have read and returned, and how they were pooled: `|mean` of all positions, or none.

    A convolution or a dense layer of tokens may be a head whose output is pooled later. A convolution of the whole map
    is a dense layer of its numbers. The vectors are copies, because later modules may change them in place.
    """
    size: Any = getattr(layer, "kernel_size", None)
    is_convolution = isinstance(size, tuple) and given.ndim == len(size) + 2 and getattr(layer, "groups", 1) == 1
    if has_vectors(value.shape, samples):
        is_whole = is_convolution and tuple(given.shape[2:]) == size
        yield "", given.flatten(1).clone() if is_whole else given.clone(), value.clone()
    elif is_convolution and set(size) == {1} and value.shape[2:] == given.shape[2:]:
        read, answer = given.flatten(2), value.flatten(2)  # `[samples, channels, places]`
        yield "|mean", read.mean(dim=2), answer.mean(dim=2)
        yield "|mean of the positive", read.mean(dim=2), answer.relu().mean(dim=2)
        yield "|largest", read.amax(dim=2), answer.amax(dim=2)
    elif value.ndim == 3 == given.ndim and "Linear" in type(layer).__name__ and given.shape[:2] == value.shape[:2]:
        for axis, where in ((1, ""), (0, " of the first axis")):  # that of the tokens
            if value.shape[1 - axis] == samples:
                yield f"|mean{where}", given.mean(dim=axis), value.mean(dim=axis)
                yield f"|first{where}", given.select(axis, 0).clone(), value.select(axis, 0).clone()
                yield f"|last{where}", given.select(axis, -1).clone(), value.select(axis, -1).clone()


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
