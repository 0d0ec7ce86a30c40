"""Results of a run that may be interrupted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kept:
    """A JSON file of results by key, written after each.

    Args:
      path: of the file.
      resume: take what is there; otherwise it is begun anew.
    """

    def __init__(self, path: Path, resume: bool):
        self._path = path
        self._results: dict[str, Any] = json.loads(path.read_text("utf-8")) if resume and path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """The kept result, or a new one."""
        if key not in self._results:
            self._results[key] = measure()
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(self._results), encoding="utf-8")
            part.replace(self._path)
        return self._results[key]
