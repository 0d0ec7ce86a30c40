"""Code that a live model runs and that no package brought, and what it holds: part of its fingerprint."""

import functools
import inspect
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = tuple({str(Path(path).resolve()) for key, path in sysconfig.get_paths().items() if "lib" in key})
OURS = str(Path(__file__).resolve().parents[1])
PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...))
GENERATED = ("__module__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__qualname__", "__firstlineno__")


def code_of(*things: Any) -> Iterator[str | bytes]:
    """Functions, classes and objects: their code and contents, and those of all that they name.

    What an installed package brought is known by its name alone: versions are not looked at.
    """
    waiting: deque[Any] = deque(things)
    seen: dict[int, Any] = {}  # holds what is looked at, so that no number is given away again
    while waiting:
        thing = waiting.popleft()
        if isinstance(thing, PLAIN):
            yield f"{type(thing).__name__} {thing!r}"
            continue
        if id(thing) in seen:
            yield "again"
            continue
        seen[id(thing)] = thing
        said, inner = _taken_apart(thing)
        yield from said
        waiting.extend(inner)


def _taken_apart(thing: Any) -> tuple[list[str | bytes], list[Any]]:
    """What there is to say of a thing, and what has to be looked at next."""
    if isinstance(thing, types.ModuleType):
        return [thing.__name__], []
    if isinstance(thing, types.FunctionType):
        return _function(thing)
    if isinstance(thing, type):
        return _class(thing)
    if isinstance(thing, functools.partial):
        return ["partial"], [thing.func, *thing.args, thing.keywords]
    if isinstance(thing, types.MethodType):
        return ["method"], [thing.__func__, thing.__self__]
    if isinstance(thing, (staticmethod, classmethod)):
        return [type(thing).__name__], [thing.__func__]
    if isinstance(thing, property):
        return ["property"], [thing.fget, thing.fset]
    if isinstance(thing, (list, tuple)):
        return [f"{type(thing).__name__} {len(thing)}"], list(thing)
    if isinstance(thing, Mapping):
        return [f"mapping {len(thing)}"], [one for pair in thing.items() for one in pair]
    if isinstance(thing, (set, frozenset)):
        return [f"set {len(thing)}"], sorted(thing, key=repr)
    if hasattr(thing, "__array__") and hasattr(thing, "dtype"):
        return _array(thing)
    if hasattr(thing, "__wrapped__"):  # such as what jax.jit makes of a function
        return ["wrapped"], [inspect.unwrap(thing)]
    held = {key: value for key, value in sorted(getattr(thing, "__dict__", {}).items()) if key != "training"}
    slots = [name for one in type(thing).__mro__ for name in _slots(one)]
    return ["object"], [type(thing), held, *(getattr(thing, name, None) for name in slots)]


def _function(thing: types.FunctionType) -> tuple[list[str | bytes], list[Any]]:
    named: list[str | bytes] = [f"{thing.__module__} {thing.__qualname__}"]
    if _is_installed(thing.__module__):
        return named, []
    names = list(dict.fromkeys(_names(thing.__code__)))
    globals_ = [thing.__globals__[name] for name in names if name in thing.__globals__]
    modules = [one for one in globals_ if isinstance(one, types.ModuleType) and not _is_installed(one.__name__)]
    of_modules = [vars(module)[name] for module in modules for name in names if name in vars(module)]
    cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]
    inner = [*globals_, *of_modules, *cells, thing.__defaults__, thing.__kwdefaults__]
    return named + list(_instructions(thing.__code__)), inner


def _class(thing: type) -> tuple[list[str | bytes], list[Any]]:
    said: list[str | bytes] = []
    inner: list[Any] = []
    for one in thing.__mro__:
        said.append(f"{one.__module__} {one.__qualname__}")
        if not _is_installed(one.__module__):
            members = {key: value for key, value in sorted(vars(one).items()) if key not in GENERATED}
            inner.append({key: value for key, value in members.items() if not _is_machinery(value)})
    return said, inner


def _array(thing: Any) -> tuple[list[str | bytes], list[Any]]:
    array = np.asarray(thing.detach().cpu() if hasattr(thing, "detach") else thing)
    if array.dtype == object:
        return [f"objects {array.shape}"], array.ravel().tolist()
    return [f"{array.dtype} {array.shape}", np.ascontiguousarray(array).tobytes()], []


def _is_machinery(value: Any) -> bool:
    """What Python and its class decorators put into a class by themselves."""
    return isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType))


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [name for name in slots if not name.startswith("__")]


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
    return str(Path(file).resolve()).startswith((*PACKAGES, OURS))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
