"""Whether tensors of PyTorch are the same numbers, or the answer of a network made of its logits."""

# pyright: reportMissingImports=false

from typing import Any

CLOSE = 1e-4  # relative: the same numbers, but for the order of sums
FEW, FEW_IN_ORDER = 4, 6  # numbers that fit anything; samples that may be in order by chance


def are_close(tensor: Any, other: Any) -> bool:
    """Whether two tensors hold the same numbers, in any shape, but for the order of sums."""
    import torch

    if tensor.numel() != other.numel() or tensor.shape[0] != other.shape[0]:
        return False
    tensor, other = tensor.to(other.device), other.float()
    return torch.allclose(tensor.reshape(other.shape).float(), other, rtol=CLOSE, atol=CLOSE * largest(other))


def are_made_of(main: Any, logits: Any, is_own: bool) -> bool:
    """Whether the main output is made of these logits.

    A softmax, its logarithm, a sigmoid or an exponential makes it, with a factor for all and a shift for each; where
    the arithmetic `is_own` to the network also a factor for each. Constant outputs, as of masked classes, are left
    out. Of one number for every sample anything does that keeps or turns the order of samples. Logits come in the
    network's own precision, so that a softmax of half precision is rounded as the network rounds it.
    """
    import torch

    if logits.shape[1] == 1:
        ordered = main[logits[:, 0].argsort()].diff(dim=0)
        is_monotone = ((ordered >= 0).all(0) | (ordered <= 0).all(0)).all()
        return len(main) >= FEW_IN_ORDER and bool(is_monotone and (main.std(dim=0) > 0).all())
    if logits.shape != main.shape:
        return False
    if main.numel() < FEW:
        results = logits.softmax(1), logits.log_softmax(1), logits.sigmoid()
        return any(torch.allclose(result.float(), main, rtol=CLOSE, atol=CLOSE * largest(main)) for result in results)
    varies = (main != main[:1]).any(0)
    if 1 < int(varies.sum()) < main.shape[1]:
        logits, main = logits[:, varies], main[:, varies]
    by_class = len(main) >= FEW
    pairs = [(result.float(), main, False) for result in (
        logits.softmax(1), logits.log_softmax(1), logits.sigmoid(), logits.exp(), logits
    )]  # fmt: skip
    logits = logits.float()
    pairs += [(logits, main, True)] if is_own and by_class else []
    if bool((main > 0).all()) and are_close(main.sum(1), main.new_ones(len(main))):  # a softmax of shifted logits
        pairs.append((logits - logits.mean(1, keepdim=True), main.log() - main.log().mean(1, keepdim=True), False))
    for result, wanted, has_factors in pairs:
        middle = wanted.mean(0) if by_class else wanted.mean()
        varied = result - (result.mean(0) if by_class else result.mean())
        axis = 0 if has_factors else (0, 1)
        factor = (varied * (wanted - middle)).sum(axis) / (varied * varied).sum(axis).clamp(min=1e-30)
        if torch.allclose(varied * factor + middle, wanted, rtol=CLOSE, atol=CLOSE * largest(wanted)):
            return bool((factor != 0).any())
    return False


def largest(tensor: Any) -> float:
    """The largest size of a finite number; 0 where there is none."""
    return float(tensor.abs().nan_to_num(0.0, 0.0, 0.0).max()) if tensor.numel() else 0.0
