"""Files of OpenVINO (`.xml` with its `.bin`): inner tensors are added as outputs of the graph."""

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
from nrjax.models._model import Description, Model
from nrjax.models._onnx import OnnxModel
from nrjax.models._preprocessing import Preprocessing

PASSED = ("Add", "Subtract", "Multiply", "Divide", "Convert", "Reshape", "Squeeze", "Softmax", "LogSoftmax", "Sigmoid",
          "Log", "Exp")  # between the head and the answer  # fmt: skip
WEIGHTED = ("MatMul", "Convolution", "GroupConvolution")
NO_LAYER = ("Parameter", "Constant", "Result")
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}  # else bfloat16 where a CPU has it
MAY_SCALE = (
    "images were scaled to [0, 1]. Converters merge a scaling into the first weights, where it cannot be seen: if the "
    "network scales images itself, pass preprocessing=Preprocessing(scale=1.0); if not, Preprocessing()."
)
MOST_TEXT = 1 << 28  # bytes of the graph


class OpenVinoModel(OnnxModel):
    """A graph of OpenVINO on the CPU: results of its operations by their names, in order of execution."""

    def __init__(
        self, runtime: Any, path: Path, source: str, preprocessing: Preprocessing | None,
        image_size: tuple[int, int] | None,
    ):  # fmt: skip
        self._core, self.files = runtime.Core(), (path, path.with_suffix(".bin"))
        self._graph = self._core.read_model(*map(str, self.files))
        if len(self._graph.inputs) != 1:
            names = ", ".join(printable(port.node.friendly_name) for port in self._graph.inputs[:5])
            raise ValueError(
                f"{source}: expected one input, images or arrays; it takes {len(self._graph.inputs)} ({names}). A "
                "network of texts can be an ONNX file with its tokenizer beside it, onnx:FILE."
            )
        self._nodes = self._graph.get_ordered_ops()
        self._places: dict[str, int] = {}  # of operations among the nodes, by the names of their layers
        for place, node in enumerate(self._nodes):
            if node.get_type_name() not in NO_LAYER and _is_number(node) and not _is_constant(node):
                self._places[unique_name(node.friendly_name, self._places)] = place
        self._values, self._programs = tuple(self._places), {}  # the last program, by the layers that it gives
        port = self._graph.inputs[0]
        self._input = types.SimpleNamespace(name=port.node.friendly_name)
        self._input_layer, self._names_by_index = unique_name("input", self._places), []
        sizes = [dim.get_length() if dim.is_static else None for dim in port.partial_shape]
        self.batch = sizes[0]
        self._take(self, tuple(sizes[1:]), port.element_type.to_dtype(), preprocessing, image_size)
        self._penultimate, self._remarks = self._find_penultimate(), remarks_on_scaling(self, preprocessing)
        numbers = sum(int(np.prod(node.shape)) for node in self._nodes
                      if node.get_type_name() == "Constant" and _is_number(node))  # fmt: skip
        self.description = Description(numbers, sum(file.stat().st_size for file in self.files), source)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The graph and its weights."""
        yield version_of("openvino")
        for file in self.files:
            yield file.read_bytes()

    def read_by_weights(self) -> str | None:
        """The result that the first weights read."""
        node = next((node for node in self._nodes if node.get_type_name() in WEIGHTED), None)
        return None if node is None else self._name_of(node.input_value(0).get_node())

    def _run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        chosen = tuple(name for name in names if name != self._input.name)
        if chosen and chosen not in self._programs:
            graph = self._graph.clone()
            nodes = graph.get_ordered_ops()
            asked = [nodes[self._places[name]] for name in chosen]
            graph.add_outputs([node.output(0) for node in asked])  # once each
            given = [result.input_value(0).get_node() for result in graph.get_results()]
            program = self._core.compile_model(graph, "CPU", SETTINGS)
            self._programs = {chosen: (program, [given.index(node) for node in asked])}
        program, order = self._programs.get(chosen, (None, []))
        results = program([batch]) if program else []
        return {name: np.array(results[place]) for name, place in zip(chosen, order, strict=True)}

    def _name_of(self, node: Any) -> str | None:
        place = self._nodes.index(node)
        return next((name for name, known in self._places.items() if known == place), self._input.name)

    def _find_penultimate(self) -> str | None:
        """What the last product with weights before the first output reads; else the output, if it is a vector."""
        node = answer = self._graph.outputs[0].get_node().input_value(0).get_node()
        if len(answer.output(0).partial_shape) != 2:
            return None
        while node.get_type_name() in PASSED:
            varying = [source for source in _sources(node) if not _is_constant(source)]
            if len(varying) != 1:
                break
            (node,) = varying
        is_head = node.get_type_name() in WEIGHTED and _is_constant(node.input_value(1).get_node())
        return self._name_of(node.input_value(0).get_node() if is_head else answer)


def remarks_on_scaling(model: Model, preprocessing: Preprocessing | None) -> list[str]:
    """`MAY_SCALE` where images are scaled unasked before they enter a converted network."""
    is_unsure = preprocessing is None and model.inputs.kind == "image" and model.inputs.preprocessing.endswith("/255")
    return [MAY_SCALE] if is_unsure else []


def _sources(node: Any) -> list[Any]:
    return [node.input_value(i).get_node() for i in range(node.get_input_size())]


def _is_number(node: Any) -> bool:
    return node.output(0).element_type.is_real()


def _is_constant(node: Any) -> bool:
    """Whether a result does not depend on the input, such as weights that are stored in float16."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.get_type_name() == "Parameter":
            return False
        waiting += _sources(node)
    return True


def load_openvino(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None,
    image_size: tuple[int, int] | None = None,
) -> OpenVinoModel:  # fmt: skip
    """The model of a file `.xml`, whose weights lie beside it in a `.bin`.

    Raises:
      ValueError: a file is missing, damaged, or takes something other than images or arrays.
    """
    who = shortened(f"openvino:{where}")
    path = base / Path(where).expanduser()
    if path.suffix.lower() != ".xml":
        raise ValueError(f"{who}: expected the file .xml of a model; its weights are the .bin beside it.")
    for file in (path, path.with_suffix(".bin")):
        check_regular(file, f"{who}: {printable(file.name)}")
    if path.stat().st_size > MOST_TEXT:
        raise ValueError(f"{who}: its graph is larger than {MOST_TEXT:,} bytes.")
    runtime = framework("openvino", who)
    try:
        return OpenVinoModel(runtime, path, who, preprocessing, image_size)
    except RuntimeError as error:
        raise ValueError(f"{who}: it is damaged, or OpenVINO cannot run it: {first_line(error)}") from error
