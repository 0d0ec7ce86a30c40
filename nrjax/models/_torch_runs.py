"""How PyTorch modules run: on which device, in which precision and mode; and what their weights are."""

# pyright: reportMissingImports=false

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from nrjax.models._model import Description, Precision


@contextlib.contextmanager
def computing_in(precision: Precision, device: Any) -> Iterator[None]:
    """PyTorch with this precision. On CUDA it rounds convolutions to TF32 by itself, which float32 is not."""
    import torch

    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    rounds = precision == "tensorfloat32"
    if hasattr(matmul, "fp32_precision"):  # since PyTorch 2.9; to read the older switches beside it is an error
        switches, name, value = (matmul, cudnn.conv, cudnn.rnn), "fp32_precision", "tf32" if rounds else "ieee"
    else:
        switches, name, value = (matmul, cudnn), "allow_tf32", rounds
    before = [getattr(switch, name) for switch in switches]
    try:
        for switch in switches if device.type == "cuda" else ():
            setattr(switch, name, value)
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


def _is_exported(module: Any) -> bool:
    """Whether a module came of `torch.export`, in whose mode it stays."""
    import torch

    return isinstance(module, torch.fx.GraphModule) and "train" in vars(module)


def is_lazy(module: Any) -> bool:
    """Whether some of a module's weights are made by its first batch."""
    import torch

    return any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in module.parameters())


def described(module: Any, source: str = "", **more: Any) -> Description:
    """What a module's weights are."""
    if is_lazy(module):
        return Description(source=source, **more)
    weights = list(module.parameters())
    return Description(
        sum(p.numel() for p in weights), sum(p.numel() * p.element_size() for p in weights), source, **more
    )


def on_accelerator(module: Any) -> Any:
    """A module that was loaded from files, where it runs fastest; a live one stays on its own device."""
    import torch

    return module.eval().to("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def in_inference(module: Any) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every submodule is in the mode that it was in."""
    import torch

    before = [] if _is_exported(module) else [(one, one.training) for one in module.modules()]
    if before:
        module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for one, training in before:
            if one.training != training:
                if type(one).train is torch.nn.Module.train:
                    one.training = training
                else:  # it does more than that, such as taking adapters out of the weights again
                    one.train(training)


def numpy_of(value: Any) -> np.ndarray:
    """A tensor of the state as NumPy has it; bfloat16 by its bits."""
    import torch

    if not isinstance(value, torch.Tensor):
        return np.frombuffer(repr(value).encode(), np.uint8)
    if isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
        raise ValueError("the module has lazy layers without weights; send one batch through it first: module(batch).")
    value = value.detach().cpu()
    return (value.view(torch.int16) if value.dtype == torch.bfloat16 else value).numpy()
