"""The content of live objects, down to numbers, texts and code: what a fingerprint is computed from.

Memory addresses, the order of sets and counters of frameworks are no part of it. An object that cannot be taken apart,
such as an open file, is an error: without its content, two different objects would have one fingerprint.
"""

import copyreg
import functools
import hashlib
import inspect
import threading
import types
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.messages import first_line
from nrjax.errors import FingerprintError
from nrjax.models._code import Content, class_content, files_read_by, function_content, is_global, package_of
from nrjax.models._framework_content import framework_content

PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...), type(NotImplemented))
BUILT_IN = types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType
LOCKS = type(threading.Lock()), type(threading.RLock())  # which influence no output
PROTOCOL = 4  # of pickle, whose description of objects is used


def code_of(*things: object) -> Iterator[str | bytes | np.ndarray]:
    """The content of functions, classes, modules of frameworks and other objects that decides what they compute.

    Objects of an installed package are identified by their name and the package's version.

    Raises:
      FingerprintError: something in them cannot be taken apart.
    """
    return _walk(things, ())


def digest_of(parts: Iterable[str | bytes | np.ndarray]) -> str:
    """SHA-256 of parts, such as those of `code_of`."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            part = part.encode("utf-8", "surrogatepass")
        data = np.ascontiguousarray(part).view(np.uint8).data if isinstance(part, np.ndarray) else part
        digest.update(f"{data.nbytes if isinstance(data, memoryview) else len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def _walk(things: Iterable[object], open_sets: tuple[int, ...]) -> Iterator[str | bytes | np.ndarray]:
    waiting = deque(things)
    seen: dict[int, tuple[int, Any]] = {}  # also keeps the objects alive, so that no address is used again
    while waiting:
        thing = waiting.popleft()
        if type(thing) in PLAIN:
            yield f"{type(thing).__name__} {thing!r}"
        elif id(thing) in seen:
            yield f"again {seen[id(thing)][0]}"
        else:
            seen[id(thing)] = len(seen), thing
            if isinstance(thing, (set, frozenset)) and type(thing) in (set, frozenset):
                if id(thing) not in open_sets:  # a set in itself
                    yield f"set {sorted(digest_of(_walk([entry], (*open_sets, id(thing)))) for entry in thing)}"
            elif (array := _array(thing)) is not None:
                yield f"array {array.dtype} {array.shape}"
                if array.dtype.hasobject:
                    waiting.extend(array.ravel().tolist())
                else:
                    yield np.atleast_1d(array)
            else:
                texts, inner = _content(thing)
                yield f"{texts} {len(inner)}"
                waiting.extend(inner)


def _content(thing: object) -> Content:
    try:
        return framework_content(thing) or _python_content(thing) or _pickle_content(thing)
    except FingerprintError:
        raise
    except Exception as error:  # whatever a user's object does while it is read
        kind = type(thing)
        raise FingerprintError(
            f"it holds a {kind.__module__}.{kind.__qualname__}, which cannot be read: {first_line(error)}"
        ) from error


def _python_content(thing: Any) -> Content | None:
    """The content of objects that pickle knows by name alone, or not at all; None for others."""
    if isinstance(thing, types.FunctionType):
        name = files_read_by(thing)
        if name is not None:
            raise FingerprintError(f"{thing.__qualname__} reads files ({name}), whose content may change")
        return function_content(thing)
    if isinstance(thing, type):
        return class_content(thing)
    if isinstance(thing, types.ModuleType):
        return _module_content(thing)
    if isinstance(thing, types.MethodType):
        return ["method"], [thing.__func__, thing.__self__]
    if isinstance(thing, BUILT_IN):
        owner = getattr(thing, "__self__", getattr(thing, "__objclass__", None))
        return [f"built-in {thing.__qualname__}"], [] if isinstance(owner, types.ModuleType) else [owner]
    if isinstance(thing, (staticmethod, classmethod)):
        return [type(thing).__name__], [thing.__func__]
    if type(thing) is property:
        return ["property"], [thing.fget, thing.fset, thing.fdel]
    if type(thing) in (list, tuple, dict):
        return [type(thing).__name__], [*thing.items()] if isinstance(thing, dict) else [*thing]
    if type(thing) is functools.partial:
        return ["partial"], [thing.func, thing.args, thing.keywords]
    if isinstance(thing, types.MappingProxyType):
        return ["mapping"], [dict(thing)]
    if isinstance(thing, LOCKS):
        return ["lock"], []
    if type(thing) is weakref.ref:
        return ["weak"], [thing()]
    if getattr(thing, "__qualname__", "") and is_global(thing) and package_of(thing.__module__) is not None:
        return [f"{thing.__module__} {thing.__qualname__} {package_of(thing.__module__)}"], []
    if hasattr(thing, "__wrapped__"):  # such as what jax.jit makes of a function
        attributes = {key: value for key, value in getattr(thing, "__dict__", {}).items() if key != "__wrapped__"}
        return ["wrapped", type(thing).__qualname__], [inspect.unwrap(thing), attributes]
    return None


def _pickle_content(thing: object) -> Content:
    """What pickle would write to make the object again: a function, its arguments, a state, items."""
    reduce = copyreg.dispatch_table.get(type(thing))
    reduced: Any = reduce(thing) if reduce else thing.__reduce_ex__(PROTOCOL)
    if isinstance(reduced, str):
        module = getattr(thing, "__module__", None) or type(thing).__module__
        return [f"{module} {reduced} {package_of(module) or ''}"], []
    description: list[Any] = [*reduced, None, None, None, None]
    function, arguments, state, items, pairs = description[:5]
    if isinstance(state, dict):  # scikit-learn remembers the address of an attribute beside it
        addresses = {id(value) for value in state.values()}
        state = {key: "address" if type(value) is int and value in addresses else value for key, value in state.items()}
    return ["object"], [function, arguments, state, *(None if part is None else list(part) for part in (items, pairs))]


def _module_content(module: types.ModuleType) -> Content:
    """The content of a module: all of its values for a module of the user's own."""
    package = package_of(module.__name__)
    values = {} if package is not None else {
        key: value for key, value in sorted(vars(module).items())
        if not key.startswith("__") and not isinstance(value, types.ModuleType)
    }  # fmt: skip
    return [f"module {module.__name__} {package or ''}"], [values]


def _array(thing: object) -> np.ndarray | None:
    """An array of NumPy or JAX as it is; subclasses may hold more than numbers."""
    if type(thing) in (np.ndarray, np.memmap) or isinstance(thing, np.generic):
        return np.asarray(thing)
    if not isinstance(thing, jax.Array):
        return None
    is_key = jnp.issubdtype(thing.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(thing) if is_key else thing)
