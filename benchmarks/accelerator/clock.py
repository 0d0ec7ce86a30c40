"""Seconds of work on a device: the first call apart, then the median of calls that are waited for."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax


def clock(run: Callable[..., Any], *arguments: Any, rounds: int = 5) -> dict[str, Any]:
    """`first_s` with compilation, `median_s` and `spread_s` of `rounds` calls, or `error` in one line."""
    try:
        first, times = _once(run, arguments), [_once(run, arguments) for _ in range(rounds)]
    except Exception as error:  # one figure less, the others go on
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    return {"first_s": first, "median_s": statistics.median(times), "spread_s": max(times) - min(times)}


def _once(run: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run(*arguments))
    return time.perf_counter() - start


def on_cpu() -> bool:
    """Whether JAX found nothing but a CPU: sizes are smaller there."""
    return jax.default_backend() == "cpu"
