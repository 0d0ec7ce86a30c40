"""The graph of an ONNX file: its inner tensors, its head, and the arithmetic before its first weights."""

# pyright: reportMissingImports=false

import math
from collections.abc import Iterator
from typing import Any

from nrjax.models._heads import is_vector, main_name

FLOATS = (1, 10, 11)  # element types of ONNX: float, float16, double
DENSE = ("Gemm", "MatMul", "FusedGemm", "FusedMatMul", "MatMulNBits", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
         "MatMulInteger")  # fmt: skip
QUANTISED = ("QGemm", "QLinearMatMul")  # dense layers that read integers, their scale and their zero
PASSES = ("Softmax", "LogSoftmax", "Sigmoid", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast",
          "Dropout", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")  # fmt: skip
ARITHMETIC = ("Add", "Sub", "Mul", "Div")


class Graph:
    """A graph with the known types of its tensors.

    Attributes:
      values: names of the nodes' tensors that are floating-point numbers, or whose type is not known, in order.
    """

    def __init__(self, onnx: Any, proto: Any):
        self._onnx, self._graph = onnx, proto.graph
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._weights = set(self._constants)  # and what is computed from weights alone
        for node in proto.graph.node:  # a node comes after those that it reads
            if all(given in self._weights for given in node.input if given) and not node.op_type.startswith("Random"):
                self._weights |= set(node.output)
                if node.op_type == "Constant":
                    self._constants[node.output[0]] = next((a.t for a in node.attribute if a.name == "value"), None)
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self._types = {
            tensor.name: tensor.type.tensor_type for tensor in (*inferred.input, *inferred.value_info, *inferred.output)
        }
        self._sources = {name: node for node in proto.graph.node for name in node.output}
        self.values = tuple(
            name for node in proto.graph.node for name in node.output
            if name and name not in self._weights
            and (name not in self._types or self._types[name].elem_type in (0, *FLOATS))
        )  # fmt: skip

    def penultimate(self) -> str | None:
        """The tensor that the head reads, else the main output; None where that is no vector for every sample.

        The input of a quantised head is added to the graph as floating-point numbers.
        """
        outputs = [tensor.name for tensor in self._graph.output]
        main = main_name(outputs) or outputs[0]
        read = self._read_by_head(main)
        return read if read is not None else main if self._may_be_vector(main) else None

    def arithmetic(self) -> tuple[float, float]:
        """Factor and offset that the first nodes apply to the input, as means over channels."""
        name = next(tensor.name for tensor in self._graph.input if tensor.name not in self._weights)
        factor, offset = 1.0, 0.0
        while True:
            nodes = [node for node in self._graph.node if name in node.input]
            if len(nodes) != 1:
                return factor, offset
            node = nodes[0]
            if node.op_type in ("Cast", "Identity", "Transpose", "Pad"):
                name = node.output[0]
                continue
            operands = [given for given in node.input if given != name]
            number = self._mean(operands[0]) if node.op_type in ARITHMETIC and len(operands) == 1 else None
            is_reversed = node.op_type in ("Sub", "Div") and node.input[0] != name  # such as 1 - x
            if number is None or is_reversed or (node.op_type == "Div" and not number):
                return factor, offset
            if node.op_type in ("Mul", "Div"):
                number = number if node.op_type == "Mul" else 1 / number
                factor, offset = factor * number, offset * number
            else:
                offset += number if node.op_type == "Add" else -number
            name = node.output[0]

    def _read_by_head(self, name: str) -> str | None:
        """The input of the head whose output a tensor is; None where there is no head."""
        while (node := self._sources.get(name)) is not None:
            inputs = self._inputs_of(node)
            if node.op_type in (*DENSE, *QUANTISED, "Conv"):
                return self._read_by_dense(node)
            if node.op_type == "Add" and len(inputs) == 2:  # such as a head and its low-rank change
                chains = [list(self._dense_inputs(given)) for given in inputs]
                return next((given for given in chains[0] if given in chains[1] and self._may_be_vector(given)), None)
            if node.op_type not in PASSES and not (node.op_type in ARITHMETIC and len(inputs) == 1):
                return None
            name = inputs[0] if inputs else ""
        return None

    def _inputs_of(self, node: Any) -> list[str]:
        """Inputs of a node that are no weights."""
        return [given for given in node.input if given and given not in self._weights]

    def _read_by_dense(self, node: Any) -> str | None:
        """The input of a dense layer; None where the node is none, or reads no vectors."""
        if node.op_type in ("Gemm", "MatMul", "FusedGemm", "FusedMatMul") and node.input[1] not in self._weights:
            return None
        if any(a.name == "activation" and a.s not in (b"", b"Sigmoid") for a in node.attribute):
            return None
        given = node.input[0]
        while (source := self._sources.get(given)) is not None and source.op_type in PASSES and not (
            source.op_type in ("Reshape", "Flatten", "Squeeze") and self._may_be_vector(given)
        ):  # fmt: skip
            given = source.input[0]
        if not self._may_be_vector(given):
            return None
        return self._in_floats(given, node) if node.op_type in QUANTISED else given

    def _in_floats(self, name: str, node: Any) -> str:
        """The name of a quantised tensor as floating-point numbers, by the scale and zero of the node that reads it."""
        if self._types.get(name) is not None and self._types[name].elem_type in FLOATS:
            return name
        added = self._onnx.helper.make_node("DequantizeLinear", list(node.input[:3]), [f"{name} in floats"])
        self._graph.node.append(added)
        self.values = (*self.values, added.output[0])
        return added.output[0]

    def _dense_inputs(self, name: str) -> Iterator[str]:
        """Inputs of the dense layers that compute a tensor, from the last to the first."""
        while (node := self._sources.get(name)) is not None:
            inputs = self._inputs_of(node)
            if node.op_type in DENSE and len(inputs) == 1:
                yield inputs[0]
            elif node.op_type not in PASSES and not (node.op_type in ARITHMETIC and len(inputs) == 1):
                return
            name = inputs[0] if inputs else ""

    def _may_be_vector(self, name: str) -> bool:
        """Whether a tensor is a vector for every sample, as far as its shape is known."""
        kind = self._types.get(name)
        if kind is None or not kind.HasField("shape"):
            return True
        sizes = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim][1:]
        return is_vector(sizes)

    def _mean(self, name: str) -> float | None:
        """The mean of a small constant."""
        constant = self._constants.get(name)
        if constant is None or math.prod(constant.dims) > 16:
            return None
        return float(self._onnx.numpy_helper.to_array(constant).astype(float).mean())
