"""Products of vectors with weights that a PyTorch network computes by itself, outside of any module."""

# pyright: reportMissingImports=false

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from nrjax.models._heads import has_vectors

FUNCTIONS = (
    torch.nn.functional.linear, torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.__matmul__,
)  # fmt: skip


class Product(NamedTuple):
    """Stands for the module of a product."""

    weight: Any

    def children(self) -> tuple[()]:
        """There are none."""
        return ()

    def modules(self) -> tuple[()]:
        """There are none."""
        return ()

    def parameters(self) -> tuple[Any]:
        """The matrix."""
        return (self.weight,)

    def buffers(self) -> tuple[()]:
        """There are none."""
        return ()


class RecordProducts(TorchFunctionMode):
    """While entered, products of a vector for every sample with a matrix are recorded.

    Attributes:
      found: matrix, vectors and their product, in order.
    """

    def __init__(self, samples: int):
        super().__init__()
        self._samples = samples
        self.found: list[tuple[Product, Any, Any]] = []
        self._layers = 0  # of PyTorch that run, such as attention, which multiplies by its weights itself
        self._normalised: tuple[Any, Any] = (None, None)  # vectors of unit length, and what they were made of

    @contextlib.contextmanager
    def outside_of_layers(self, module: Any) -> Iterator[None]:
        """While entered, products within the layers of PyTorch are left out."""

        def begin(*_: Any) -> None:
            self._layers += 1

        def end(*_: Any) -> None:
            self._layers -= 1

        own = [part for part in module.modules() if type(part).__module__.startswith("torch.nn.modules.")]
        layers = [part for part in own if not isinstance(part, (torch.nn.Sequential, torch.nn.ModuleList))]
        handles = [handle for part in layers for handle in (
            part.register_forward_pre_hook(begin), part.register_forward_hook(end)
        )]  # fmt: skip
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls a function of PyTorch, and records it if it is such a product."""
        output = func(*args, **(kwargs or {}))
        if func is torch.nn.functional.normalize and has_vectors(output.shape, self._samples):
            self._normalised = (output, args[0])
        if (
            not self._layers
            and func in FUNCTIONS
            and len(args) > 1
            and isinstance(args[1], torch.Tensor)
            and args[1].ndim == 2
        ):
            if has_vectors(args[0].shape, self._samples) and has_vectors(output.shape, self._samples):
                read = self._normalised[1] if args[0] is self._normalised[0] else args[0]
                self.found.append((Product(args[1]), read.clone(), output.clone()))
        return output
