"""The head of an ONNX graph: the tensor that it reads, found by going back from the main output."""

# pyright: reportMissingImports=false

from collections.abc import Sequence
from typing import Any

from nrjax.models._heads import main_name
from nrjax.models._onnx_graph import ARITHMETIC, DENSE, FLOATS, PASSES, QUANTISED, Graph

SUMS = ("Add", "Sum", "Mean", "Concat")
POOLS = ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Gather", "Slice")  # of positions
OF_NUMBERS = ("Tanh", "Softplus", "Exp", "Relu", "LeakyRelu", "Clip", "HardSigmoid", "Elu", "Selu")
OF_RATES = ("Exp", "Where")  # with one input that depends on the samples; no embedding ends so
OF_SOME_CLASSES = ("CumSum", "Gather", "Pad", "Slice", "Softplus", "Split")  # of embeddings as well
CHOICES = ("ArgMax", "TopK")  # of classes, by their logits
MADE_OTHERWISE = "its output is made by {}, and is taken as it is; or choose a layer."
NORMS = ("ReduceL2", "Clip", "Expand", "Shape", "Max", "Sqrt", "ReduceSum", "Mul", "Pow", "Add", "Unsqueeze", "LpNorm")


class HeadSearch:
    """Finds what the head of a graph reads; nodes that make vectors of it are added to the graph.

    Attributes:
      remarks: about several heads that read different tensors.
    """

    def __init__(self, onnx: Any, graph: Graph):
        self._onnx, self._graph = onnx, graph
        self.remarks: list[str] = []

    def penultimate(self) -> str | None:
        """The tensor that the head reads, else the main output; None where that is no vector for every sample."""
        graph = self._graph
        outputs = [
            name for name in graph.outputs if graph.may_be_numbers(name)
        ] or graph.outputs  # and no ids of classes
        vectors = [name for name in outputs if graph.may_be_vector(name)]
        main = main_name(outputs) or (vectors or outputs)[0]
        read = self._read_by_head(main, [])
        if read is None:
            return main if graph.may_be_vector(main) and graph.may_be_numbers(main) else None
        remarks = self.remarks
        others = [self._read_by_head(name, []) for name in outputs if name != main]
        self.remarks = remarks
        if any(other not in (None, read) for other in others):
            self.remarks.append(f"it has several heads, and what that of its output {main} reads is taken.")
        return read

    def _read_by_head(self, name: str, pools: Sequence[Any]) -> str | None:
        """The input of the head whose output a tensor is; None where there is no head."""
        graph = self._graph
        while (node := graph.sources.get(name)) is not None:
            inputs = [given for given in graph.inputs_of(node) if not self._is_scale(given)]
            if node.op_type in (*DENSE, *QUANTISED, "Conv"):
                return self._read_by_dense(node, pools)
            if node.op_type in SUMS and len(inputs) > 1:
                return self._read_by_all(inputs, pools)
            if node.op_type in POOLS and not pools and not graph.may_be_vector(inputs[0]):
                pools = [node]
            elif (
                not self._keeps_vectors(node)
                and node.op_type not in (*PASSES, *CHOICES)
                and not (node.op_type in OF_NUMBERS and graph.sizes(name) in ([], [1]))  # no embedding is one number
                and not (node.op_type in (*ARITHMETIC, *OF_RATES) and len(inputs) == 1)
            ):
                if node.op_type in OF_SOME_CLASSES and len(graph.sizes(inputs[0]) or ()) == 1:
                    self.remarks = [MADE_OTHERWISE.format(node.op_type)]
                return None
            name = inputs[0] if inputs else ""
        return None

    def _is_scale(self, name: str) -> bool:
        """Whether a tensor is a scale of dynamic quantisation, perhaps times that of the weights."""
        node = self._graph.sources.get(name)
        if node is not None and node.op_type == "Mul":
            inputs = self._graph.inputs_of(node)
            return len(inputs) == 1 and self._is_scale(inputs[0])
        return node is not None and node.op_type == "DynamicQuantizeLinear" and name == node.output[1]

    def _keeps_vectors(self, node: Any) -> bool:
        """Whether a node adds up several heads, or takes the only number of a sample out of its vector."""
        sizes = self._graph.sizes(node.input[0]) if node.input else None
        return node.op_type in ("ReduceMean", "ReduceSum") or (node.op_type == "Gather" and sizes == [1])

    def _read_by_all(self, inputs: Sequence[str], pools: Sequence[Any]) -> str | None:
        """What all heads read whose outputs are added; of a head and its low-rank change what the first layer reads."""
        chains = [self._dense_inputs(given) for given in inputs]
        read = [given for given in chains[0] if all(given in chain for chain in chains)]
        if read:
            return next((given for given in read if self._graph.may_be_vector(given)), None)
        heads = [self._read_by_head(given, pools) for given in inputs]
        if None not in heads and len(set(heads)) == 1:
            return heads[0]
        if None not in heads:
            self.remarks = ["its output is the sum of several heads, and is taken as it is; or choose a layer."]
        return None

    def _read_by_dense(self, node: Any, pools: Sequence[Any]) -> str | None:
        """The input of a dense layer; None where the node is none, or reads no vectors."""
        graph = self._graph
        if node.op_type in ("Gemm", "MatMul", "FusedGemm", "FusedMatMul") and node.input[1] not in graph.weights:
            return None
        if any(a.name == "activation" and a.s not in (b"", b"Sigmoid") for a in node.attribute):
            return None
        given = node.input[0]
        if pools and len(graph.sizes(given) or ()) == 1:  # what is pooled are parts of its answer
            self.remarks = [MADE_OTHERWISE.format(pools[0].op_type)]
            return None
        if pools:
            return self._pooled(given, node, pools[0])
        while (source := graph.sources.get(given)) is not None and source.op_type in PASSES and not (
            source.op_type in ("Reshape", "Flatten", "Squeeze") and graph.may_be_vector(given)
        ):  # fmt: skip
            given = source.input[0]
        sizes, kernel = graph.sizes(given), self._kernel(node)
        if kernel is not None and len(kernel) > 1 and sizes is not None and sizes[1:] == kernel and set(kernel) != {1}:
            return self._add("Flatten", [given], f"{given} flattened")
        if not graph.may_be_vector(given):
            return None
        return self._in_floats(given, node) if node.op_type in QUANTISED else self._before_norm(given)

    def _pooled(self, given: str, node: Any, pool: Any) -> str | None:
        """What a dense layer of positions, or a convolution of one, reads, pooled as its output is."""
        kernel = self._kernel(node)
        if kernel is not None and set(kernel) != {1}:
            return None
        copied = self._onnx.NodeProto()
        copied.CopyFrom(pool)
        name = f"{given} pooled"
        copied.input[0], copied.name = given, name
        copied.output[0] = name
        self._graph.add(copied)
        return name

    def _kernel(self, node: Any) -> list[int | None] | None:
        """The sizes of a convolution's kernel; None for other nodes."""
        shapes = self._graph.sizes(node.input[1]) if node.op_type == "Conv" else None
        return None if shapes is None else shapes[1:]

    def _before_norm(self, name: str) -> str:
        """The vectors of which a tensor has the directions, or itself."""
        node = self._graph.sources.get(name)
        if node is None or node.op_type not in ("Div", "LpNormalization"):
            return name
        if node.op_type == "Div":
            waiting = [node.input[1]]
            while waiting:
                other = waiting.pop()
                source = self._graph.sources.get(other)
                if not other or other == node.input[0] or other in self._graph.weights:
                    continue
                if source is None or source.op_type not in NORMS:
                    return name
                waiting += source.input
            if node.input[1] in self._graph.weights:
                return name
        return node.input[0]

    def _in_floats(self, name: str, node: Any) -> str:
        """The name of a quantised tensor as floating-point numbers, by the scale and zero of the node that reads it."""
        kind = self._graph.types.get(name)
        if kind is not None and kind.elem_type in FLOATS:
            return name
        return self._add("DequantizeLinear", list(node.input[:3]), f"{name} in floats")

    def _add(self, kind: str, inputs: list[str], name: str) -> str:
        self._graph.add(self._onnx.helper.make_node(kind, inputs, [name]))
        return name

    def _dense_inputs(self, name: str) -> list[str]:
        """Inputs of the dense layers that compute a tensor, from the last to the first."""
        graph, found = self._graph, []
        while (node := graph.sources.get(name)) is not None:
            inputs = graph.inputs_of(node)
            if node.op_type in DENSE and len(inputs) == 1:
                found.append(inputs[0])
            elif node.op_type not in PASSES and not (node.op_type in ARITHMETIC and len(inputs) == 1):
                break
            name = inputs[0] if inputs else ""
        return found
