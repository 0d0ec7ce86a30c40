"""Options of a sweep, checked before anything is computed."""

import sys
from collections.abc import Collection
from typing import Any, Literal, get_args

EngineName = Literal["inline", "local", "ray"]


def check_system() -> None:
    """Raises OSError on Windows."""
    if sys.platform == "win32":
        raise OSError("nrjax.sweep needs locks and processes of Linux or macOS; on Windows run nrjax within WSL.")


def check_race(top: Any, level: Any) -> None:
    """How many are wanted, and how surely."""
    if top is None:
        return
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ValueError(f"top must be a positive integer; got {top!r}.")
    if not 0.5 < level < 1:
        raise ValueError(f"level must be between 0.5 and 1; got {level!r}.")


def check_retries(names: bool | Collection[str], candidates: Collection[str]) -> None:
    """Names of candidates that are tried again."""
    if isinstance(names, bool):
        return
    if isinstance(names, str):
        raise TypeError(f"retry_failed must be True or a list of names; got {names!r}.")
    unknown = [name for name in names if name not in candidates]
    if unknown:
        raise ValueError(f"retry_failed must name candidates; none is called {', '.join(map(repr, unknown))}.")


def check_engine(engine: Any, address: Any, devices_per_model: Any, time_limit: Any, memory_limit: Any) -> None:
    """An engine, and what only some engines take."""
    if engine not in get_args(EngineName):
        raise ValueError(f"engine must be of {', '.join(get_args(EngineName))}; got {engine!r}.")
    if engine != "ray" and (address is not None or devices_per_model != 1):
        raise ValueError("address and devices_per_model are of a Ray cluster: engine='ray'.")
    if isinstance(devices_per_model, bool) or not isinstance(devices_per_model, int) or devices_per_model < 1:
        raise ValueError(f"devices_per_model must be a positive integer; got {devices_per_model!r}.")
    if engine == "inline" and (time_limit is not None or memory_limit is not None):
        raise ValueError("time_limit and memory_limit need processes that can be ended: engine='local'.")
    for name, value in (("time_limit", time_limit), ("memory_limit", memory_limit)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive; got {value!r}.")
