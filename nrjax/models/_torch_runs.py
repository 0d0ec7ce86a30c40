"""How PyTorch modules run: device, precision, mode; and their weights as arrays."""

# pyright: reportMissingImports=false

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line
from nrjax.models._model import Description, Precision


@contextlib.contextmanager
def computing_in(precision: Precision, device: Any) -> Iterator[None]:
    """PyTorch in this precision. By itself it rounds convolutions on CUDA to TF32, which is less than float32."""
    import torch

    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    rounds = precision == "tensorfloat32"
    if hasattr(matmul, "fp32_precision"):  # since PyTorch 2.9, which raises where the older switches are read as well
        switches, name, value = (matmul, cudnn.conv, cudnn.rnn), "fp32_precision", "tf32" if rounds else "ieee"
    else:
        switches, name, value = (matmul, cudnn), "allow_tf32", rounds
    before = [getattr(switch, name) for switch in switches]
    try:
        for switch in switches if device.type == "cuda" else ():
            setattr(switch, name, value)
        with torch.autocast(device.type, enabled=False):  # of the caller
            yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            if device.type == "cuda":
                setattr(switch, name, value)


def is_accelerated(module: Any) -> bool:
    """Whether a module is anywhere but on the CPU."""
    return any(p.device.type != "cpu" for p in module.parameters())


def is_program(module: Any) -> bool:
    """Whether a module is a program of TorchScript or of `torch.export`, which calls no modules."""
    import torch

    return isinstance(module, torch.jit.ScriptModule) or _is_exported(module)


def holds_program(module: Any) -> bool:
    """Whether a module is a program with weight matrices, or holds one."""
    return any(is_program(part) and any(p.ndim > 1 for p in part.parameters()) for part in module.modules())


def _is_exported(module: Any) -> bool:
    """Whether a module was made by `torch.export`; its mode cannot be changed."""
    import torch

    return isinstance(module, torch.fx.GraphModule) and "train" in vars(module)


def check_values(module: Any) -> None:
    """Raises ValueError for weights on the device `meta`; those that accelerate fetches from elsewhere are fine."""
    empty = [name for name, weight in module.named_parameters() if weight.device.type == "meta"]
    if empty and not any(hasattr(part, "_hf_hook") for part in module.modules()):
        raise ValueError(
            f"{len(empty)} of its weights lie on the device 'meta', which holds no values ({empty[0]}): load them, "
            "with load_state_dict(weights, assign=True), say."
        )


def is_lazy(module: Any) -> bool:
    """Whether a module has weights that its first batch initialises."""
    import torch

    return any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in module.parameters())


def quantises_batches(module: Any) -> bool:
    """Whether layers are quantised dynamically, by the range of a whole batch."""
    return any(".quantized.dynamic." in type(part).__module__ for part in module.modules())


def described(module: Any, source: str = "", **more: Any) -> Description:
    """The description of a module by its weights."""
    if is_lazy(module):
        return Description(source=source, **more)
    weights = getattr(module, "nrjax_weights", None) or list(module.parameters())
    return Description(
        sum(p.numel() for p in weights), sum(p.numel() * p.element_size() for p in weights), source, **more
    )


def order_convolutions(module: Any) -> Any:
    """A module from files with channels last in the memory of its convolutions, which is faster on CPUs.

    Their answers have the same order, so what reads them must not depend on strides: layers of timm do not.
    """
    import torch

    for part in () if is_accelerated(module) else module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    return module


def on_accelerator(module: Any, device: str | None = None) -> Any:
    """A module that was loaded from files, in inference mode on a device; None is the fastest.

    Raises:
      ValueError: there is no such device here.
    """
    import torch

    fastest = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return (module if _is_exported(module) else module.eval()).to(torch.device(device or fastest))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if device is None:
            raise
        raise ValueError(f"PyTorch has no device {device!r} here: {first_line(error)}") from error


@contextlib.contextmanager
def in_inference(module: Any) -> Iterator[None]:
    """Evaluation mode without gradients; restores the mode of every submodule afterwards."""
    import torch

    before = [] if _is_exported(module) else [(part, part.training) for part in module.modules()]
    sparse = next((part for part, _ in before if callable(getattr(part, "set_attention_type", None))), None)
    attention = getattr(sparse, "attention_type", None)
    if before:
        module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if sparse is not None and sparse.attention_type != attention:  # BigBird changes it for good at a short text
            sparse.set_attention_type(attention)
        for part, training in before:
            if part.training != training:
                if type(part).train is torch.nn.Module.train:
                    part.training = training
                else:  # it does more than that, such as taking adapters out of the weights again
                    part.train(training)


def tensors_on(device: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as tensors on a device."""
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in arrays.items()}


def weight_parts(module: Any) -> Iterator[str | np.ndarray]:
    """Parts of a fingerprint: the weights of a module, by name."""
    state = module.state_dict()
    for name in sorted(state):
        array = _as_array(state[name])
        yield f"{name} {array.dtype} {array.shape}"
        yield np.atleast_1d(array)


def _as_array(value: Any) -> np.ndarray:
    """An entry of a state as an array; bfloat16 by its bits."""
    import torch

    if not isinstance(value, torch.Tensor):
        return np.frombuffer(repr(value).encode(), np.uint8)
    if isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
        raise ValueError("the module has lazy layers without weights; send one batch through it first: module(batch).")
    value = value.detach().cpu()
    return (value.view(torch.int16) if value.dtype == torch.bfloat16 else value).numpy()
