"""Products of vectors with weights that a PyTorch network computes by itself, outside of any module."""

# pyright: reportMissingImports=false

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from nrjax.models._heads import has_vectors

FUNCTIONS = (
    torch.nn.functional.linear, torch.matmul, torch.mm, torch.addmm, torch.tensordot, torch.einsum, torch.cdist,
    torch.nn.functional.cosine_similarity, torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.__matmul__,
)  # fmt: skip
QUOTIENTS = torch.div, torch.Tensor.div, torch.Tensor.__truediv__
CLOSE = 1e-4  # to a length of 1


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

        def begin(*_: object) -> None:
            self._layers += 1

        def end(*_: object) -> None:
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
        if self._layers:
            return output
        if func is torch.nn.functional.normalize and has_vectors(output.shape, self._samples):
            self._normalised = (output, args[0])
        elif func in QUOTIENTS and isinstance(args[0], torch.Tensor) and _are_directions(output, self._samples):
            self._normalised = (output, args[0])
        elif func in FUNCTIONS and has_vectors(output.shape, self._samples):
            tensors = _tensors_in([*args, *(kwargs or {}).values()])
            vectors = next((t for t in tensors if has_vectors(t.shape, self._samples)), None)
            weight = next((t for t in tensors if t is not vectors and _is_matrix(t)), None)
            if vectors is not None and weight is not None:
                read = self._normalised[1] if self._are_normalised(vectors) else vectors
                self.found.append((Product(weight), read.clone(), output.clone()))
        return output

    def _are_normalised(self, vectors: torch.Tensor) -> bool:
        """Whether vectors are those that were normalised last, perhaps times a factor."""
        directions = self._normalised[0]
        if vectors is directions or directions is None or vectors.shape != directions.shape:
            return vectors is directions
        factor = vectors.norm() / directions.norm()
        return bool(torch.allclose(vectors, directions * factor, rtol=0, atol=CLOSE * float(factor)))


def _tensors_in(args: Iterable[Any]) -> list[torch.Tensor]:
    """The tensors among arguments, which `einsum` takes as a list, too."""
    found = [entry for arg in args for entry in (arg if isinstance(arg, (list, tuple)) else [arg])]
    return [entry for entry in found if isinstance(entry, torch.Tensor)]


def _is_matrix(tensor: torch.Tensor) -> bool:
    return tensor.ndim == 2 or (tensor.ndim == 3 and len(tensor) == 1)


def _are_directions(output: Any, samples: int) -> bool:
    """Whether a tensor is a vector of length 1 for every sample."""
    if not isinstance(output, torch.Tensor) or not has_vectors(output.shape, samples) or output[0].numel() < 2:
        return False
    return bool(((output.reshape(samples, -1).float().norm(dim=1) - 1).abs() < CLOSE).all())
