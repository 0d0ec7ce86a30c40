"""A bound on the memory that threads take at once."""

import contextlib
import threading
from collections.abc import Iterator


class MemoryBudget:
    """So many bytes may be taken at once; what is larger than all of them goes alone."""

    def __init__(self, total: int):
        self._total, self._taken, self._changed = total, 0, threading.Condition()

    @contextlib.contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Waits until there is room for so many bytes, and gives them back at the end."""
        amount = min(amount, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + amount <= self._total)
            self._taken += amount
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()
