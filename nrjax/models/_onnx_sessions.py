"""Sessions of onnxruntime on a graph; inner tensors are added as outputs of the graph."""

# pyright: reportMissingImports=false

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line

NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8,
               "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32}  # fmt: skip
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}  # the fastest first


class Sessions:
    """A graph that gives any of its tensors.

    Args:
      proto: the model.
      source: what errors name.
      device: `cpu`, `cuda` or `cuda:1`; None is the fastest.

    Attributes:
      inputs: of the graph, with names, types and shapes.
      outputs: names of its own outputs.

    Raises:
      ValueError: onnxruntime cannot run it, or has no such device.
    """

    def __init__(self, proto: Any, source: str, device: str | None):
        self.onnx, self._runtime = framework("onnx", source), framework("onnxruntime", source)
        self._proto, self._device = proto, device
        try:
            self._session = self._open(proto)
        except Exception as error:
            raise ValueError(f"{source}: onnxruntime cannot run it: {first_line(error)}") from error
        self.inputs = self._session.get_inputs()
        self.outputs = [tensor.name for tensor in self._session.get_outputs()]
        self._opened: dict[tuple[str, ...], Any] = {}  # the last one, by the tensors that it gives

    def run(self, given: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, Any]:
        """Values of tensors by name."""
        names = tuple(names)
        if not names:
            return {}
        if names not in self._opened:
            self._opened = {names: self._session if set(names) <= set(self.outputs) else self._with_outputs(names)}
        return dict(zip(names, self._opened[names].run(list(names), dict(given)), strict=True))

    def _with_outputs(self, names: Sequence[str]) -> Any:
        """A session whose graph also returns inner tensors."""
        proto = self.onnx.ModelProto()
        proto.CopyFrom(self._proto)
        outputs = {tensor.name for tensor in proto.graph.output}
        proto.graph.output.extend(self.onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
        return self._open(proto)

    def _open(self, proto: Any) -> Any:
        settings = self._runtime.SessionOptions()
        settings.log_severity_level = 4
        available = self._runtime.get_available_providers()
        providers: list[Any] = [name for name in PROVIDERS.values() if name in available]
        if self._device is not None:
            kind, _, number = self._device.partition(":")
            if PROVIDERS.get(kind) not in available or not (number or "0").isdecimal():
                here = ", ".join(kind for kind, name in PROVIDERS.items() if name in available)
                raise ValueError(f"onnxruntime has no device {self._device!r} here; it has {here}.")
            options = {"device_id": number or "0"} if kind == "cuda" else {}
            providers = [(PROVIDERS[kind], options), PROVIDERS["cpu"]][: 1 if kind == "cpu" else 2]
        return self._runtime.InferenceSession(proto.SerializeToString(), settings, providers=providers)
