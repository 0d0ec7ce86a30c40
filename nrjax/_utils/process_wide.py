"""Changes of what belongs to the whole process, such as hooks and log levels, for as long as somebody needs them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any


class ProcessWide:
    """A context that many threads may enter, in any order: the first makes the change, the last undoes it.

    Were it made and undone by each, a thread that leaves second would restore what the other one had changed.

    Args:
      change: makes a context that changes something and restores it.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[Any]]):
        self.__doc__ = change.__doc__
        self._change, self._lock, self._inside = change, threading.Lock(), 0
        self._active: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._active is None:
                self._active = self._change()
                self._active.__enter__()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._active is not None:
                active, self._active = self._active, None
                active.__exit__(None, None, None)


def process_wide(change: Callable[[], Iterator[None]]) -> ProcessWide:
    """A `ProcessWide` of a generator that changes something, yields, and restores it."""
    return ProcessWide(contextmanager(change))


@contextmanager
def environment_default(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, unless the user has set it; gone again afterwards."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
