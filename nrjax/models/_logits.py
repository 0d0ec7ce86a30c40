"""Whether a network in JAX answers with logits that it only made into probabilities: read off its program."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

MAKES_PROBABILITIES = ("exp", "log", "logistic")
KEEPS = ("reshape", "squeeze", "broadcast_in_dim", "convert_element_type", "stop_gradient", "sub", "div", "mul", "neg",
         "add", "reduce_max", "reduce_sum", "max", "is_finite", "select_n", "copy", "expand_dims")  # fmt: skip


def made_of_logits(run: Callable[..., tuple[Any, Sequence[Any]]], *arguments: Any) -> int | None:
    """Which output a network's answer is made of by a softmax, its logarithm, a sigmoid or a factor; the last such one.

    Args:
      run: `arguments` to the answer and to outputs of its shape; pure.
      arguments: arrays, or their shapes.
    """
    program = jax.make_jaxpr(run)(*jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)).jaxpr
    answer, *outputs = program.outvars
    for i in reversed(range(len(outputs))):
        names = list(_between(program, answer, outputs[i]))
        if None not in names and all(name in (*KEEPS, *MAKES_PROBABILITIES) for name in names):
            if any(name in MAKES_PROBABILITIES for name in names) or "max" not in names:
                return i
    return None


def _between(program: Any, answer: Any, output: Any) -> Iterator[str | None]:
    """Names of the operations that make an answer of an output; None where it is made of anything else too."""
    sources = {id(made): equation for equation in program.eqns for made in equation.outvars}
    hidden = sources.get(id(output))
    waiting, seen = [answer], set()
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
            yield from _names(equation)
            waiting += equation.invars


def _names(equation: Any) -> Iterator[str]:
    """Of an operation, or of those within it."""
    inner = [getattr(value, "jaxpr", value) for value in equation.params.values()]
    inner = [program for program in inner if hasattr(program, "eqns")]
    if not inner:
        yield equation.primitive.name
    for program in inner:
        for one in program.eqns:
            yield from _names(one)
