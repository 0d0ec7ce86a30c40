"""Functions and classes as content of a fingerprint: instructions, the names they use, versions of packages."""

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
GENERATED = (  # members that Python, `dataclass`, `abc` and pickling make: nobody wrote them
    "__module__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__annotate__", "__annotate_func__",
    "__annotations_cache__", "__conditional_annotations__", "__qualname__", "__firstlineno__",
    "__static_attributes__", "__slotnames__", "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__",
    "__type_params__", "__dataclass_fields__", "__dataclass_params__", "__match_args__",
)  # fmt: skip
READS_FILES = ("read_text", "read_bytes")  # methods of paths
WRITES = {"w", "a", "x", "wb", "ab", "xb", "wt", "at"}  # modes of `open`
MACHINERY = types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType

Content = tuple[list[str | bytes], list[Any]]  # texts, and the objects within that are read next


def package_of(module: str | None) -> str | None:
    """Name and version of the installed package that a module belongs to; None for the user's own code."""
    loaded = sys.modules.get(module or "")
    if loaded is None:
        return None
    file = getattr(loaded, "__file__", None)
    top, _, inner = (module or "").partition(".")
    if file is None:
        if getattr(getattr(loaded, "__spec__", None), "origin", None) in ("built-in", "frozen"):
            return "python"
        return package_of(module.rpartition(".")[0]) if inner and module else None
    if _is_below(file, (OURS,)):
        return "nrjax"
    if _is_below(file, PACKAGES):
        return _installed_version(top)
    return "python" if _is_below(file, _STANDARD) else None


def version_of(package: str) -> str:
    """Name and version of a package that may not be installed."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def function_content(function: types.FunctionType) -> Content:
    """Instructions, defaults and closure; of the user's own functions also the globals that they name.

    The globals tell the package: a decorator gives its function the module of the decorated one.
    """
    texts: list[str | bytes] = [f"{function.__module__} {function.__qualname__}", *_instructions(function.__code__)]
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    inner: list[Any] = [cells, function.__defaults__, function.__kwdefaults__]
    package = package_of(function.__globals__.get("__name__"))
    if package is not None:
        return [*texts, package], [] if is_global(function) else inner
    used = _used_values(function)
    return [*texts, repr(list(used)), *_environment(function.__code__)], [*inner, vars(function), *used.values()]


def files_read_by(function: types.FunctionType) -> str | None:
    """The name by which a function of the user's own opens files, whose content is no part of it; None for others."""
    if package_of(function.__globals__.get("__name__")) is not None:
        return None
    names = _names_in(function.__code__)
    writes = not WRITES.isdisjoint(_texts_in(function.__code__))
    opens = [name for name in names.variables if name == "open" and name not in function.__globals__ and not writes]
    return next(iter([*opens, *(name for name in names.attributes if name in READS_FILES)]), None)


def _environment(code: types.CodeType) -> Iterator[str]:
    """Variables of the environment that are named in code which reads the environment, with their values."""
    names = _names_in(code)
    if {"environ", "getenv"} & {*names.variables, *names.attributes}:
        texts = dict.fromkeys(text for text in _texts_in(code) if text in os.environ)
        yield from (f"environment {text}={os.environ[text]}" for text in texts)


def _texts_in(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _texts_in(constant)
        elif isinstance(constant, str):
            yield constant


def class_content(kind: type) -> Content:
    """Members of the user's own classes; of installed classes the version, and functions of the user's own in them."""
    texts: list[str | bytes] = []
    inner: list[Any] = [] if type(kind) is type else [type(kind)]
    for base in kind.__mro__:
        package = package_of(base.__module__) if is_global(base) else None
        texts.append(f"{base.__module__} {base.__qualname__} {package or ''}")
        members = {key: value for key, value in sorted(vars(base).items()) if key not in GENERATED}
        if package is None:
            inner.append({key: value for key, value in members.items() if not isinstance(value, MACHINERY)})
        else:
            inner += [value for value in members.values() if _is_foreign(value)]
    return texts, inner


def is_global(thing: object) -> bool:
    """Whether its module has it under its own name, as pickle wants it."""
    member = sys.modules.get(getattr(thing, "__module__", None) or "")
    for name in str(getattr(thing, "__qualname__", "")).split("."):
        member = getattr(member, name, None)
    return member is thing


class _Names(NamedTuple):
    """Names that instructions read."""

    variables: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[str, ...]


def _used_values(function: types.FunctionType) -> dict[str, Any]:
    """Values of the globals that a function reads, and of the attributes of modules that it may read."""
    scope, names = function.__globals__, _names_in(function.__code__)
    used = {name: scope[name] for name in names.variables if name in scope}
    modules = [value for value in used.values() if isinstance(value, types.ModuleType)]
    imported = (_import(name, scope.get("__package__")) for name in names.imports)
    modules += [module for module in imported if module is not None]
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
                used[f"{module.__name__}.{name}"] = value
    return used


def _import(name: str, package: str | None) -> types.ModuleType | None:
    """A module that a function imports when it is called."""
    for absolute in (name, f"{package}.{name}" if package and name else package):
        if absolute in sys.modules:
            return sys.modules[absolute]
        try:
            return importlib.import_module(absolute or "")
        except Exception:  # whatever the module does: the function meets the same error
            continue
    return None


def _is_foreign(value: object) -> bool:
    """Whether a value is a function of the user's own, found in the module or class of a package."""
    return isinstance(value, types.FunctionType) and package_of(value.__globals__.get("__name__")) is None


def _instructions(code: types.CodeType) -> Iterator[str | bytes]:
    yield code.co_code
    yield getattr(code, "co_exceptiontable", b"")
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant)
        else:
            yield _constant_text(constant)


def _constant_text(value: object) -> str:
    """A constant as text; sets in sorted order."""
    if isinstance(value, frozenset):
        return f"set {sorted(map(_constant_text, value))}"
    if isinstance(value, tuple):
        return f"tuple {[_constant_text(entry) for entry in value]}"
    return f"{type(value).__name__} {value!r}"


@functools.lru_cache(1 << 12)
def _names_in(code: types.CodeType) -> _Names:
    """Names that a function and the functions within it read."""
    inner = [_names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    instructions = list(dis.get_instructions(code))

    def collect(operations: tuple[str, ...], field: int) -> tuple[str, ...]:
        outer = [str(instruction.argval) for instruction in instructions if instruction.opname in operations]
        return tuple(dict.fromkeys([*outer, *(name for names in inner for name in names[field])]))

    return _Names(collect(GLOBALS, 0), collect(ATTRIBUTES, 1), collect(("IMPORT_NAME",), 2))


def _installed_version(top: str) -> str | None:
    """Name and version of the package of an installed module; None where its version is not known."""
    stamps = tuple(os.stat(folder).st_mtime_ns for folder in PACKAGES if os.path.isdir(folder))
    return _version_at(stamps, top, getattr(sys.modules.get(top), "__version__", None))


@functools.lru_cache(1 << 12)
def _version_at(stamps: tuple[int, ...], top: str, declared: object) -> str | None:
    """The version while the folders of packages have these dates; `declared` is the module's own `__version__`."""
    try:
        versions = [f"{top} {importlib.metadata.version(top)}"]
    except importlib.metadata.PackageNotFoundError:
        versions = [] if declared else [version_of(name) for name in sorted(set(_distributions(stamps).get(top, ())))]
    return " ".join([*versions, f"{top} {declared}"] if declared else versions) or None


@functools.lru_cache(1)
def _distributions(stamps: tuple[int, ...]) -> dict[str, list[str]]:
    """Distributions by the modules that they installed, while the folders have these dates. It takes a second."""
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
