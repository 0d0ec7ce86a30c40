"""Where the time of a batch goes: which parts of a step, and what comes before and after the steps."""

import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import jax
import numpy as np

from benchmarks.accelerator.clock import on_cpu
from benchmarks.accelerator.data import features, to_score
from nrjax.scoring import iteration, silhouettes
from nrjax.scoring.array_features import ArrayFeatures
from nrjax.scoring.compute import compute_context

CALLS = 3


class Times:
    """Seconds in functions and calls of them, by name. Each result is waited for."""

    def __init__(self):
        self.seconds, self.calls = defaultdict[str, float](float), defaultdict[str, int](int)

    def of(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = jax.block_until_ready(function(*arguments, **options))
            self.seconds[name] += time.perf_counter() - start
            self.calls[name] += 1
            return result

        return call


def where() -> Iterator[dict[str, Any]]:
    """Three calls to 1e-6 as they are, and three more in which every part is waited for; seconds of one call."""
    for models in (4, 1) if on_cpu() else (64, 1):
        run = functools.partial(silhouettes.krylov_scores, *to_score(*features(models), 1e-6))
        whole, parts = Times(), Times()
        with compute_context():
            run()  # compiles
            for _ in range(CALLS):
                whole.of("a call", run)()
            with _timed(parts):
                for _ in range(CALLS):
                    whole.of("a call that waits for every part", run)()
        rest = whole.seconds["a call that waits for every part"] - sum(parts.seconds.values())
        seconds = whole.seconds | parts.seconds | {"the rest, on the host": rest}
        for name, total in seconds.items():
            count = parts.calls[name] / CALLS or 1
            row = {"models": models, "what": name, "time_s": total / CALLS, "count": count}
            yield row | {"each_s": row["time_s"] / count}
    features.cache_clear()


@contextlib.contextmanager
def _timed(times: Times) -> Iterator[None]:
    """Parts of `krylov_scores` timed. As many calls of `multiply` are as many steps."""
    small = iteration._small_problems()
    there = "host" if isinstance(small.in_float64(np.zeros(())), np.ndarray) else "device"
    timed_small = type(small)(
        times.of(f"extend, on the {there}", small.extend), times.of(f"Ritz pairs, on the {there}", small.ritz_pairs),
        times.of(f"residuals, on the {there}", small.residuals),
        times.of("blocks and products to float64", small.in_float64),
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(iteration, "_small_problems", return_value=timed_small))
        for name, owner, attribute in (
            ("size", ArrayFeatures, "size"), ("first block, on the host", iteration, "_first_block"),
            ("multiply", ArrayFeatures, "multiply"), ("rotate", ArrayFeatures, "rotate"),
            ("sensitivity", silhouettes, "sensitivity"), ("silhouettes", silhouettes, "evaluate"),
        ):  # fmt: skip
            timed = times.of(name, getattr(owner, attribute))
            stack.enter_context(mock.patch.object(owner, attribute, timed))
        yield
