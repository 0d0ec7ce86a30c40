"""Expressions that choose candidates by what is known of them; a small language, never `eval`."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

LONGEST = 1000  # characters
_COMPARE = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
WHEN_RUN = "ms"  # milliseconds a sample: a field that is known of a model only when it runs
HELP = "such as \"parameters < 10e6 and license == 'apache-2.0'\" (names, numbers, text, lists; and, or, not, in)"


def parse_where(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A test of the known fields of a model; a field that is not known makes every comparison false.

    Raises:
      ValueError: it is no such expression.
    """
    try:
        if len(text) > LONGEST:
            raise SyntaxError
        tree = ast.parse(text.strip(), mode="eval").body
        _check(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = f"; {error.args[0]}" if isinstance(error, ValueError) and error.args else ""
        raise ValueError(f"where must be an expression {HELP}; got {text[:80]!r}{reason}.") from error
    return lambda known: bool(_evaluate(tree, known))


def _check(node: ast.AST) -> None:
    """Raises ValueError where an expression has anything beyond names, constants, lists and comparisons."""
    allowed = (
        ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Name, ast.Load, ast.Constant,
        ast.List, ast.Tuple, *_COMPARE,
    )  # fmt: skip
    for part in ast.walk(node):
        if not isinstance(part, allowed):
            raise ValueError(f"{type(part).__name__} is not allowed in it")
        if isinstance(part, ast.Constant) and not isinstance(part.value, (str, int, float, bool)):
            raise ValueError(f"{part.value!r} is not allowed in it")
        match part:
            case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
                raise ValueError("a minus belongs before a number")


def _evaluate(node: ast.AST, known: Mapping[str, object]) -> Any:
    """The value of an expression that `_check` allows."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return known.get(node.id)
        case ast.List() | ast.Tuple():
            return [_evaluate(element, known) for element in node.elts]
        case ast.UnaryOp(op=ast.Not()):
            return not _evaluate(node.operand, known)
        case ast.UnaryOp():
            value = _evaluate(node.operand, known)
            return -value if isinstance(value, (int, float)) else None
        case ast.BoolOp():
            values = (_evaluate(value, known) for value in node.values)
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.Compare():
            left = _evaluate(node.left, known)
            for op, right in zip(node.ops, node.comparators, strict=True):
                other = _evaluate(right, known)
                try:
                    if left is None or other is None or not _COMPARE[type(op)](left, other):
                        return False
                except TypeError:  # a number and a text
                    return False
                left = other
            return True
    raise AssertionError  # _check allows nothing else


def names_in(text: str) -> set[str]:
    """Names of the fields in an expression."""
    return {node.id for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Name)}


def split_where(text: str) -> tuple[str, str]:
    """What of an expression can be told before a model runs, and what cannot; either may be empty.

    Raises:
      ValueError: it is no such expression.
    """
    parse_where(text)
    if WHEN_RUN not in names_in(text):
        return text, ""
    tree = ast.parse(text.strip(), mode="eval").body
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    texts = [f"({ast.unparse(part)})" if isinstance(part, ast.BoolOp) else ast.unparse(part) for part in parts]
    later = [WHEN_RUN in names_in(part) for part in texts]
    before, after = (
        " and ".join(part for part, is_later in zip(texts, later, strict=True) if is_later is wanted)
        for wanted in (False, True)
    )
    return before, after
