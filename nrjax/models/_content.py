"""What a live thing consists of, down to numbers, texts and code: what a fingerprint is made of.

Memory addresses, the order of sets and counters of frameworks are no part of it. A thing that cannot be taken apart,
such as an open file, makes the whole unreadable: a fingerprint without it would be that of another thing, too.
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
from nrjax.models._code import Content, class_content, function_content, is_global, package_of
from nrjax.models._framework_content import framework_content

PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...), type(NotImplemented))
BUILT_IN = types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType
LOCKS = type(threading.Lock()), type(threading.RLock())  # which decide no number
PROTOCOL = 4  # of pickle, whose description of objects is used


class FingerprintError(ValueError):
    """Something in a model cannot be read, so that nobody can say whether it is the model of before."""


def code_of(*things: Any) -> Iterator[str | bytes | np.ndarray]:
    """Functions, classes, modules of frameworks and other objects: all that decides what they compute.

    What an installed package brought is known by its name and the package's version.

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


def _walk(things: Iterable[Any], open_sets: tuple[int, ...]) -> Iterator[str | bytes | np.ndarray]:
    waiting = deque(things)
    seen: dict[int, tuple[int, Any]] = {}  # holds what is looked at, so that no address is given away again
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
                    yield f"set {sorted(digest_of(_walk([one], (*open_sets, id(thing)))) for one in thing)}"
            elif (array := _array(thing)) is not None:
                yield f"array {array.dtype} {array.shape}"
                if array.dtype.hasobject:
                    waiting.extend(array.ravel().tolist())
                else:
                    yield np.atleast_1d(array)
            else:
                said, inner = _content(thing)
                yield f"{said} {len(inner)}"
                waiting.extend(inner)


def _content(thing: Any) -> Content:
    try:
        return framework_content(thing) or _of_python(thing) or _of_pickle(thing)
    except FingerprintError:
        raise
    except Exception as error:  # whatever somebody's object does while it is described
        kind = type(thing)
        raise FingerprintError(
            f"it holds a {kind.__module__}.{kind.__qualname__}, which cannot be read: {first_line(error)}"
        ) from error


def _of_python(thing: Any) -> Content | None:
    """What pickle knows by name alone, or not at all."""
    if isinstance(thing, types.FunctionType):
        return function_content(thing)
    if isinstance(thing, type):
        return class_content(thing)
    if isinstance(thing, types.ModuleType):
        return _module(thing)
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
        held = {key: value for key, value in getattr(thing, "__dict__", {}).items() if key != "__wrapped__"}
        return ["wrapped", type(thing).__qualname__], [inspect.unwrap(thing), held]
    return None


def _of_pickle(thing: Any) -> Content:
    """How pickle would make it again: a function, its arguments, a state, items."""
    reduce = copyreg.dispatch_table.get(type(thing))
    made: Any = reduce(thing) if reduce else thing.__reduce_ex__(PROTOCOL)
    if isinstance(made, str):
        module = getattr(thing, "__module__", None) or type(thing).__module__
        return [f"{module} {made} {package_of(module) or ''}"], []
    description: list[Any] = [*made, None, None, None, None]
    function, arguments, state, items, pairs = description[:5]
    if isinstance(state, dict):  # scikit-learn remembers the address of an attribute beside it
        addresses = {id(value) for value in state.values()}
        state = {key: "address" if type(value) is int and value in addresses else value for key, value in state.items()}
    return ["object"], [function, arguments, state, *(None if one is None else list(one) for one in (items, pairs))]


def _module(module: types.ModuleType) -> Content:
    """A module that somebody holds: of the user's own all that is in it."""
    package = package_of(module.__name__)
    held = {} if package is not None else {
        key: value for key, value in sorted(vars(module).items())
        if not key.startswith("__") and not isinstance(value, types.ModuleType)
    }  # fmt: skip
    return [f"module {module.__name__} {package or ''}"], [held]


def _array(thing: Any) -> np.ndarray | None:
    """An array of NumPy or JAX as it is; subclasses may hold more than numbers."""
    if type(thing) in (np.ndarray, np.memmap) or isinstance(thing, np.generic):
        return np.asarray(thing)
    if not isinstance(thing, jax.Array):
        return None
    is_key = jnp.issubdtype(thing.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(thing) if is_key else thing)
