"""Which module of a PyTorch network is its head, by what the modules read and returned in one forward pass."""

# pyright: reportMissingImports=false

from collections.abc import Mapping, Sequence
from typing import Any

from nrjax._utils.messages import shortened
from nrjax.models._heads import has_vectors, main_name
from nrjax.models._torch_calls import Call
from nrjax.models._torch_logits import CLOSE, are_close, are_made_of, largest

RECURRENT = "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"  # layers with matrices that are no heads


def main_output(tensors: Mapping[str, Any], samples: int) -> Any:
    """The main output of a network: the one whose name says so, or the first that has a vector for every sample.

    One number for every sample, as of a binary classifier, is a vector of one dimension.

    Args:
      tensors: see `tensors_of`.
      samples: in the batch.

    Returns:
      None where no tensor has a row for every sample.
    """
    rows = {suffix: value for suffix, value in tensors.items() if value.ndim and value.shape[0] == samples}
    name = main_name(suffix.removeprefix(".") for suffix in rows)
    vectors = (value for value in rows.values() if has_vectors(value.shape, samples))
    main = rows[f".{name}"] if name else next(vectors, next(iter(rows.values()), None))
    return main[:, None] if main is not None and main.ndim == 1 else main


def find_head(calls: Sequence[Call], main: Any, batch: Any) -> str | None:
    """The name of the call whose input is the penultimate layer; None for a network without a head.

    Args:
      calls: in the order in which they ended, so that inner modules come before outer ones.
      main: output of the network; see `main_output`.
      batch: that entered it.
    """
    samples = len(batch)
    if main is None or main.shape[0] != samples or not main.numel():
        return None
    are_vectors, main = has_vectors(main.shape, samples), main.reshape(samples, -1).float()
    source = next((call for call in calls if are_close(call.output, main)), None)
    if source is not None and _may_be_head(source, batch):
        return source.name
    if not are_vectors:  # a map, or something else that no dense layer answers
        return None
    is_own = not _ends_in_module(calls, main)
    for call in reversed(calls):  # the network changed the logits by itself
        has_size = call.output[0].numel() in (1, main.shape[1])
        logits = call.output.reshape(samples, -1)
        if has_size and _may_be_head(call, batch) and are_made_of(main, logits, is_own):
            return call.name
    summands = _parts(calls, main, batch) or _summands(calls, main, batch)
    read = [_read_by_all(call, calls) for call in summands]
    return summands[0].name if read and all(are_close(each, read[0]) for each in read) else None


def describe_heads(
    calls: Sequence[Call], tensors: Mapping[str, Any], head: str, batch: Any, module: Any
) -> str | None:  # fmt: skip
    """A remark on a network of several heads that read different vectors, or of an unknown one; None for any other.

    Args:
      calls: all of them.
      tensors: the outputs; see `tensors_of`.
      head: the name of the call whose input is taken, empty for none.
      batch: that entered the network.
      module: the network.
    """
    main = main_output(tensors, len(batch))
    if not head:
        if main is None or not has_vectors(main.shape, len(batch)):
            return None
        main = main.reshape(len(batch), -1).float()
        summands = _summands(calls, main, batch)
        if not summands:
            last = _last_dense(calls, main, batch, module)
            return last and (
                f"its output is made of what {last} answers, but not as a head's is, and is taken as it is; or choose "
                "a layer."
            )
        names = shortened(", ".join(call.name for call in summands))
        return f"its output is the sum of what {names} answer, and is taken as it is; or choose a layer that they read."
    by_name = {call.name: call for call in calls}
    heads = {find_head(calls, value, batch) for value in tensors.values() if value.shape[:1] == batch.shape[:1]}
    others = sorted(
        name for name in heads - {head}
        if name and not are_close(by_name[name].given, by_name[head].given.reshape(len(batch), -1).float())
    )  # fmt: skip
    if not others:
        return None
    names = shortened(", ".join(others))
    return f"it has several heads, and what {head} reads is taken; {names} read something else: choose a layer."


def _ends_in_module(calls: Sequence[Call], main: Any) -> bool:
    """Whether an innermost module returns the main output, and no arithmetic of the network's own."""
    return any(are_close(call.output, main) for call in calls if not any(call.module.children()))


def _last_dense(calls: Sequence[Call], main: Any, batch: Any, module: Any) -> str | None:
    """The last layer with a weight matrix, if it is dense and the network makes its main output of it by itself.

    None for embeddings of unit length, and where a block of layers answers.
    """
    matrices = [part for part in module.modules() if not any(part.children()) and _has_matrix(part)]
    dense = [call for call in calls if call.module is matrices[-1] and "|" not in call.name] if matrices else []
    has_unit_length = are_close(main.norm(dim=1), main.new_ones(len(main)))
    blocks = (call for call in calls if not are_close(call.given, batch.reshape(len(batch), -1).float()))
    ends_in_block = any(are_close(call.output, main) for call in blocks)
    if not dense or has_unit_length or ends_in_block or not _may_be_head(dense[-1], batch):
        return None
    return dense[-1].name


def _summands(calls: Sequence[Call], main: Any, batch: Any) -> list[Call]:
    """Dense layers whose outputs, each by a factor, add up to the main output; none where they do not."""
    import torch

    dense: list[Call] = []
    for call in calls:
        has_shape = call.output[0].numel() == main.shape[1] and not any(call.module.children())
        is_new = has_shape and not any(are_close(call.output, other.output.reshape(main.shape)) for other in dense)
        if is_new and _may_be_head(call, batch):
            dense.append(call)
    if len(dense) < 2 or main.numel() < 4 * len(dense):
        return []
    answers = torch.stack([call.output.reshape(-1) for call in dense], 1).double().cpu()
    factors = torch.linalg.lstsq(answers, main.reshape(-1, 1).double().cpu(), driver="gelsd").solution
    if not torch.allclose(answers @ factors, main.reshape(-1, 1).double().cpu(), atol=CLOSE * largest(main), rtol=0):
        return []
    return [call for call, factor in zip(dense, factors[:, 0].tolist(), strict=True) if abs(factor) > CLOSE]


def _parts(calls: Sequence[Call], main: Any, batch: Any) -> list[Call]:
    """Dense layers whose outputs beside each other are the main output; none where they are not."""
    found: list[Call] = []
    dense = [call for call in calls if not any(call.module.children()) and call.output[0].numel() < main.shape[1]]
    while (done := sum(call.output[0].numel() for call in found)) < main.shape[1]:
        rest = (call for call in dense if are_close(call.output, main[:, done : done + call.output[0].numel()]))
        part = next((call for call in rest if _may_be_head(call, batch)), None)
        if part is None:
            return []
        found.append(part)
    return found


def _read_by_all(call: Call, calls: Sequence[Call]) -> Any:
    """The vectors that a dense layer reads, or those of the dense layer before it, as in a low-rank change."""
    given = call.given.reshape(len(call.given), -1).float()
    before = next((other for other in calls if other is not call and are_close(other.output, given)), None)
    is_dense = before is not None and not any(before.module.children()) and _has_matrix(before.module)
    return before.given.reshape(len(given), -1).float() if before is not None and is_dense else given


def find_averaged_heads(calls: Sequence[Call], main: Any, batch: Any) -> list[str]:
    """Names of the heads whose logits are averaged; of those that read the same vectors the first alone.

    A head is the outermost affine module with these logits, such as a dense layer with a norm before it.
    """
    main = main.reshape(len(batch), -1).float()
    heads = []
    for inner in _summands(calls, main, batch):
        logits = inner.output.reshape(main.shape).float()
        heads += [call for call in calls if are_close(call.output, logits) and _may_be_head(call, batch)][-1:]
    are_equal = all(are_close(head.given, heads[0].given.flatten(1).float()) for head in heads)
    return [head.name for head in (heads[:1] if are_equal else heads)]


def find_dense(calls: Sequence[Call], main: Any) -> str | None:
    """The first dense layer of the main output's width: one of several heads whose logits are made into one."""
    dense = (call for call in calls if not any(call.module.children()) and _has_matrix(call.module))
    return next((call.name for call in dense if call.output.shape == main.shape), None)


def _may_be_head(call: Call, batch: Any) -> bool:
    """Whether a module may be a head: it has a weight matrix, and reads and returns a vector for every sample.

    A module that has modules within is none if it reads the network's input, for it is the network, or if it is no
    linear function of the length or the direction of what it reads, for it is a block of layers.
    """
    samples = len(batch)
    are_vectors = has_vectors(call.given.shape, samples) and has_vectors(call.output.shape, samples)
    if not are_vectors or not _has_matrix(call.module) or type(call.module).__name__ in RECURRENT:
        return False
    if not any(call.module.children()) or "Linear" in type(call.module).__name__:  # quantised ones have modules within
        return True
    return not are_close(call.given, batch.reshape(samples, -1).float()) and _is_linear(call)


def _is_linear(call: Call) -> bool:
    """Whether a module is affine, or does not depend on the length of vectors; one that reads more than them is not."""
    given, other = call.given, call.given.roll(1, 0)
    try:
        half, of_other, of_twice = (call.module(vectors) for vectors in ((given + other) / 2, other, 2 * given))
        of_means, of_directions = (call.output + of_other) / 2, call.output
        return are_close(half, of_means.float()) or are_close(of_twice, of_directions.float())
    except Exception:  # such as for want of another argument
        return False


def _has_matrix(module: Any) -> bool:
    """Whether a module multiplies by a weight; quantised ones keep theirs packed."""
    is_packed = any("Linear" in type(inner).__name__ for inner in module.modules())
    return is_packed or any(weight.ndim >= 2 for weight in (*module.parameters(), *module.buffers()))
