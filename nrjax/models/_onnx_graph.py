"""The graph of an ONNX file: its inner tensors, what its head reads, and what it does to images before its weights."""

# pyright: reportMissingImports=false

import math
from collections.abc import Iterator
from typing import Any

FLOATS = (1, 10, 11)  # element types of ONNX: float, float16, double
DENSE = ("Gemm", "MatMul", "FusedGemm", "FusedMatMul", "MatMulNBits", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
         "MatMulInteger")  # fmt: skip
QUANTISED = ("QGemm", "QLinearMatMul")  # which read integers, their scale and their zero
PASSES = ("Softmax", "LogSoftmax", "Sigmoid", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast",
          "Dropout", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")  # fmt: skip
ARITHMETIC = ("Add", "Sub", "Mul", "Div")


class Graph:
    """A graph with the types that are known of its tensors.

    Attributes:
      values: floating-point tensors of the nodes, or such whose type is not known, in order.
    """

    def __init__(self, onnx: Any, proto: Any):
        self._onnx, self._graph = onnx, proto.graph
        self._constants = {one.name: one for one in proto.graph.initializer}
        self._weights = set(self._constants)
        for (
            node
        ) in proto.graph.node:  # what is made of weights alone is a weight; nodes come after those that they read
            if all(given in self._weights for given in node.input if given) and not node.op_type.startswith("Random"):
                self._weights |= set(node.output)
                if node.op_type == "Constant":
                    self._constants[node.output[0]] = next((a.t for a in node.attribute if a.name == "value"), None)
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self._types = {
            one.name: one.type.tensor_type for one in (*inferred.input, *inferred.value_info, *inferred.output)
        }
        self._sources = {name: node for node in proto.graph.node for name in node.output}
        self.values = tuple(
            name for node in proto.graph.node for name in node.output
            if name and name not in self._weights
            and (name not in self._types or self._types[name].elem_type in (0, *FLOATS))
        )  # fmt: skip

    def penultimate(self) -> str | None:
        """The tensor that the head reads, else the network's output; None where that is no vector for every sample.

        A tensor of a quantised head is added to the graph as it reads in floating point.
        """
        outputs = [one.name for one in self._graph.output]
        answer = "logits" if "logits" in outputs else outputs[0]
        read = self._read_by_head(answer)
        return read if read is not None else answer if self._is_vector(answer) else None

    def arithmetic(self) -> tuple[float, float]:
        """Factor and offset of what is done to the input before its first other node; the mean over channels."""
        name = next(one.name for one in self._graph.input if one.name not in self._weights)
        factor, offset = 1.0, 0.0
        while True:
            nodes = [node for node in self._graph.node if name in node.input]
            if len(nodes) != 1:
                return factor, offset
            node = nodes[0]
            if node.op_type in ("Cast", "Identity", "Transpose", "Pad"):
                name = node.output[0]
                continue
            other = [given for given in node.input if given != name]
            number = self._mean(other[0]) if node.op_type in ARITHMETIC and len(other) == 1 else None
            first = node.input[0] == name
            if (
                number is None
                or (node.op_type in ("Sub", "Div") and not first)
                or (node.op_type == "Div" and not number)
            ):
                return factor, offset
            if node.op_type in ("Mul", "Div"):
                number = number if node.op_type == "Mul" else 1 / number
                factor, offset = factor * number, offset * number
            else:
                offset += number if node.op_type == "Add" else -number
            name = node.output[0]

    def _read_by_head(self, name: str) -> str | None:
        while (node := self._sources.get(name)) is not None:
            other = [given for given in node.input if given and given not in self._weights]
            if node.op_type in (*DENSE, *QUANTISED, "Conv"):
                return self._given(node)
            if node.op_type == "Add" and len(other) == 2:  # such as a head and its low-rank change
                chains = [list(self._through_dense(given)) for given in other]
                return next((one for one in chains[0] if one in chains[1] and self._is_vector(one)), None)
            if node.op_type not in PASSES and not (node.op_type in ARITHMETIC and len(other) == 1):
                return None
            name = other[0] if other else ""
        return None

    def _given(self, node: Any) -> str | None:
        """What a dense layer reads; nothing where it is none."""
        if node.op_type in ("Gemm", "MatMul", "FusedGemm", "FusedMatMul") and node.input[1] not in self._weights:
            return None
        if any(a.name == "activation" and a.s not in (b"", b"Sigmoid") for a in node.attribute):
            return None
        given = node.input[0]
        while (source := self._sources.get(given)) is not None and source.op_type in PASSES and not (
            source.op_type in ("Reshape", "Flatten", "Squeeze") and self._is_vector(given)
        ):  # fmt: skip
            given = source.input[0]
        if not self._is_vector(given):
            return None
        return self._in_floats(given, node) if node.op_type in QUANTISED else given

    def _in_floats(self, name: str, node: Any) -> str:
        """A quantised tensor as its reader understands it."""
        if self._types.get(name) is not None and self._types[name].elem_type in FLOATS:
            return name
        added = self._onnx.helper.make_node("DequantizeLinear", list(node.input[:3]), [f"{name} in floats"])
        self._graph.node.append(added)
        self.values = (*self.values, added.output[0])
        return added.output[0]

    def _through_dense(self, name: str) -> Iterator[str]:
        """What the dense layers read that a tensor is made by, one after another."""
        while (node := self._sources.get(name)) is not None:
            other = [given for given in node.input if given and given not in self._weights]
            if node.op_type in DENSE and len(other) == 1:
                yield other[0]
            elif node.op_type not in PASSES and not (node.op_type in ARITHMETIC and len(other) == 1):
                return
            name = other[0] if other else ""

    def _is_vector(self, name: str) -> bool:
        """Whether a tensor has one axis beside the samples', or further ones of size one; as far as that is known."""
        kind = self._types.get(name)
        if kind is None or not kind.HasField("shape"):
            return True
        sizes = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim][1:]
        return len(sizes) > 0 and sum(size != 1 for size in sizes) <= 1

    def _mean(self, name: str) -> float | None:
        """Of a small constant."""
        constant = self._constants.get(name)
        if constant is None or math.prod(constant.dims) > 16:
            return None
        return float(self._onnx.numpy_helper.to_array(constant).astype(float).mean())
