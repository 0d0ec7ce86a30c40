"""PyTorch modules: what every submodule puts out, by hooks, in one forward pass on the module's own device."""

# pyright: reportMissingImports=false

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line
from nrjax.models._content import code_of
from nrjax.models._framework_content import hooks_of_all_modules
from nrjax.models._model import (
    PENULTIMATE,
    Description,
    Inputs,
    Layer,
    LayerChoice,
    LayerError,
    Model,
    Precision,
    free_name,
    named_layer,
    shape_of,
)
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._torch_heads import Call, calls_of, head_of, hooked, is_flat, main_answer, tensors_of
from nrjax.models._torch_runs import (
    computing_in,
    described,
    in_inference,
    is_accelerated,
    is_lazy,
    is_program,
)

OUTPUT = "output"  # of the whole module
PROBED = 3  # samples that show which tensors have a row for each: a state of one or two layers has not


class TorchModel(Model):
    """A live `torch.nn.Module`; its weights, its device and its training mode stay as they are.

    Attributes:
      normalises: what is done to batches of uint8 `[samples, height, width, channels]` on the module's device.
    """

    classifies = True
    normalises: Preprocessing | None = None

    def __init__(self, module: Any, inputs: Inputs, description: Description | None = None):
        self.module, self.inputs = module, inputs
        self.description = description or described(module)
        self._names: list[str] | None = None  # of the layers, as the first batch showed them
        self._remarks: list[str] = []
        self._head: str | None = None  # the call whose input is the penultimate layer, empty where there is none

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Modules as they run, found by sending one sample of zeros through."""
        shape = shape_of(input_shape) or self.inputs.shape
        if shape is None:
            raise ValueError("layers: this model does not know its input shape; give input_shape=(height, width, 3).")
        kind = np.uint8 if self.inputs.kind == "image" else np.float32
        self._names = None
        found = self._run(self.inputs.prepare(np.zeros((PROBED, *shape), kind)), None)
        return [Layer(name, tuple(value.shape[1:])) for name, value in found.items()]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """Of every layer `[samples, dims]`, float32 on the host."""
        wanted = None if any(isinstance(layer, int) for layer in layers) and self._names is None else set(layers)
        if self._names is not None:
            wanted = {self._names[layer] if isinstance(layer, int) and -len(self._names) <= layer < len(self._names)
                      else layer for layer in layers}  # fmt: skip
        found = self._run(batch, wanted, precision, penultimate=PENULTIMATE in layers)
        names = self._names or []
        chosen = [named_layer(layer, names, PENULTIMATE in found) for layer in layers]
        for name in chosen:
            if name not in found:
                raise LayerError(f"The layer {name!r} gave no row for every sample of this batch.")
        return [found[name].reshape(len(found[name]), -1).float().cpu().numpy() for name in chosen]

    @property
    def accelerated(self) -> bool:
        """Whether the module is anywhere but on the CPU."""
        return is_accelerated(self.module)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The module with its submodules, code, hooks, parameters and buffers, and the hooks of all modules."""
        yield from code_of(self.module, hooks_of_all_modules())

    def release(self) -> None:
        """Forgets what the last pass showed: the module may be another one when it runs again."""
        self._names, self._head = None, None

    def tensor(self, batch: Any) -> Any:
        """A batch on the module's device, normalised there if it is not yet."""
        import torch

        weights = next((p for p in self.module.parameters() if p.is_floating_point()), torch.zeros(0))
        tensor = torch.from_numpy(np.ascontiguousarray(batch)).to(weights.device)
        if self.normalises is not None and batch.dtype == np.uint8:
            tensor = tensor.flip(-1) if self.normalises.bgr else tensor
            affine = self.normalises.affine(batch.dtype)
            factor, shift = (torch.from_numpy(one.reshape(-1, 1, 1)).to(weights.device) for one in affine)
            tensor = (tensor.permute(0, 3, 1, 2).float() * factor + shift).contiguous()
        return tensor.to(weights.dtype) if tensor.is_floating_point() else tensor

    def cast(self, precision: Precision) -> Any:
        """The forward pass in the precision that is asked for."""
        import torch

        return computing_in(precision, next((p.device for p in self.module.parameters()), torch.device("cpu")))

    def _run(
        self, batch: Any, wanted: set | None, precision: Precision = "float32", *, penultimate: bool = False
    ) -> dict[str, Any]:  # fmt: skip
        """Outputs by layer, all or those wanted; the input first, and the penultimate layer if asked for."""
        import torch

        tensor = self.tensor(batch)
        if is_lazy(self.module):
            with torch.no_grad():
                self.module(tensor)
            self.description = described(self.module)
            self._remarks = ["lazy layers had no weights, and got random ones by the first batch."]
        samples = len(tensor)
        found: dict[str, Any] = {}
        names: list[str] = []

        def keep(name: str, value: Any) -> None:
            name = free_name(name, names)
            names.append(name)
            if wanted is None or name in wanted:
                found[name] = value.clone()  # what comes after may change it in place

        def hook(path: str):
            def after(layer: Any, args: Any, named: Mapping[str, Any], answer: Any) -> None:
                args = (*args, *named.values())
                for suffix, value in tensors_of(answer).items():
                    changed = getattr(layer, "inplace", False) or not any(value is arg for arg in args)
                    if value.ndim and value.shape[0] == samples and changed:
                        keep(f"{path}{suffix}", value)

            return after

        keep("input", tensor)
        with in_inference(self.module), self.cast(precision):
            watched = self.module if penultimate else None
            with hooked(self.module, hook), calls_of(watched, samples, self._head) as calls:
                answer = self._answer(tensor)
            own = tensors_of(answer)
            if not own:
                raise ValueError(f"the module answers with {type(answer).__name__}, in which there is no tensor.")
            for suffix, value in own.items():
                if value.ndim and value.shape[0] == samples:
                    keep(f"{OUTPUT}{suffix}", value)
            if penultimate:
                found |= self._penultimate(calls, main_answer(own, samples), tensor)
        self._names = self._names or names
        return found

    def _answer(self, tensor: Any) -> Any:
        """What the module answers; a size that it cannot take is said with what to do."""
        try:
            return self.module(tensor)
        except RuntimeError as error:
            said = first_line(error, 300)
            of_its_shape = tensor.ndim == 4 and re.search(r"shape|size|channel|dimension", said)
            if self.inputs.shape is not None or not of_its_shape:
                raise
            raise ValueError(
                f"the network cannot take images [samples, channels, height, width] of {tuple(tensor.shape)}: give the "
                f"shape that it takes, nrjax.from_torch(module, input_shape=(height, width, channels)). It says: {said}"
            ) from error

    def _penultimate(self, calls: list[Call], answer: Any, batch: Any) -> dict[str, Any]:
        """The penultimate layer by its name; nothing where there is neither a head nor a vector for every sample."""
        head = head_of(calls, answer, batch) or "" if self._head is None else self._head
        if (batch != batch[:1]).any():  # equal samples show nothing
            self._head = head
        if is_program(self.module):
            raise LayerError(
                "The penultimate layer of a TorchScript or exported program is not known: its modules are not called. "
                f"Take layer={OUTPUT!r}, or pass the module that it was made of."
            )
        given = [call.given for call in calls if call.name == head]
        read = given[0] if given else answer
        return {} if read is None or not is_flat(read, len(batch)) else {PENULTIMATE: read}

    def remarks(self) -> list[str]:
        """That its weights are random, once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def blocks(self) -> list[str]:
        """Blocks are the children of the longest list of modules, such as a transformer's layers."""
        import torch

        lists = [
            (name, module) for name, module in self.module.named_modules()
            if isinstance(module, (torch.nn.ModuleList, torch.nn.Sequential)) and name
        ]  # fmt: skip
        names = {layer.name for layer in self.layers()}
        found = [[f"{path}.{i}" for i in range(len(module)) if f"{path}.{i}" in names] for path, module in lists]
        return max([*found, []], key=len)


def from_torch(
    module: Any,
    *,
    input_shape: Sequence[int] | None = None,
    preprocessing: Preprocessing | None = None,
) -> TorchModel:
    """A live PyTorch module, in inference mode; its own mode comes back after every batch.

    Layers are its modules by path, in the order in which they run, after `input` and before `output`; those of a
    module that answers with a tuple, a mapping or a dataclass are `path`, its first tensor, and `path.NAME`. The
    penultimate layer is what the head reads: the innermost module with weights whose answer is the network's. Of a
    network without a head it is the network's own answer.

    Args:
      module: takes a batch of images `[samples, channels, height, width]`, or of whatever the samples are.
      input_shape: of one image `(height, width, channels)`, as everywhere in nrjax; images of another shape are then
        resized before they enter.
      preprocessing: of images; see `Preprocessing`. None is that of its configuration for a network of timm (unless an
        `input_shape` is given), else uint8 is scaled to [0, 1]. Images of one or three channels are turned to channels
        first, unless they lie so already, and so are those of `input_shape`; other arrays enter as they are.
    """
    if preprocessing is None and input_shape is None and hasattr(module, "pretrained_cfg"):
        if callable(getattr(module, "forward_head", None)):
            from nrjax.models._timm import from_timm

            return from_timm(module)
    preprocessing = preprocessing or Preprocessing()
    shape = shape_of(input_shape)
    inputs = image_inputs(shape, preprocessing, channels_first=True, as_bytes=lambda: is_accelerated(module))
    model = TorchModel(module, inputs)
    model.normalises = preprocessing
    return model


def image_inputs(
    shape: tuple[int, ...] | None, preprocessing: Preprocessing, *, channels_first: bool,
    as_bytes: Callable[[], bool] = lambda: False,
) -> Inputs:  # fmt: skip
    """Inputs of a network that gets normalised images from the host, or `as_bytes` what it normalises itself."""

    def prepare(images: Any) -> np.ndarray:
        if channels_first and _are_channels_first(images):
            images = images.transpose(0, 2, 3, 1)
        sized = preprocessing.sized(images, shape)
        volume = sized.ndim == 4 and sized.dtype != np.uint8 and sized.shape[3] not in (1, 3)  # as the network takes it
        if sized.ndim != 4 or (channels_first and shape is None and volume):
            return sized if sized.dtype.kind in "iu" and sized.dtype != np.uint8 else sized.astype(np.float32)
        if sized.dtype == np.uint8 and as_bytes():
            return sized
        return preprocessing.normalised(sized, channels_first=channels_first)

    def ready(images: np.ndarray) -> bool:
        bytes_of_images = images.ndim == 4 and images.dtype == np.uint8 and as_bytes()
        lie = not (channels_first and _are_channels_first(images))
        return bytes_of_images and lie and preprocessing.ready(images, shape)

    target = preprocessing.target(shape)
    kind = "image" if target is not None and len(target) == 3 else "array"
    return Inputs(kind, target, preprocessing.words(shape), prepare, ready)


def _are_channels_first(images: Any) -> bool:
    """Whether images lie as PyTorch has them already."""
    grey_or_colour = (1, 3)
    is_array = isinstance(images, np.ndarray) and images.ndim == 4
    return is_array and images.shape[1] in grey_or_colour and images.shape[3] not in grey_or_colour
