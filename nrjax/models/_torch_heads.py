"""Which module of a PyTorch network is its head: found by what the modules took and gave in one forward pass.

The penultimate layer is what the head reads. The head is the innermost module with a weight matrix that reads a vector
a sample and whose answer is the network's answer. A network without one, such as an embedding model, is scored by its
own output.
"""

# pyright: reportMissingImports=false

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nrjax.models._model import free_name
from nrjax.models._torch_runs import is_program

LOGITS = ("logits", ".logits")  # what a network may call the answer that its classes are read from
CLOSE = 1e-4  # relative: the same numbers, but for the order of sums


class Call(NamedTuple):
    """One call of a module in a forward pass.

    Attributes:
      name: of the layer, one of its own for every call.
      module: that was called.
      given: its first floating-point tensor.
      answer: its first floating-point tensor.
    """

    name: str
    module: Any
    given: Any
    answer: Any


@contextlib.contextmanager
def hooked(module: Any, hook: Callable[[str], Any], path: str | None = None) -> Iterator[None]:
    """While entered, `hook(path)` sees every call of an inner module, or of that at one path.

    Of programs, which call no modules, there is nothing to see.
    """
    inner = ((name, one) for name, one in module.named_modules() if name and path in (None, name))
    handles = [
        one.register_forward_hook(hook(name), with_kwargs=True) for name, one in (() if is_program(module) else inner)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def calls_of(module: Any, samples: int, head: str | None = None) -> Iterator[list[Call]]:
    """Calls of inner modules that give a vector for every sample, in the order in which they end.

    Args:
      module: the network; None watches nothing.
      samples: in the batch.
      head: the name of the only call that is wanted; None wants all.
    """
    calls: list[Call] = []
    called: list[str] = []

    def hook(path: str) -> Any:
        def after(layer: Any, args: Any, named: Mapping[str, Any], answer: Any) -> None:
            name = free_name(path, called)
            called.append(name)
            given = next((tensors_of(arg) for arg in (*args, *named.values()) if tensors_of(arg)), {})
            value = tensors_of(answer).get("")
            if head not in (None, name) or not given or value is None:
                return
            if is_flat(value, samples):
                calls.append(Call(name, layer, given[""].clone(), value.clone()))  # which may be changed in place
            elif value.ndim == 4 and getattr(layer, "kernel_size", None) == (1, 1):  # a head whose answer is averaged
                read = given[""].mean(dim=(2, 3))
                calls.extend(Call(name, layer, read, logits.mean(dim=(2, 3))) for logits in (value, value.relu()))

        return after

    if module is None:
        yield calls
        return
    with hooked(module, hook, None if head is None else head.partition(":")[0]):
        yield calls


def tensors_of(answer: Any) -> dict[str, Any]:
    """Tensors of floating-point numbers in what a module answers: the first under no suffix, others under theirs."""
    import torch

    if isinstance(answer, torch.Tensor):
        return {"": answer} if answer.is_floating_point() else {}
    if dataclasses.is_dataclass(answer) and not isinstance(answer, Mapping):
        answer = {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
    if isinstance(answer, (list, tuple)):
        named = getattr(answer, "_fields", range(len(answer)))
        answer = dict(zip(map(str, named), answer, strict=True))
    if not isinstance(answer, Mapping):
        return {}
    found = {str(k): v for k, v in answer.items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    return {"" if i == 0 else f".{name}": value for i, (name, value) in enumerate(found.items())}


def is_flat(tensor: Any, samples: int) -> bool:
    """Whether a tensor is a vector for every sample: `[samples, dims]`, or with further axes of size one."""
    return tensor.ndim >= 2 and tensor.shape[0] == samples and tensor[0].numel() == max(tensor.shape[1:])


def main_answer(answers: Mapping[str, Any], samples: int) -> Any:
    """The tensor that a network's answer is about: its logits, or the first that is a vector for every sample.

    None where no tensor has a row for every sample.
    """
    rows = {name: value for name, value in answers.items() if value.ndim and value.shape[0] == samples}
    vectors = [value for value in rows.values() if is_flat(value, samples)]
    return next(iter([*(rows[name] for name in LOGITS if name in rows), *vectors, *rows.values()]), None)


def shared_head(calls: Sequence[Call], answer: Any) -> str | None:
    """The first dense layer of the answer's width: one of several heads whose logits are averaged."""
    dense = [call for call in calls if not any(call.module.children()) and has_matrix(call.module)]
    return next((call.name for call in dense if call.answer.shape == answer.shape), None)


def head_of(calls: Sequence[Call], answer: Any, batch: Any) -> str | None:
    """The name of the call whose input is the penultimate layer; None for a network without a head.

    Args:
      calls: in the order in which they ended, so that inner modules come before outer ones.
      answer: of the network; see `main_answer`.
      batch: that entered it.
    """
    samples = len(batch)
    if answer is None or not is_flat(answer, samples):
        return None
    answer = answer.reshape(samples, -1).float()
    source = next((call for call in calls if _same(call.answer, answer)), None)
    if source is not None and _is_head(source, batch):
        return source.name
    for call in reversed(calls):  # the network changed the logits by itself
        if _is_head(call, batch) and call.answer[0].numel() == answer.shape[1]:
            if _becomes(call.answer.reshape(samples, -1).float(), answer):
                return call.name
    return None


def _is_head(call: Call, batch: Any) -> bool:
    """Whether a call may be one of a head: it has weights, and reads and gives a vector a sample.

    What is made of modules and reads the network's input is the network, and no head.
    """
    samples = len(batch)
    if not (is_flat(call.given, samples) and is_flat(call.answer, samples) and has_matrix(call.module)):
        return False
    return not (any(call.module.children()) and _same(call.given, batch.reshape(samples, -1).float()))


def has_matrix(module: Any) -> bool:
    """Whether a module multiplies by a weight; quantised ones keep theirs packed."""
    packed = any("Linear" in type(inner).__name__ for inner in module.modules())
    return packed or any(weight.ndim >= 2 for weight in (*module.parameters(), *module.buffers()))


def _same(tensor: Any, answer: Any) -> bool:
    import torch

    if tensor.numel() != answer.numel() or tensor.shape[0] != answer.shape[0]:
        return False
    return torch.allclose(tensor.reshape(answer.shape).float(), answer, rtol=CLOSE, atol=CLOSE * _size(answer))


def _becomes(logits: Any, answer: Any) -> bool:
    """Whether an answer is made of logits as classifiers do: by a softmax, its logarithm, a sigmoid, a factor."""
    import torch

    factor = (logits * answer).sum() / (logits * logits).sum().clamp(min=1e-30)
    made = (logits.softmax(1), logits.log_softmax(1), logits.sigmoid(), factor * logits)
    return any(torch.allclose(one, answer, rtol=CLOSE, atol=CLOSE * _size(answer)) for one in made)


def _size(tensor: Any) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
