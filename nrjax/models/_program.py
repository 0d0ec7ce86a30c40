"""A network in JAX as a flat program of primitives, of which single values can be computed."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

INLINED = (
    "jit", "pjit", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2",
    "closed_call", "core_call",
)  # fmt: skip


@dataclasses.dataclass(eq=False)
class Value:
    """An array of a program.

    Attributes:
      shape: its axes.
      operation: what computes it; None for arguments and constants.
      is_data: whether it depends on the samples.
    """

    shape: tuple[int, ...]
    operation: "Operation | None"
    is_data: bool

    @property
    def is_scalar(self) -> bool:
        """Whether it is one number, or one that was repeated."""
        operation = self.operation
        repeats = operation is not None and operation.name in ("broadcast_in_dim", "convert_element_type")
        return math.prod(self.shape) == 1 or (operation is not None and repeats and operation.inputs[0].is_scalar)


@dataclasses.dataclass(eq=False)
class Operation:
    """A primitive with the values that it reads and writes."""

    equation: Any
    inputs: list[Value]
    outputs: list[Value] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.equation.primitive.name

    @property
    def data(self) -> list[Value]:
        """Those of its inputs that depend on the samples."""
        return [value for value in self.inputs if value.is_data]


class Program:
    """The program of a function of weights and samples.

    Attributes:
      outputs: what it returns, as flat as a tree's leaves.
    """

    def __init__(self, function: Callable[..., Any], variables: object, samples: jax.Array):
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (variables, samples))
        closed = jax.make_jaxpr(function)(*shapes)
        self._operations: list[Operation] = []
        self._arrays: dict[Value, Any] = {}  # of arguments and constants
        arguments = [self._constant(array) for array in jax.tree.leaves((variables, samples))]
        arguments[-1].is_data = True
        self.outputs = self._add(closed.jaxpr, arguments, closed.consts)

    def _constant(self, array: Any) -> Value:
        value = Value(jax.numpy.shape(array), None, False)
        self._arrays[value] = array
        return value

    def _add(self, jaxpr: Any, arguments: Sequence[Value], constants: Sequence[object]) -> list[Value]:
        """Adds the operations of a program that is called with values; returns its results."""
        values = dict(zip(jaxpr.invars, arguments, strict=True))
        values |= {variable: self._constant(array) for variable, array in zip(jaxpr.constvars, constants, strict=True)}

        def read(atom: object) -> Value:
            return self._constant(atom.val) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            inputs = [read(atom) for atom in equation.invars]
            inner = _inlined(equation)
            if inner is not None:
                results = self._add(inner[0], inputs, inner[1])
            else:
                operation = Operation(equation, inputs)
                is_data = any(value.is_data for value in inputs)
                results = [Value(variable.aval.shape, operation, is_data) for variable in equation.outvars]
                operation.outputs = results
                self._operations.append(operation)
            values |= dict(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def reads_first(self, names: Sequence[str]) -> Value | None:
        """What the first operation of these names reads of the samples."""
        return next((op.data[0] for op in self._operations if op.name in names and op.data), None)

    def compute(self, value: Value) -> jax.Array:
        """A value for the arguments that the program was made with."""
        arrays, waiting, needed = dict(self._arrays), [value], set()
        while waiting:
            operation = waiting.pop().operation
            if operation is not None and operation not in needed:
                needed.add(operation)
                waiting += operation.inputs
        for operation in self._operations:
            if operation in needed:
                equation = operation.equation
                bound = equation.primitive.get_bind_params(equation.params)
                functions, parameters = ((), bound) if isinstance(bound, dict) else bound  # a pair before JAX 0.10
                given = [arrays[each] for each in operation.inputs]
                with equation.ctx.manager:
                    results = equation.primitive.bind(*functions, *given, **parameters)
                results = results if equation.primitive.multiple_results else [results]
                arrays |= dict(zip(operation.outputs, results, strict=True))
        return arrays[value]


def between(value: Value, source: Value) -> Iterator[Operation | None]:
    """The operations that compute a value from a source alone, then None where samples enter in any other way."""
    waiting, seen = [value], set()
    while waiting:
        value = waiting.pop()
        if value is source or not value.is_data or value in seen:
            continue
        seen.add(value)
        yield value.operation
        waiting += value.operation.inputs if value.operation else ()


def _inlined(equation: Any) -> tuple[Any, Sequence[Any]] | None:
    """The program that an operation calls once, and its constants."""
    if equation.primitive.name not in INLINED:
        return None
    for inner in equation.params.values():
        jaxpr = getattr(inner, "jaxpr", inner)
        if hasattr(jaxpr, "eqns") and len(jaxpr.invars) == len(equation.invars):
            return jaxpr, getattr(inner, "consts", ())
    return None
