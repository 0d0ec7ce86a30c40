"""How many texts were longer than a model takes."""

from collections.abc import Iterable, Mapping
from typing import Any

TRUNCATED = "truncated"  # of a batch of tokens: whether each text lost some of its own


class TruncatedTexts:
    """Counts texts, and those of them that were truncated, since the last remark."""

    def __init__(self, longest: str = "the model takes"):
        self._longest, self._truncated, self._seen = longest, 0, 0

    def add(self, truncated: Iterable[bool]) -> None:
        """Counts texts by whether they were truncated."""
        flags = [bool(flag) for flag in truncated]
        self._truncated, self._seen = self._truncated + sum(flags), self._seen + len(flags)

    def add_batch(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Counts the texts of a batch of tokens, and returns what the network takes of it."""
        self.add(batch.get(TRUNCATED, ()))
        return {name: array for name, array in batch.items() if name != TRUNCATED}

    def take(self) -> list[str]:
        """The remark, where a text was truncated; the count starts again."""
        truncated, seen, self._truncated, self._seen = self._truncated, self._seen, 0, 0
        words = f"{truncated:,} of {seen:,} texts are longer than {self._longest} and were truncated."
        return [words] if truncated else []
