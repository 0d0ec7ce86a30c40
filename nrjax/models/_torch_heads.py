"""Which module of a PyTorch network is its head: found by what the modules took and gave in one forward pass.

The penultimate layer is what the head reads. The head is the innermost module with a weight matrix that reads a vector
a sample and whose answer is the network's answer. A network without one, such as an embedding model, is scored by its
own output.
"""

# pyright: reportMissingImports=false

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    if not (is_flat(call.given, samples) and is_flat(call.answer, samples) and _has_matrix(call.module)):
        return False
    return not (any(call.module.children()) and _same(call.given, batch.reshape(samples, -1).float()))


def _has_matrix(module: Any) -> bool:
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
