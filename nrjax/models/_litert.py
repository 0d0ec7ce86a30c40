"""Files of LiteRT (`.tflite`): the results of its operations, without delegates, which would hide them."""

# pyright: reportMissingImports=false

import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._code import version_of
from nrjax.models._layer_choice import unique_name
from nrjax.models._model import Description
from nrjax.models._onnx import OnnxModel
from nrjax.models._openvino import remarks_on_scaling
from nrjax.models._preprocessing import Preprocessing

PASSED = ("ADD", "SUB", "MUL", "DIV", "RESHAPE", "SQUEEZE", "SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "QUANTIZE",
          "DEQUANTIZE")  # between the head and the answer  # fmt: skip
WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
MOST_BYTES = 1 << 31  # of a flatbuffer


class LiteRtModel(OnnxModel):
    """A file of LiteRT on the CPU: results of its operations by the names of their tensors, in order of execution."""

    def __init__(
        self, runtime: Any, path: Path, source: str, preprocessing: Preprocessing | None,
        image_size: tuple[int, int] | None,
    ):  # fmt: skip
        self._content, self.files = path.read_bytes(), (path,)
        plain = runtime.interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = runtime.interpreter.Interpreter(
            model_content=self._content, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain
        )
        schema = runtime.schema_py_generated
        model = schema.ModelT.InitFromPackedBuf(self._content)
        codes = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
        kinds = [codes.get(max(c.builtinCode, c.deprecatedBuiltinCode)) for c in model.operatorCodes]
        graph, given = model.subgraphs[0], self._interpreter.get_input_details()
        if len(given) != 1 or given[0]["dtype"] not in (np.float32, np.uint8):
            kind = ", ".join(f"{printable(port['name'])} of {np.dtype(port['dtype'])}" for port in given[:5])
            raise ValueError(f"{source}: expected one input, images or arrays in float32 or uint8; it takes {kind}.")
        self._port, self._answer = given[0], self._interpreter.get_output_details()[0]["index"]
        self._makers: dict[int, tuple[Any, list[int]]] = {}  # kind and inputs of what makes a tensor, by its index
        self._places: dict[str, int] = {}
        varying = {self._port["index"]}
        for operator in graph.operators:
            inputs = [int(index) for index in operator.inputs if index in varying]
            if not inputs:
                continue
            for index in map(int, operator.outputs):
                varying.add(index)
                self._makers[index] = kinds[operator.opcodeIndex], inputs
                self._places[unique_name(graph.tensors[index].name.decode(errors="replace"), self._places)] = index
        self._values, self._input = tuple(self._places), types.SimpleNamespace(name=self._port["name"])
        self._input_layer, self._names_by_index = unique_name("input", self._places), []
        signature = self._port["shape_signature"]
        sizes = tuple(int(size) if size > 0 else None for size in signature[1:])
        self.batch = None if self._takes_any([size or 32 for size in sizes]) else max(1, int(signature[0]))
        self._take(self, sizes, np.dtype(self._port["dtype"]), preprocessing, image_size)
        self._remarks = remarks_on_scaling(self, preprocessing)
        self._penultimate = self._find_penultimate(len(graph.tensors[self._answer].shape) == 2)
        constants = [tensor for tensor in graph.tensors if model.buffers[tensor.buffer].data is not None]
        numbers = sum(int(np.prod(tensor.shape)) for tensor in constants if tensor.shape is not None)
        self.description = Description(numbers, len(self._content), source)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The file."""
        yield version_of("ai_edge_litert")
        yield self._content

    def read_by_weights(self) -> str | None:
        """The result that the first weights read."""
        first = next((inputs[0] for kind, inputs in self._makers.values() if kind in WEIGHTED), None)
        return None if first is None else self._name_of(first)

    def _takes_any(self, sizes: Sequence[int]) -> bool:
        """Whether two samples go through at once, each with a row of the answer; many files take one alone."""
        try:
            return len(self._invoke(np.zeros((2, *sizes), self._port["dtype"]), [self._answer])[0]) == 2
        except (RuntimeError, ValueError, TypeError):
            return False

    def _run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        names = [name for name in names if name != self._input.name]
        return dict(zip(names, self._invoke(batch, [self._places[name] for name in names]), strict=True))

    def _invoke(self, batch: np.ndarray, indices: Sequence[int]) -> list[np.ndarray]:
        if not indices:
            return []
        self._interpreter.resize_tensor_input(self._port["index"], batch.shape)
        self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._port["index"], batch)
        self._interpreter.invoke()
        details = {tensor["index"]: tensor["quantization"] for tensor in self._interpreter.get_tensor_details()}
        return [_as_numbers(self._interpreter.get_tensor(index), *details[index]) for index in indices]

    def _name_of(self, index: int) -> str:
        return next((name for name, known in self._places.items() if known == index), self._input.name)

    def _find_penultimate(self, is_vector: bool) -> str | None:
        """What the last product with weights before the first output reads; else the output, if it is a vector."""
        index = self._answer
        while (maker := self._makers.get(index)) is not None and maker[0] in PASSED and len(maker[1]) == 1:
            (index,) = maker[1]
        is_head = maker is not None and maker[0] in WEIGHTED and len(maker[1]) == 1
        return self._name_of(maker[1][0] if is_head and maker else self._answer) if is_vector else None


def _as_numbers(values: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """What quantised values stand for; others as they are."""
    return values if not scale or values.dtype.kind == "f" else ((values.astype(np.float32) - zero) * scale)


def load_litert(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None,
    image_size: tuple[int, int] | None = None,
) -> LiteRtModel:  # fmt: skip
    """The model of a file `.tflite`.

    Raises:
      ValueError: it is missing, damaged, or takes something other than images or arrays.
    """
    who = shortened(f"litert:{where}")
    path = base / Path(where).expanduser()
    if check_regular(path, who).stat().st_size > MOST_BYTES:
        raise ValueError(f"{who}: it is larger than 2 GB.")
    framework("ai_edge_litert", who)
    import ai_edge_litert.interpreter
    import ai_edge_litert.schema_py_generated

    try:
        return LiteRtModel(ai_edge_litert, path, who, preprocessing, image_size)
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(who):
            raise
        raise ValueError(f"{who}: it is damaged, or LiteRT cannot run it: {first_line(error)}") from error
