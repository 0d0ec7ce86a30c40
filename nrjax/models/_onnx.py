"""ONNX files in onnxruntime: inner tensors are added as outputs of the graph."""

# pyright: reportMissingImports=false

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nrjax._utils.messages import printable
from nrjax.models._code import version_of
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name, unique_name
from nrjax.models._model import Description, Inputs, Model, Precision, unknown_shape
from nrjax.models._onnx_graph import Graph
from nrjax.models._onnx_sessions import NUMPY_TYPES, Sessions
from nrjax.models._pooling import pool_layer
from nrjax.models._preprocessing import Preprocessing, scales_images


class OnnxModel(Model):
    """A file of ONNX: tensors by their names, in the order of its nodes."""

    classifies = True

    def __init__(
        self, proto: Any, source: str, preprocessing: Preprocessing | None,
        image_size: tuple[int, int] | None = None, device: str | None = None,
    ):  # fmt: skip
        self._sessions, self._proto = Sessions(proto, source, device), proto
        inputs = self._sessions.inputs
        if len(inputs) != 1:
            names = ", ".join(tensor.name for tensor in inputs[:5])
            raise ValueError(
                f"{source}: expected one input, images or arrays, or tokens (input_ids, attention_mask); it takes "
                f"{len(inputs)} ({printable(names)})."
            )
        self._input = inputs[0]
        if self._input.type not in NUMPY_TYPES:
            raise ValueError(f"{source}: its input is {self._input.type}; expected numbers.")
        dtype, shape = NUMPY_TYPES[self._input.type], self._input.shape
        self.batch = shape[0] if shape and isinstance(shape[0], int) else None
        sizes = tuple(n if isinstance(n, int) and n > 0 else None for n in shape[1:])
        graph = Graph(self._sessions.onnx, proto)
        if preprocessing is None:
            takes_bytes = scales_images(*graph.arithmetic()) and dtype != np.uint8
            preprocessing = Preprocessing(scale=1.0 if takes_bytes else 1 / 255)
        if image_size is not None and len(sizes) == 3 and preprocessing.image_size is None:
            preprocessing = dataclasses.replace(preprocessing, image_size=image_size)
        self.inputs = _inputs(sizes, dtype, preprocessing)
        self.channels_first = not _is_channels_last(sizes)
        self._penultimate = graph.penultimate()
        self._values = graph.values
        self._input_layer = unique_name("input", self._values)  # the name of the layer that is the batch itself
        self._names_by_index: list[str] = []
        counts = [np.prod(list(tensor.dims), dtype=np.int64) for tensor in proto.graph.initializer]
        self.description = Description(int(np.sum(counts)), proto.ByteSize(), source)

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The input, then every floating-point tensor of a node that has a row for every sample."""
        shape = tuple(input_shape or self.inputs.shape or ())
        if not shape:
            raise unknown_shape()
        dtype = np.uint8 if self.inputs.kind == "image" else np.float32
        return self._list_layers(self.inputs.prepare(np.zeros((self.batch or 1, *shape), dtype)))

    def _list_layers(self, batch: np.ndarray) -> list[Layer]:
        layers = [Layer(self._input_layer, tuple(batch.shape[1:]))]
        for name, value in self._run(batch, self._values).items():
            if value.ndim and value.shape[0] == len(batch) and value.dtype.kind == "f":
                layers.append(Layer(name, tuple(value.shape[1:])))
        return layers

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """`[samples, dims]` of every layer, float32 on the host."""
        if precision != "float32":
            raise ValueError("an ONNX file computes in the precision that it was exported in; leave precision out.")
        names = [self._input_layer, *self._values]
        if any(isinstance(layer, int) for layer in layers):
            self._names_by_index = self._names_by_index or [layer.name for layer in self._list_layers(batch)]
            names = self._names_by_index
        chosen = [layer_name(layer, names, self._penultimate is not None) for layer in layers]
        tensors = [(self._penultimate or "") if name == PENULTIMATE else name for name in chosen]
        values = self._run(batch, tuple(dict.fromkeys(name for name in tensors if name != self._input_layer)))
        values |= {self._input_layer: batch, self._input.name: batch}
        for name in tensors:
            if not values[name].ndim or values[name].shape[0] != len(batch):
                raise ValueError(
                    f"the tensor {printable(str(name))} has shape {values[name].shape}, no row for every sample."
                )
        return [
            pool_layer(np.asarray(values[name], np.float32), self.pooling, channels_first=self.channels_first)
            for name in tensors
        ]

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The graph with its weights."""
        yield version_of("onnxruntime")
        yield self._proto.SerializeToString(deterministic=True)

    def _run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """Values of tensors by name."""
        names = [name for name in names if name != self._input.name]
        return self._sessions.run({self._input.name: batch}, names)


def _is_channels_last(sizes: Sequence[int | None]) -> bool:
    return len(sizes) == 3 and sizes[2] in (1, 3) and sizes[0] not in (1, 3)


def _inputs(sizes: tuple[int | None, ...], dtype: Any, preprocessing: Preprocessing) -> Inputs:
    """Inputs of a graph; `sizes` are those of one sample, None where any is taken."""
    default = Preprocessing()
    values = (preprocessing.mean, preprocessing.std, preprocessing.scale)
    if dtype == np.uint8 and values != (default.mean, default.std, default.scale):
        raise ValueError("it takes images as they are, from 0 to 255; leave mean, std and scale out.")
    if len(sizes) != 3:
        shape = tuple(n for n in sizes if n is not None) if None not in sizes else None
        return Inputs("array", shape, "none", lambda arrays: np.asarray(arrays, dtype))
    channels_last = _is_channels_last(sizes)
    channels = (sizes[2] if channels_last else sizes[0]) or 3
    height, width = sizes[:2] if channels_last else sizes[1:]
    shape = (height, width, channels) if height and width else None
    if preprocessing.image_size is not None:
        shape = (*preprocessing.image_size, channels)

    def prepare(images: Any) -> np.ndarray:
        sized = preprocessing.sized(images, shape)
        if sized.ndim == 4 and shape is None and sized.shape[-1] != channels and sized.dtype == np.uint8:
            sized = preprocessing.sized(sized, (*sized.shape[1:3], channels))
        if dtype == np.uint8:  # the network scales
            return np.ascontiguousarray(sized if channels_last else sized.transpose(0, 3, 1, 2), dtype)
        return preprocessing.normalised(sized, channels_first=not channels_last).astype(dtype, copy=False)

    return Inputs("image", shape, preprocessing.words(shape), prepare)
