"""Programs of `torch.export` from files, read as data: nothing is unpickled, and no name in them is imported.

PyTorch's own reader evaluates expressions and looks names up in modules. This one knows weights as bytes, and a graph
of operations of `torch.ops.aten` alone. Every operation is a module with its own weights, so that hooks see it.
"""

# pyright: reportMissingImports=false

import json
import operator
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nrjax._utils.messages import first_line, printable, shortened
from nrjax.models._torch_program_arguments import Refused, dtype_of, filled, names_in, names_of, read_argument

OPERATION = re.compile(r"torch\.ops\.(aten|prims|quantized_decomposed)\.(\w+)\.(\w+)")
OPERATORS = ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge", "getitem")
NO_GRAD = "torch.ops.higher_order.wrap_with_set_grad_enabled"
MOST_JSON = 1 << 28


def read_program(archive: zipfile.ZipFile) -> tuple[Any, list[int | None], str]:
    """The module of a program that takes one tensor, the sizes of this tensor (None where any is taken), and its graph.

    Raises:
      ValueError: pickled parts, operations that are not known, several inputs, or a damaged file.
    """
    import torch

    try:
        content = _read_json(archive, "models/")
        program = content["graph_module"]
        graph, signature = program["graph"], program["signature"]
        tensors = {kind: _read_tensors(archive, f"data/{kind}/") for kind in ("weights", "constants")}
        nodes = [[node["target"], node["inputs"], node["outputs"]] for node in graph["nodes"]]
        definition = json.dumps([nodes, signature], sort_keys=True)
        module, sizes = _Builder(graph, signature, tensors["weights"], tensors["constants"]).module()
        module.nrjax_weights = [
            weight for weight in tensors["weights"].values() if isinstance(weight, torch.nn.Parameter)
        ]
        return module, sizes, definition
    except Refused:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, StopIteration, RuntimeError, RecursionError) as error:
        raise ValueError(f"it is damaged, or of a release that nrjax does not know: {first_line(error)}") from error


def _read_json(archive: zipfile.ZipFile, folder: str) -> Any:
    name = next(name for name in archive.namelist() if f"/{folder}" in name and name.endswith(".json"))
    if archive.getinfo(name).file_size > MOST_JSON:
        raise Refused(f"its graph is larger than {MOST_JSON:,} bytes")
    return json.loads(archive.read(name))


def _read_tensors(archive: zipfile.ZipFile, folder: str) -> dict[str, Any]:
    import torch

    tensors = {}
    for name, entry in _read_json(archive, folder)["config"].items():
        if entry["use_pickle"]:
            raise Refused(f"its {printable(shortened(name, 60))} is pickled, and a pickle may run any program")
        path = next(path for path in archive.namelist() if path.endswith(f"/{folder}{entry['path_name']}"))
        meta = entry["tensor_meta"]
        sizes, strides = ([int(size["as_int"]) for size in meta[key]] for key in ("sizes", "strides"))
        content = torch.frombuffer(bytearray(archive.read(path) or b"\0" * 16), dtype=dtype_of(meta["dtype"]))
        tensor = content.as_strided(sizes, strides, int(meta["storage_offset"]["as_int"])).clone()
        tensors[name] = torch.nn.Parameter(tensor, requires_grad=False) if entry["is_param"] else tensor
    return tensors


class _Builder:
    """Turns a graph into a module; what is computed from weights alone is computed once."""

    def __init__(self, graph: Any, signature: Any, weights: Mapping[str, Any], constants: Mapping[str, Any]):
        self._graph = graph
        self._known: dict[str, Any] = {}  # tensors by their name in the graph
        self._inputs: list[str] = []
        for spec in signature["input_specs"]:
            ((kind, entry),) = spec.items()
            if kind == "user_input":
                self._inputs += [next(iter(entry["arg"].values()))["name"]] if "as_none" not in entry["arg"] else []
            elif kind in ("parameter", "buffer", "tensor_constant"):
                name = entry[f"{kind}_name"]
                self._known[entry["arg"]["name"]] = weights[name] if name in weights else constants[name]
            else:
                raise Refused(f"it takes a {printable(shortened(kind, 40))} besides tensors")
        if len(self._inputs) != 1:
            raise Refused(f"it takes {len(self._inputs)} inputs ({', '.join(self._inputs[:5])}); expected one")
        specs = signature["output_specs"]
        self._outputs = [
            spec["user_output"]["arg"]["as_tensor"]["name"] for spec in specs if "as_tensor" in
            spec.get("user_output", {}).get("arg", {})
        ]  # fmt: skip

    def module(self) -> tuple[Any, list[int | None]]:
        import torch

        steps = [_step(node) for node in self._graph["nodes"]]
        kept = []
        for step in steps:
            step.own(self._known)
            if not step.reads and step.is_steady:
                with torch.no_grad():
                    self._known |= step.results(step())
            else:
                kept.append(step)
        sizes = self._graph["tensor_values"][self._inputs[0]]["sizes"]
        known = {name: self._known[name] for name in self._outputs if name in self._known}
        return _program(kept, self._inputs[0], self._outputs, known), [size.get("as_int") for size in sizes]


def _step(node: Any) -> Any:
    """One operation as a module: `forward(*values)` of the names that it `reads`."""
    import torch

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.label = str(node["outputs"][0].get("as_tensor", {}).get("name") or node.get("name") or "step")
            self.inplace = node["target"].split(".")[-2:-1] == [""] or "_." in node["target"]
            self.function, self.arguments, self.named = _call(node)
            self.outputs = [names_of(output) for output in node["outputs"]]
            self.is_steady = "rand" not in node["target"] and "dropout" not in node["target"]
            self.reads = list(dict.fromkeys(names_in([self.arguments, self.named])))

        def own(self, known: Mapping[str, Any]) -> None:
            """Takes the weights among what it reads."""
            for name in [name for name in self.reads if name in known]:
                value, place = known[name], f"w{len(self._buffers) + len(self._parameters)}"
                if isinstance(value, torch.nn.Parameter):
                    self.register_parameter(place, value)
                elif isinstance(value, torch.Tensor):
                    self.register_buffer(place, value)
                else:
                    setattr(self, place, value)
                self._places = {**getattr(self, "_places", {}), name: place}
                self.reads.remove(name)

        def forward(self, *values: Any) -> Any:
            given = dict(zip(self.reads, values, strict=True))
            given |= {name: getattr(self, place) for name, place in getattr(self, "_places", {}).items()}
            device = next((value.device for value in given.values() if isinstance(value, torch.Tensor)), None)
            arguments, named = (filled(part, given, device) for part in (self.arguments, self.named))
            return self.function(*arguments, **named)

        def results(self, value: Any) -> dict[str, Any]:
            """What came out, by name."""
            if len(self.outputs) == 1 and isinstance(self.outputs[0], str):
                return {self.outputs[0]: value}
            names = self.outputs[0] if len(self.outputs) == 1 else self.outputs
            return {name: part for name, part in zip(names or (), value, strict=True) if isinstance(name, str)}

    return Step()


def _program(steps: Sequence[Any], given: str, outputs: Sequence[str], known: Mapping[str, Any]) -> Any:
    import torch

    class Program(torch.nn.Module):
        """The operations of an exported program, one after another; `nrjax_weights` are what its file holds."""

        def __init__(self) -> None:
            super().__init__()
            self.order = []
            for step in steps:
                label, number = re.sub(r"\W", "_", step.label), 1
                while hasattr(self, label):
                    label, number = f"{label}_{number}", number + 1
                self.add_module(label, step)
                self.order.append(label)

        def forward(self, batch: Any) -> Any:
            values = {**known, given: batch}
            for label in self.order:
                step = getattr(self, label)
                values |= step.results(step(*(values[name] for name in step.reads)))
            return values[outputs[0]] if len(outputs) == 1 else tuple(values[name] for name in outputs)

    return Program()


def _call(node: Any) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
    """The function of a node, its arguments by place and by name.

    Raises:
      Refused: it is none of those that are allowed.
    """
    import torch

    target, inputs = str(node["target"]), node["inputs"]
    parts = OPERATION.fullmatch(target)
    if parts is not None:
        packet = getattr(getattr(torch.ops, parts[1]), parts[2], None)
        function: Any = getattr(packet, parts[3], None)
        if isinstance(function, torch._ops.OpOverload):
            named = {str(entry["name"]): read_argument(entry["arg"], str(entry["name"])) for entry in inputs}
            by_place = [argument.name for argument in function._schema.arguments if not argument.kwarg_only]
            places: list[Any] = []
            for name in by_place:  # names that a call leaves out end what stands by place
                if name not in named:
                    break
                places.append(named.pop(name))
            return function, places, named
    if target.startswith("_operator.") and target[10:] in OPERATORS:
        return getattr(operator, target[10:]), [read_argument(entry["arg"], "") for entry in inputs], {}
    if target == NO_GRAD:
        _, body, *operands = inputs
        inner = body["arg"]["as_graph"]["graph"]
        return _inner(inner), [read_argument(entry["arg"], "") for entry in operands], {}
    raise Refused(f"its operation {printable(shortened(target, 80))} is none of PyTorch's own that nrjax runs")


def _inner(graph: Any) -> Callable[..., Any]:
    """A graph within a graph, as a function."""
    steps = [_step(node) for node in graph["nodes"]]
    names = [names_of(entry) for entry in graph["inputs"]]
    outputs = [names_of(entry) for entry in graph["outputs"]]

    def run(*given: Any) -> Any:
        values = dict(zip(names, given, strict=True))
        for step in steps:
            values |= step.results(step(*(values[name] for name in step.reads)))
        results = [values[name] for name in outputs]
        return results[0] if graph.get("is_single_tensor_return") else results

    return run
