"""Which module of a PyTorch network is its head, by what the modules read and returned in one forward pass."""

# pyright: reportMissingImports=false

from collections.abc import Mapping, Sequence
from typing import Any

from nrjax.models._heads import LOGITS, has_vectors
from nrjax.models._torch_calls import Call

CLOSE = 1e-4  # relative: the same numbers, but for the order of sums


def main_output(tensors: Mapping[str, Any], samples: int) -> Any:
    """The main output of a network: its logits, or the first tensor that has a vector for every sample.

    Args:
      tensors: see `tensors_of`.
      samples: in the batch.

    Returns:
      None where no tensor has a row for every sample.
    """
    rows = {suffix: value for suffix, value in tensors.items() if value.ndim and value.shape[0] == samples}
    if f".{LOGITS}" in rows:
        return rows[f".{LOGITS}"]
    vectors = (value for value in rows.values() if has_vectors(value.shape, samples))
    return next(vectors, next(iter(rows.values()), None))


def find_head(calls: Sequence[Call], main: Any, batch: Any) -> str | None:
    """The name of the call whose input is the penultimate layer; None for a network without a head.

    Args:
      calls: in the order in which they ended, so that inner modules come before outer ones.
      main: output of the network; see `main_output`.
      batch: that entered it.
    """
    samples = len(batch)
    if main is None or not has_vectors(main.shape, samples):
        return None
    main = main.reshape(samples, -1).float()
    source = next((call for call in calls if _are_close(call.output, main)), None)
    if source is not None and _may_be_head(source, batch):
        return source.name
    for call in reversed(calls):  # the network changed the logits by itself
        if _may_be_head(call, batch) and call.output[0].numel() == main.shape[1]:
            if _may_be_logits_of(call.output.reshape(samples, -1).float(), main):
                return call.name
    return None


def find_shared_head(calls: Sequence[Call], main: Any) -> str | None:
    """The first dense layer of the main output's width: one of several heads whose logits are averaged."""
    dense = (call for call in calls if not any(call.module.children()) and _has_matrix(call.module))
    return next((call.name for call in dense if call.output.shape == main.shape), None)


def _may_be_head(call: Call, batch: Any) -> bool:
    """Whether a module may be a head: it has a weight matrix, and reads and returns a vector for every sample.

    A module that has modules within and reads the network's input is the network, and no head.
    """
    samples = len(batch)
    are_vectors = has_vectors(call.given.shape, samples) and has_vectors(call.output.shape, samples)
    if not are_vectors or not _has_matrix(call.module):
        return False
    return not (any(call.module.children()) and _are_close(call.given, batch.reshape(samples, -1).float()))


def _has_matrix(module: Any) -> bool:
    """Whether a module multiplies by a weight; quantised ones keep theirs packed."""
    is_packed = any("Linear" in type(inner).__name__ for inner in module.modules())
    return is_packed or any(weight.ndim >= 2 for weight in (*module.parameters(), *module.buffers()))


def _are_close(tensor: Any, other: Any) -> bool:
    import torch

    if tensor.numel() != other.numel() or tensor.shape[0] != other.shape[0]:
        return False
    return torch.allclose(tensor.reshape(other.shape).float(), other, rtol=CLOSE, atol=CLOSE * _largest(other))


def _may_be_logits_of(logits: Any, main: Any) -> bool:
    """Whether a softmax, its logarithm, a sigmoid or a factor makes the main output of these logits."""
    import torch

    factor = (logits * main).sum() / (logits * logits).sum().clamp(min=1e-30)
    results = (logits.softmax(1), logits.log_softmax(1), logits.sigmoid(), factor * logits)
    return any(torch.allclose(result, main, rtol=CLOSE, atol=CLOSE * _largest(main)) for result in results)


def _largest(tensor: Any) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
