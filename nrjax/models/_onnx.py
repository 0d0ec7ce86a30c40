"""ONNX files in onnxruntime: inner tensors are added as outputs of the graph."""

# pyright: reportMissingImports=false

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nrjax._utils.messages import printable
from nrjax.models._code import version_of
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name, unique_name
from nrjax.models._model import Description, Model, Precision, unknown_shape
from nrjax.models._onnx_graph import Graph
from nrjax.models._onnx_heads import HeadSearch
from nrjax.models._onnx_inputs import inputs_of_graph, is_channels_last
from nrjax.models._onnx_sessions import NUMPY_TYPES, Sessions
from nrjax.models._pooling import pool_layer
from nrjax.models._preprocessing import Preprocessing, scales_images
from nrjax.models._steadiness import ONE_BY_ONE


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
        self._take(graph, sizes, dtype, preprocessing, image_size)
        search = HeadSearch(self._sessions.onnx, graph)
        self._penultimate = search.penultimate()
        self._remarks, self._values = search.remarks, graph.values
        if graph.quantises_batches and self.batch is None:
            self.batch = 1
            self._remarks.append(ONE_BY_ONE)
        self._input_layer = unique_name("input", self._values)  # the name of the layer that is the batch itself
        self._names_by_index: list[str] = []
        counts = [np.prod(list(tensor.dims), dtype=np.int64) for tensor in proto.graph.initializer]
        self.description = Description(int(np.sum(counts)), proto.ByteSize(), source)

    def _take(
        self, graph: Any, sizes: tuple[int | None, ...], dtype: object, preprocessing: Preprocessing | None,
        image_size: tuple[int, int] | None,
    ) -> None:  # fmt: skip
        """Sets the inputs; a graph that scales its images gets them as bytes are."""
        if preprocessing is None:
            takes_bytes = dtype != np.uint8 and scales_images(*self._factor_and_offset(graph, sizes, dtype))
            preprocessing = Preprocessing(scale=1.0 if takes_bytes else 1 / 255)
        has_no_size = len(sizes) == 3 and None in (sizes[:2] if is_channels_last(sizes) else sizes[1:])
        if image_size is not None and has_no_size and preprocessing.image_size is None:
            preprocessing = dataclasses.replace(preprocessing, image_size=image_size)
        self.inputs = inputs_of_graph(sizes, dtype, preprocessing)
        self.channels_first = not is_channels_last(sizes)

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The input, then every floating-point tensor of a node that has a row for every sample."""
        shape = tuple(input_shape or self.inputs.shape or ())
        if not shape:
            raise unknown_shape()
        dtype = np.uint8 if self.inputs.kind == "image" else np.float32
        return self._list_layers(self.inputs.prepare(np.zeros((self.batch or 1, *shape), dtype)))

    def _factor_and_offset(self, graph: Any, sizes: Sequence[int | None], dtype: Any) -> tuple[float, float]:
        """Factor and offset that are applied to an image before the first weights, by the results for 0 and 1."""
        read = graph.read_by_weights()
        if read is None or read == self._input.name or len(sizes) != 3:
            return 1.0, 0.0
        shape = (self.batch or 1, *(size or 32 for size in sizes))
        try:
            images = [np.full(shape, value, dtype) for value in (0, 1)]
            of_zero, of_one = (float(np.median(self._run(image, (read,))[read])) for image in images)
        except Exception:  # the network takes another size
            return 1.0, 0.0
        return of_one - of_zero, of_zero

    def remarks(self) -> list[str]:
        """About several heads, once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def _list_layers(self, batch: np.ndarray) -> list[Layer]:
        layers = [Layer(self._input_layer, tuple(batch.shape[1:]))]
        for name, value in self._run(batch, self._values).items():
            if value.ndim and value.shape[0] == len(batch) and value.dtype.kind == "f":
                layers.append(Layer(name, tuple(value.shape[1:])))
        return layers

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """`[samples, dims]` of every layer, float32 on the host."""
        if precision != "float32":
            raise ValueError("a file computes in the precision that it was exported in; leave precision out.")
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
