"""PyTorch modules: the output of every submodule, by hooks, in one forward pass on the module's own device."""

# pyright: reportMissingImports=false

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line
from nrjax.errors import LayerError
from nrjax.models._content import code_of
from nrjax.models._feature_maps import Maps
from nrjax.models._framework_content import hooks_of_all_modules
from nrjax.models._heads import has_vectors
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name, unique_name
from nrjax.models._model import Description, Inputs, Model, Precision, as_shape, unknown_shape
from nrjax.models._pooling import pool_layer
from nrjax.models._position_batches import PositionBatch
from nrjax.models._preprocessing import Preprocessing, scales_images, scales_itself
from nrjax.models._steadiness import ONE_BY_ONE
from nrjax.models._torch_calls import Call, hooked, record_calls, tensors_of
from nrjax.models._torch_heads import describe_heads, find_head, main_output
from nrjax.models._torch_maps import few_pictures, find_maps, vectors_of
from nrjax.models._torch_runs import (
    computing_in,
    described,
    holds_program,
    in_inference,
    is_accelerated,
    is_lazy,
    quantises_batches,
    weight_parts,
)

OUTPUT = "output"  # of the whole module
PROBED = 3  # samples that show which tensors have a row for each: a state of one or two layers has not


class TorchModel(Model):
    """A live `torch.nn.Module`, compiled or not; its weights, its device and its training mode stay as they are.

    Attributes:
      definition: what a module of a file computes, as text; None reads the code of the module.
      normalises: what is done to batches of uint8 `[samples, height, width, channels]` on the module's device.
      has_default_scale: whether uint8 images come from 0 to 1 because nobody said otherwise.
      remark_on_images: what there is to say where images enter it; empty for nothing.
    """

    classifies = True
    channels_first = True
    definition: str | None = None
    normalises: Preprocessing | None = None
    has_default_scale: bool = False
    remark_on_images: str = ""
    batch: int | None = None
    module: Any
    inputs: Inputs
    description: Description

    def __init__(self, module: Any, inputs: Inputs, description: Description | None = None):
        self._program, self.module, self.inputs = module, getattr(module, "_orig_mod", module), inputs
        self.description = description or described(module)
        self._names: list[str] | None = None  # of the layers, as the first batch showed them
        self._remarks: list[str] = []
        if quantises_batches(module):
            self.batch, self._remarks = 1, [ONE_BY_ONE]
        self._maps: Maps | None = None  # of the layers, as the first batch of positions showed them
        self._head: str | None = None  # the call whose input is the penultimate layer, empty where there is none

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Modules in order of execution, found by running samples of zeros."""
        shape = as_shape(input_shape) or self.inputs.shape
        if shape is None:
            raise unknown_shape()
        dtype = np.uint8 if self.inputs.kind == "image" else np.float32
        self._names = None
        outputs = self._run(self.inputs.prepare(np.zeros((PROBED, *shape), dtype)), None)
        return [Layer(name, tuple(value.shape[1:])) for name, value in outputs.items()]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """`[samples, dims]` of every layer, float32 on the host."""
        if isinstance(batch, PositionBatch):
            maps = self._find_maps(batch)
            return vectors_of(self._map_outputs(batch.pictures, maps.choose(layers), precision), maps, layers, batch)
        known = self._names
        if known is None:
            keep = None if any(isinstance(layer, int) for layer in layers) else set(layers)
        else:
            places = range(-len(known), len(known))
            keep = {known[layer] if isinstance(layer, int) and layer in places else layer for layer in layers}
        outputs = self._run(batch, keep, precision, penultimate=PENULTIMATE in layers)
        chosen = [layer_name(layer, self._names or [], PENULTIMATE in outputs) for layer in layers]
        for name in chosen:
            if name not in outputs:
                raise LayerError(f"The layer {name!r} gave no row for every sample of this batch.")
        pooled = (pool_layer(outputs[name], self.pooling, channels_first=self.channels_first) for name in chosen)
        return [features.float().cpu().numpy() for features in pooled]

    def map_layers(self, batch: Any) -> list[str]:
        """Layers with a map."""
        return self._find_maps(batch).with_map

    def _find_maps(self, batch: PositionBatch) -> Maps:
        if self._maps is None:
            outputs = self._run(few_pictures(batch), None)
            self._maps = find_maps(self.module, outputs, outputs["input"].shape[2:])
        return self._maps

    def _map_outputs(self, pictures: Any, names: Sequence[str], precision: Precision) -> dict[str, Any]:
        """Outputs by the names in `Maps`."""
        return self._run(pictures, set(names), precision)

    @property
    def accelerated(self) -> bool:
        """Whether the module is anywhere but on the CPU."""
        return is_accelerated(self.module)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The module with its submodules, code, hooks, parameters and buffers, and the hooks of all modules."""
        if self.definition is None:
            yield from code_of(self._program, hooks_of_all_modules())
        else:
            yield self.definition
            yield from weight_parts(self.module)

    def release(self) -> None:
        """Forgets the names of layers and the head: the module may have changed when it runs again."""
        self._names, self._head, self._maps = None, None, None

    def remarks(self) -> list[str]:
        """About random weights, several heads, or samples one by one; once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def blocks(self) -> list[str]:
        """The children of the longest list of modules, such as a transformer's layers."""
        import torch

        lists = [
            (name, module) for name, module in self.module.named_modules()
            if isinstance(module, (torch.nn.ModuleList, torch.nn.Sequential)) and name
        ]  # fmt: skip
        names = {layer.name for layer in self.layers()}
        blocks = [[f"{path}.{i}" for i in range(len(module)) if f"{path}.{i}" in names] for path, module in lists]
        return max([*blocks, []], key=len)

    def _run(
        self, batch: Any, keep: set | None, precision: Precision = "float32", *, penultimate: bool = False
    ) -> dict[str, Any]:  # fmt: skip
        """Outputs by layer, the input first: of the layers in `keep` or all, and on request the penultimate layer."""
        tensor = self._tensor(batch)
        self._initialise_lazy_layers(tensor)
        samples = len(tensor)
        outputs: dict[str, Any] = {}
        names: list[str] = []

        def record(name: str, value: Any) -> None:
            name = unique_name(name, names)
            names.append(name)
            if keep is None or name in keep:
                outputs[name] = value.clone()  # a later module may change it in place

        def hook(path: str) -> Callable[..., None]:
            def after(layer: Any, args: Any, named: Mapping[str, object], output: Any) -> None:
                args = (*args, *named.values())
                if self.has_default_scale and any(p.ndim > 1 for p in layer.parameters(recurse=False)):
                    self._look_at_scale(tensor, args)
                for suffix, value in tensors_of(output).items():
                    is_new = getattr(layer, "inplace", False) or not any(value is arg for arg in args)
                    if value.ndim and value.shape[0] == samples and is_new:
                        record(f"{path}{suffix}", value)

            return after

        record("input", tensor)
        with in_inference(self.module), self._computing_in(precision):
            recorded = self.module if penultimate else None
            with hooked(self.module, hook), record_calls(recorded, samples, self._head) as calls:
                output = self._call(tensor)
            tensors = tensors_of(output)
            if not tensors:
                raise ValueError(
                    f"the module answers with {type(output).__name__}, in which there is no tensor of floating-point "
                    "numbers, alone or in one tuple, mapping or dataclass; wrap it in a module that returns one."
                )
            for suffix, value in tensors.items():
                if value.ndim and value.shape[0] == samples:
                    record(f"{OUTPUT}{suffix}", value)
            if penultimate:
                outputs |= self._penultimate(calls, tensors, tensor)
        self._names = self._names or names
        return outputs

    def _look_at_scale(self, images: Any, read: Sequence[Any]) -> None:
        """Says where a network scales images, which it gets from 0 to 1, once more, by what its first weights read."""
        given = next(iter(tensors_of(read).values()), None)
        if images.ndim != 4 or not bool((images != images.flatten()[0]).any()):  # zeros show nothing
            return
        self.has_default_scale = False
        if given is None or given.shape != images.shape:
            return
        factor = float(given.float().std() / images.float().std())
        offset = float(given.float().mean() - factor * images.float().mean())
        if scales_images(factor, offset):
            self.remark_on_images = scales_itself(factor, offset)

    def _tensor(self, batch: Any) -> Any:
        """A batch on the module's device, normalised there if it is not yet."""
        import torch

        weights = next((p for p in self.module.parameters() if p.is_floating_point()), torch.zeros(0))
        tensor = torch.from_numpy(np.ascontiguousarray(batch)).to(weights.device)
        if self.normalises is not None and batch.dtype == np.uint8:
            tensor = tensor.flip(-1) if self.normalises.bgr else tensor
            affine = self.normalises.affine(batch.dtype)
            factor, shift = (torch.from_numpy(numbers.reshape(-1, 1, 1)).to(weights.device) for numbers in affine)
            tensor = (tensor.permute(0, 3, 1, 2).float() * factor + shift).contiguous()
        return tensor.to(weights.dtype) if tensor.is_floating_point() else tensor

    def _initialise_lazy_layers(self, tensor: Any) -> None:
        """Runs a batch through a module with lazy layers, which gives them random weights."""
        import torch

        if is_lazy(self.module):
            with torch.no_grad():
                self.module(tensor)
            self.description = described(self.module)
            self._remarks = ["lazy layers had no weights, and got random ones by the first batch."]

    def _computing_in(self, precision: Precision) -> Any:
        import torch

        return computing_in(precision, next((p.device for p in self.module.parameters()), torch.device("cpu")))

    def _call(self, tensor: Any) -> Any:
        """The module's output; the error about a size that it cannot take says what to do."""
        try:
            return self._program(tensor)
        except (RuntimeError, ValueError) as error:
            message = first_line(error, 300)
            is_about_shape = tensor.ndim == 4 and re.search(r"shape|size|channel|dimension", message)
            if self.inputs.shape is not None or not is_about_shape:
                raise
            raise ValueError(
                f"the network cannot take images [samples, channels, height, width] of {tuple(tensor.shape)}: give the "
                "shape that it takes, nrjax.from_torch(module, input_shape=(height, width, channels)). It says: "
                f"{message}"
            ) from error

    def _penultimate(self, calls: list[Call], tensors: Mapping[str, Any], batch: Any) -> dict[str, Any]:
        """The penultimate layer by its name; empty where there is neither a head nor a vector for every sample."""
        main = main_output(tensors, len(batch))
        if self._head is None and find_head(calls, main, batch) is None:
            with record_calls(self.module, len(batch), of_products=True) as products:
                self._call(batch)
            calls = [*calls, *products]
        head = find_head(calls, main, batch) or "" if self._head is None else self._head
        if not head and holds_program(self.module):
            raise LayerError(
                "The penultimate layer of a TorchScript or exported program is not known: its modules are not called. "
                f"Take layer={OUTPUT!r}, or pass the module that it was made of."
            )
        if self._head is None and (batch != batch[:1]).any():  # equal samples do not tell a head
            self._head = head
            self._remarks += self._remarks_on_heads(calls, tensors, batch)
        features = next((call.given for call in calls if call.name == head), main)
        return {PENULTIMATE: features} if features is not None and has_vectors(features.shape, len(batch)) else {}

    def _remarks_on_heads(self, calls: list[Call], tensors: Mapping[str, Any], batch: Any) -> list[str]:
        """What there is to say of several heads."""
        remark = describe_heads(calls, tensors, self._head or "", batch, self.module)
        return [remark] if remark else []
