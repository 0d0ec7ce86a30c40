"""Code that a live model runs and that no package brought: part of its fingerprint, as its weights are."""

import functools
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = tuple({str(Path(path).resolve()) for key, path in sysconfig.get_paths().items() if "lib" in key})
OURS = str(Path(__file__).resolve().parents[1])
PLAIN = (str, bytes, int, float, complex, bool, type(None))


def code_of(*things: Any) -> Iterator[str | bytes]:
    """Functions, methods and classes: their code, and that of all of the same kind that they name.

    What an installed package brought is known by its name alone: versions are not looked at.
    """
    yield from _code(list(things), set())


def _code(waiting: list[Any], seen: set[int]) -> Iterator[str | bytes]:
    while waiting:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, functools.partial):
            waiting += [thing.func, *thing.args, *(thing.keywords[key] for key in sorted(thing.keywords))]
        elif isinstance(thing, types.MethodType):
            waiting += [thing.__func__, type(thing.__self__)]
        elif isinstance(thing, (staticmethod, classmethod)):
            waiting.append(thing.__func__)
        elif isinstance(thing, property):
            waiting += [one for one in (thing.fget, thing.fset) if one is not None]
        elif isinstance(thing, types.FunctionType):
            yield f"{thing.__module__} {thing.__qualname__}"
            if not _is_installed(thing.__module__):
                yield from _instructions(thing.__code__)
                named = [thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__]
                cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]
                waiting += [*named, *cells, *(thing.__defaults__ or ())]
        elif isinstance(thing, type):
            for one in thing.__mro__:
                yield f"{one.__module__} {one.__qualname__}"
                if not _is_installed(one.__module__):
                    waiting += [value for _, value in sorted(vars(one).items()) if not isinstance(value, PLAIN)]
                    yield repr(sorted((k, v) for k, v in vars(one).items() if isinstance(v, (int, float, str))
                                      and not k.startswith("__")))  # fmt: skip
        elif isinstance(thing, PLAIN):
            yield repr(thing)
            seen.discard(id(thing))
        elif isinstance(thing, np.ndarray):
            yield f"{thing.dtype} {thing.shape}"
            yield np.ascontiguousarray(thing).tobytes() if thing.dtype != object else b""
        elif hasattr(thing, "__wrapped__"):  # such as what jax.jit makes of a function
            waiting.append(inspect.unwrap(thing))


def _instructions(code: types.CodeType) -> Iterator[str | bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, [one for one in code.co_consts if isinstance(one, (*PLAIN, tuple))]))
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _instructions(one)


def _names(code: types.CodeType) -> list[str]:
    inner = [name for one in code.co_consts if isinstance(one, types.CodeType) for name in _names(one)]
    return [*code.co_names, *inner]


def _is_installed(module: str | None) -> bool:
    found = sys.modules.get(module or "")
    file = getattr(found, "__file__", None)
    if file is None:
        return found is not None and module != "__main__"  # built in
    path = str(Path(file).resolve())
    return path.startswith((*PACKAGES, OURS))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
