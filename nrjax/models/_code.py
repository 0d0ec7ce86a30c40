"""What a piece of code is: its instructions, what it names, and the version of the package that brought it."""

import dis
import functools
import importlib
import importlib.metadata
import os
import site
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_STANDARD = tuple({path for key, path in sysconfig.get_paths().items() if "stdlib" in key})
PACKAGES = tuple({
    str(Path(path).resolve()) for path in (
        *(sysconfig.get_path("purelib"), sysconfig.get_path("platlib")), *site.getsitepackages(),
        site.getusersitepackages(),
    )
})  # fmt: skip
OURS = str(Path(__file__).resolve().parents[1])
GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM")
GENERATED = (  # by Python, by `dataclass`, by `abc` and by pickling: none of it is what somebody wrote
    "__module__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__annotate__", "__annotate_func__",
    "__annotations_cache__", "__conditional_annotations__", "__qualname__", "__firstlineno__",
    "__static_attributes__", "__slotnames__", "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__",
    "__type_params__", "__dataclass_fields__", "__dataclass_params__", "__match_args__",
)  # fmt: skip
MACHINERY = types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType

Content = tuple[list[str | bytes], list[Any]]  # what there is to say, and what has to be looked at next


def package_of(module: str | None) -> str | None:
    """Name and version of the installed package that a module is of; None for code of the user's own."""
    known = sys.modules.get(module or "")
    if known is None:
        return None
    file = getattr(known, "__file__", None)
    top, _, inner = (module or "").partition(".")
    if file is None:
        if getattr(getattr(known, "__spec__", None), "origin", None) in ("built-in", "frozen"):
            return "python"
        return package_of(module.rpartition(".")[0]) if inner and module else None
    if _is_below(file, (OURS,)):
        return "nrjax"
    if _is_below(file, PACKAGES):
        return _version(top)
    return "python" if _is_below(file, _STANDARD) else None


def version_of(package: str) -> str:
    """Name and version of a package that may not be installed."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def function_content(function: types.FunctionType) -> Content:
    """Instructions, defaults, the closure, and of the user's own functions the globals that they name.

    The package goes by the globals: decorators give their functions the module of what they decorate.
    """
    said: list[str | bytes] = [f"{function.__module__} {function.__qualname__}", *_instructions(function.__code__)]
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    inner: list[Any] = [cells, function.__defaults__, function.__kwdefaults__]
    package = package_of(function.__globals__.get("__name__"))
    if package is not None:
        return [*said, package], [] if is_global(function) else inner
    named = _named_by(function)
    return [*said, repr(list(named))], [*inner, vars(function), *named.values()]


def class_content(kind: type) -> Content:
    """Members of the user's own classes; of installed ones the version, and what somebody replaced in them."""
    said: list[str | bytes] = []
    inner: list[Any] = [] if type(kind) is type else [type(kind)]
    for one in kind.__mro__:
        package = package_of(one.__module__) if is_global(one) else None
        said.append(f"{one.__module__} {one.__qualname__} {package or ''}")
        members = {key: value for key, value in sorted(vars(one).items()) if key not in GENERATED}
        if package is None:
            inner.append({key: value for key, value in members.items() if not isinstance(value, MACHINERY)})
        else:
            inner += [value for value in members.values() if _is_foreign(value)]
    return said, inner


def is_global(thing: Any) -> bool:
    """Whether its module has it under its own name, as pickle wants it."""
    found = sys.modules.get(getattr(thing, "__module__", None) or "")
    for name in str(getattr(thing, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found is thing


class _Names(NamedTuple):
    """Names that instructions read."""

    variables: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[str, ...]


def _named_by(function: types.FunctionType) -> dict[str, Any]:
    """Values of the globals that a function reads, and of the attributes of modules that it may read."""
    scope, names = function.__globals__, _names(function.__code__)
    named = {name: scope[name] for name in names.variables if name in scope}
    modules = [value for value in named.values() if isinstance(value, types.ModuleType)]
    modules += [one for name in names.imports if (one := _imported(name, scope.get("__package__"))) is not None]
    seen = set()
    while modules:
        module = modules.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        installed = package_of(module.__name__) is not None
        for name in names.attributes:
            value = vars(module).get(name)
            if isinstance(value, types.ModuleType):
                modules.append(value)
            elif name in vars(module) and (not installed or _is_foreign(value)):
                named[f"{module.__name__}.{name}"] = value
    return named


def _imported(name: str, package: str | None) -> types.ModuleType | None:
    """A module that a function imports when it is called."""
    for absolute in (name, f"{package}.{name}" if package and name else package):
        if absolute in sys.modules:
            return sys.modules[absolute]
        try:
            return importlib.import_module(absolute or "")
        except Exception:  # whatever the module does: the function has to live with it as well
            continue
    return None


def _is_foreign(value: Any) -> bool:
    """Whether a function came from elsewhere into the module or class of a package."""
    return isinstance(value, types.FunctionType) and package_of(value.__globals__.get("__name__")) is None


def _instructions(code: types.CodeType) -> Iterator[str | bytes]:
    yield code.co_code
    yield getattr(code, "co_exceptiontable", b"")
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _instructions(one)
        else:
            yield _constant(one)


def _constant(value: Any) -> str:
    """A constant as text; sets in an order of their own."""
    if isinstance(value, frozenset):
        return f"set {sorted(map(_constant, value))}"
    if isinstance(value, tuple):
        return f"tuple {[_constant(one) for one in value]}"
    return f"{type(value).__name__} {value!r}"


@functools.lru_cache(1 << 12)
def _names(code: types.CodeType) -> _Names:
    inner = [_names(one) for one in code.co_consts if isinstance(one, types.CodeType)]
    read = list(dis.get_instructions(code))

    def of(kinds: tuple[str, ...], field: int) -> tuple[str, ...]:
        own = [str(one.argval) for one in read if one.opname in kinds]
        return tuple(dict.fromkeys([*own, *(name for names in inner for name in names[field])]))

    return _Names(of(GLOBALS, 0), of(ATTRIBUTES, 1), of(("IMPORT_NAME",), 2))


def _version(top: str) -> str | None:
    """Of the package of a module that lies among the installed ones; None where nobody knows its version."""
    stamps = tuple(os.stat(folder).st_mtime_ns for folder in PACKAGES if os.path.isdir(folder))
    return _version_as_of(stamps, top, getattr(sys.modules.get(top), "__version__", None))


@functools.lru_cache(1 << 12)
def _version_as_of(stamps: tuple[int, ...], top: str, own: Any) -> str | None:
    """As of these dates of the folders of packages; `own` is what the module says itself."""
    try:
        versions = [f"{top} {importlib.metadata.version(top)}"]
    except importlib.metadata.PackageNotFoundError:
        versions = [] if own else [version_of(name) for name in sorted(set(_distributions(stamps).get(top, ())))]
    return " ".join([*versions, f"{top} {own}"] if own else versions) or None


@functools.lru_cache(1)
def _distributions(stamps: tuple[int, ...]) -> dict[str, list[str]]:
    """Distributions by the modules that they brought, as of these dates of the folders: it takes a second."""
    return dict(importlib.metadata.packages_distributions())


@functools.lru_cache(1 << 14)
def _is_below(file: str, folders: tuple[str, ...]) -> bool:
    path = str(Path(file).resolve())
    return any(path.startswith(folder + os.sep) for folder in folders)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
