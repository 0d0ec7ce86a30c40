"""The graph of an ONNX file: its inner tensors, what is known of them, and where its first weights are."""

# pyright: reportMissingImports=false

from typing import Any

from nrjax.models._heads import is_vector

FLOATS = (1, 10, 11)  # element types of ONNX: float, float16, double
PASSES = ("Softmax", "LogSoftmax", "Sigmoid", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast",
          "Dropout", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")  # fmt: skip
DENSE = ("Gemm", "MatMul", "FusedGemm", "FusedMatMul", "MatMulNBits", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
         "MatMulInteger")  # fmt: skip
QUANTISED = ("QGemm", "QLinearMatMul")  # dense layers that read integers, their scale and their zero
ARITHMETIC = ("Add", "Sub", "Mul", "Div")


class Graph:
    """A graph with the known types of its tensors.

    Attributes:
      values: names of the nodes' tensors that are floating-point numbers, or whose type is not known, in order.
      weights: names of the weights, and of what is computed from weights alone.
      types: of tensors, by name, as far as they are known.
      sources: nodes by the names of what they compute.
      outputs: names of the outputs.
    """

    def __init__(self, onnx: Any, proto: Any):
        self._graph = proto.graph
        self.weights = {tensor.name for tensor in proto.graph.initializer}
        self._shapes = {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}
        for node in proto.graph.node:  # a node comes after those that it reads
            if all(given in self.weights for given in node.input if given) and not node.op_type.startswith("Random"):
                self.weights |= set(node.output)
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self.types = {
            tensor.name: tensor.type.tensor_type for tensor in (*inferred.input, *inferred.value_info, *inferred.output)
        }
        self.sources = {name: node for node in proto.graph.node for name in node.output}
        self.outputs = [tensor.name for tensor in proto.graph.output]
        self.values = tuple(
            name for node in proto.graph.node for name in node.output
            if name and name not in self.weights and self.may_be_numbers(name)
        )  # fmt: skip

    @property
    def quantises_batches(self) -> bool:
        """Whether it quantises by the range of a whole batch, so that samples are not independent of each other."""
        return any(node.op_type == "DynamicQuantizeLinear" for node in self._graph.node)

    def add(self, node: Any) -> None:
        """Adds a node with one output to the graph; its output is no layer."""
        if node.output[0] not in self.sources:
            self._graph.node.append(node)
            self.sources[node.output[0]] = node

    def inputs_of(self, node: Any) -> list[str]:
        """Inputs of a node that are no weights."""
        return [given for given in node.input if given and given not in self.weights]

    def sizes(self, name: str) -> list[int | None] | None:
        """Sizes of a tensor behind its first axis, None where one is not known; None for all where nothing is."""
        if name in self._shapes:
            return self._shapes[name][1:]
        kind = self.types.get(name)
        if kind is None or not kind.HasField("shape"):
            return None
        return [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim][1:]

    def may_be_numbers(self, name: str) -> bool:
        """Whether a tensor holds floating-point numbers, as far as its type is known."""
        return name not in self.types or self.types[name].elem_type in (0, *FLOATS)

    def may_be_vector(self, name: str) -> bool:
        """Whether a tensor is a vector for every sample, as far as its shape is known.

        One number for every sample, of one axis, is a vector too.
        """
        kind = self.types.get(name)
        if kind is not None and kind.HasField("shape") and not kind.shape.dim:
            return False
        sizes = self.sizes(name)
        return sizes is None or not sizes or is_vector(sizes)

    def read_by_weights(self) -> str | None:
        """The tensor that the first node with learned weights reads; None without any."""
        for node in self._graph.node:
            has_weights = "Conv" in node.op_type or node.op_type in (*DENSE, *QUANTISED, "BatchNormalization")
            data = self.inputs_of(node)
            if has_weights and data and len(data) < len([given for given in node.input if given]):
                source = self.sources.get(data[0])
                quantises = source is not None and "QuantizeLinear" in source.op_type
                return source.input[0] if source is not None and quantises else data[0]
        return None
