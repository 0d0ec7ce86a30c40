"""ONNX files in onnxruntime: inner tensors are added as outputs, the size is checked before anything is read."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._code import version_of
from nrjax.models._frameworks import framework
from nrjax.models._model import (
    PENULTIMATE,
    Description,
    Inputs,
    Layer,
    LayerChoice,
    Model,
    Precision,
    free_name,
    named_layer,
)
from nrjax.models._onnx_graph import Graph
from nrjax.models._preprocessing import LARGE_OFFSET, SMALL_SLOPE, Preprocessing

MOST_BYTES = (1 << 31) - (1 << 20)  # of the weights: protobuf ends at 2 GB
NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8,
               "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32}  # fmt: skip


class OnnxModel(Model):
    """A file of ONNX: tensors by their names, in the order of its nodes."""

    classifies = True

    def __init__(self, proto: Any, source: str, preprocessing: Preprocessing | None):
        onnx, runtime = framework("onnx", source), framework("onnxruntime", source)
        self._onnx, self._runtime, self._proto = onnx, runtime, proto
        try:
            self._session = self._opened(proto)
        except Exception as error:
            raise ValueError(f"{source}: onnxruntime cannot run it: {first_line(error)}") from error
        taken = self._session.get_inputs()
        if len(taken) != 1:
            named = ", ".join(one.name for one in taken[:5])
            raise ValueError(
                f"{source}: expected one input, images or arrays; it takes {len(taken)} ({printable(named)})."
            )
        self._input = taken[0]
        if self._input.type not in NUMPY_TYPES:
            raise ValueError(f"{source}: its input is {self._input.type}; expected numbers.")
        shape = self._input.shape
        self.batch = shape[0] if shape and isinstance(shape[0], int) else None
        sizes = tuple(n if isinstance(n, int) and n > 0 else None for n in shape[1:])
        graph = Graph(onnx, proto)
        if preprocessing is None:
            factor, offset = graph.arithmetic()
            by_itself = abs(factor) < SMALL_SLOPE or abs(offset) > LARGE_OFFSET
            preprocessing = Preprocessing(
                scale=1.0 if by_itself and NUMPY_TYPES[self._input.type] != np.uint8 else 1 / 255
            )
        self.inputs = self._inputs_of(sizes, preprocessing)
        self._outputs = [one.name for one in self._session.get_outputs()]
        self._penultimate = graph.penultimate()
        self._values = graph.values
        self._own = free_name("input", self._values)  # what the layer of the samples themselves is called
        self._by_place: list[str] = []
        parameters = [np.prod(list(one.dims), dtype=np.int64) for one in proto.graph.initializer]
        self.description = Description(int(np.sum(parameters)), proto.ByteSize(), source)
        self._sessions: dict[tuple[str, ...], Any] = {}

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The input, then every floating-point tensor that a node gives for every sample."""
        shape = tuple(input_shape or self.inputs.shape or ())
        if not shape:
            raise ValueError("layers: this model does not know its input shape; give input_shape=(height, width, 3).")
        count = self.batch or 1
        kind = np.uint8 if self.inputs.kind == "image" else np.float32
        batch = self.inputs.prepare(np.zeros((count, *shape), kind))
        return self._listed(batch)

    def _listed(self, batch: np.ndarray) -> list[Layer]:
        listed = [Layer(self._own, tuple(batch.shape[1:]))]
        for name, value in self._run(batch, self._values).items():
            if value.ndim and value.shape[0] == len(batch) and value.dtype.kind == "f":
                listed.append(Layer(name, tuple(value.shape[1:])))
        return listed

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """Of every layer `[samples, dims]`, float32 on the host."""
        if precision != "float32":
            raise ValueError("an ONNX file computes in the precision that it was exported in; leave precision out.")
        names = [self._own, *self._values]
        if any(isinstance(layer, int) for layer in layers):
            self._by_place = self._by_place or [layer.name for layer in self._listed(batch)]
            names = self._by_place
        chosen = [named_layer(layer, names, self._penultimate is not None) for layer in layers]
        tensors = [(self._penultimate or "") if name == PENULTIMATE else name for name in chosen]
        found = self._run(batch, tuple(dict.fromkeys(name for name in tensors if name != self._own)))
        found |= {self._own: batch, self._input.name: batch}
        kept = []
        for name in tensors:
            value = found[name]
            if not value.ndim or value.shape[0] != len(batch):
                raise ValueError(f"the tensor {printable(str(name))} has shape {value.shape}, no row for every sample.")
            kept.append(np.asarray(value, np.float32).reshape(len(batch), -1))
        return kept

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The graph with its weights."""
        yield version_of("onnxruntime")
        yield self._proto.SerializeToString(deterministic=True)

    def _run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        names = tuple(name for name in names if name != self._input.name)
        if not names:
            return {}
        if names not in self._sessions:
            self._sessions = {names: self._session if set(names) <= set(self._outputs) else self._with_outputs(names)}
        return dict(zip(names, self._sessions[names].run(list(names), {self._input.name: batch}), strict=True))

    def _with_outputs(self, names: Sequence[str]) -> Any:
        """A session whose graph also gives inner tensors."""
        proto = self._onnx.ModelProto()
        proto.CopyFrom(self._proto)
        there = {one.name for one in proto.graph.output}
        proto.graph.output.extend(self._onnx.ValueInfoProto(name=name) for name in names if name not in there)
        return self._opened(proto)

    def _opened(self, proto: Any) -> Any:
        settings = self._runtime.SessionOptions()
        settings.log_severity_level = 4
        wanted = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider")
                  if p in self._runtime.get_available_providers()]  # fmt: skip
        return self._runtime.InferenceSession(proto.SerializeToString(), settings, providers=wanted)

    def _inputs_of(self, sizes: tuple[int | None, ...], preprocessing: Preprocessing) -> Inputs:
        made, dtype = preprocessing, NUMPY_TYPES[self._input.type]
        if dtype == np.uint8 and (made.mean, made.std, made.scale) != (Preprocessing().mean, (1.0,), 1 / 255):
            raise ValueError("it takes images as they are, from 0 to 255; leave mean, std and scale out.")
        if len(sizes) != 3:
            shape = tuple(n for n in sizes if n is not None) if None not in sizes else None
            return Inputs("array", shape, "none", lambda arrays: np.asarray(arrays, dtype))
        channels_last = sizes[2] in (1, 3) and sizes[0] not in (1, 3)
        channels = (sizes[2] if channels_last else sizes[0]) or 3
        height, width = sizes[:2] if channels_last else sizes[1:]
        shape = (height, width, channels) if height and width else None
        if made.image_size is not None:
            shape = (*made.image_size, channels)

        def prepare(images: Any) -> np.ndarray:
            sized = made.sized(images, shape)
            if sized.ndim == 4 and shape is None and sized.shape[-1] != channels and sized.dtype == np.uint8:
                sized = made.sized(sized, (*sized.shape[1:3], channels))
            if dtype == np.uint8:  # it scales by itself
                return np.ascontiguousarray(sized if channels_last else sized.transpose(0, 3, 1, 2), dtype)
            return made.normalised(sized, channels_first=not channels_last).astype(dtype, copy=False)

        return Inputs("image", shape, made.words(shape), prepare)


def load_onnx(where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None) -> OnnxModel:
    """The model of a file, with external data that lie in its folder.

    Args:
      where: the file.
      base: what a relative path is relative to.
      preprocessing: what the exported network expects; an ONNX file does not say it. Default: stretched to the size of
        the input, and scaled to [0, 1], or left in [0, 255] where its first nodes scale.

    Raises:
      ValueError: it is no ONNX file, is damaged or too large, or wants data outside its folder.
    """
    who = shortened(f"onnx:{where}")
    onnx = framework("onnx", who)
    path = base / Path(where).expanduser()
    check_regular(path, who)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{who}: it is larger than 2 GB; rank_batch takes features that you extract yourself.")
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
        if not proto.graph.node:
            raise ValueError("it has no nodes")
    except Exception as error:
        raise ValueError(f"{who}: it is damaged or no ONNX file: {first_line(error)}") from error
    data = _load_external(onnx, proto, path.parent, who, path.stat().st_size)
    model = OnnxModel(proto, who, preprocessing)
    model.files = (path, *data)
    return model


def _load_external(onnx: Any, proto: Any, folder: Path, who: str, size: int) -> list[Path]:
    """Reads weights that lie in other files, which may not be anywhere but in the folder; returns those files."""
    external = onnx.external_data_helper
    tensors = [one for one in external._get_all_tensors(proto) if external.uses_external_data(one)]
    for tensor in tensors:
        location = external.ExternalDataInfo(tensor).location
        target = folder / location
        if Path(location).is_absolute() or not target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{who}: it wants data outside its folder ({printable(shortened(location, 80))}).")
        check_regular(target, f"{who}: its data {printable(shortened(location, 80))}")
    files = sorted({folder / external.ExternalDataInfo(one).location for one in tensors})
    if size + sum(file.stat().st_size for file in files) > MOST_BYTES:
        raise ValueError(f"{who}: with its data it is larger than 2 GB; rank_batch takes features that you extract.")
    try:
        for tensor in tensors:
            external.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    except Exception as error:
        raise ValueError(f"{who}: its data cannot be read: {first_line(error)}") from error
    return files
