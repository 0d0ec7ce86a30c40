"""Whether a network in JAX turns logits into probabilities by itself: read off its program."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

MAKES_PROBABILITIES = ("exp", "log", "logistic")
KEEPS_ORDER = (
    "reshape", "squeeze", "broadcast_in_dim", "convert_element_type", "stop_gradient", "sub", "div", "mul", "neg",
    "add", "reduce_max", "reduce_sum", "max", "is_finite", "select_n", "copy", "expand_dims",
)  # fmt: skip


def find_logits(run: Callable[..., tuple[Any, Sequence[Any]]], *arguments: Any) -> int | None:
    """The last of several outputs from which a softmax, its logarithm, a sigmoid or a factor makes the main output.

    Args:
      run: from `arguments` to the main output and to outputs of its shape; pure.
      arguments: arrays, or their shapes.

    Returns:
      The index of that output; None where there is none.
    """
    program = jax.make_jaxpr(run)(*jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)).jaxpr
    main, *outputs = program.outvars
    for i in reversed(range(len(outputs))):
        operations = list(_operations_between(program, main, outputs[i]))
        if None not in operations and all(name in (*KEEPS_ORDER, *MAKES_PROBABILITIES) for name in operations):
            if any(name in MAKES_PROBABILITIES for name in operations) or "max" not in operations:
                return i
    return None


def _operations_between(program: Any, main: Any, output: Any) -> Iterator[str | None]:
    """Names of the operations that compute the main output from an output; None where it has any other source."""
    sources = {id(variable): equation for equation in program.eqns for variable in equation.outvars}
    hidden = sources.get(id(output))
    waiting, seen = [main], set()
    while waiting:
        variable = waiting.pop()
        if isinstance(variable, Literal) or variable is output or id(variable) in seen:
            continue
        seen.add(id(variable))
        equation = sources.get(id(variable))
        if equation is None:
            yield None
        elif equation is hidden and variable.aval.shape == output.aval.shape:  # two results of one transformation
            continue
        else:
            yield from _primitives(equation)
            waiting += equation.invars


def _primitives(equation: Any) -> Iterator[str]:
    """The primitive of an equation, or those of the programs within it."""
    inner = [getattr(value, "jaxpr", value) for value in equation.params.values()]
    inner = [program for program in inner if hasattr(program, "eqns")]
    if not inner:
        yield equation.primitive.name
    for program in inner:
        for inner_equation in program.eqns:
            yield from _primitives(inner_equation)
