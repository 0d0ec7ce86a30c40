"""Where the time of a batch goes: which kernels of the device, and how long it waits between them."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.clock import on_cpu
from benchmarks.accelerator.data import CLASSES, features
from nrjax import kernels
from nrjax.kernels import ScoreSettings
from nrjax.scoring.walk import conditions

CALLS = 3
MOST = 16  # names that are told apart


def where() -> Iterator[dict[str, Any]]:
    """A profile of three calls to 1e-6: the span of one, what the device is busy of it, and what with."""
    if on_cpu():
        yield {"what": "a profile tells streams of a device, not threads", "error": "nothing to measure"}
        return
    for models in (64, 1):
        stack, labels = features(models)
        ids, settings = jnp.asarray(labels), ScoreSettings(solver="krylov")
        with conditions(np.float32), tempfile.TemporaryDirectory() as scratch:
            for traced in (False, True):
                if traced:
                    jax.profiler.start_trace(scratch)
                for _ in range(CALLS):
                    jax.block_until_ready(kernels.score_models(stack, ids, n_classes=CLASSES, settings=settings))
            jax.profiler.stop_trace()
            yield from _rows(models, next(Path(scratch).rglob("*.xplane.pb")))
    features.cache_clear()


def _rows(models: int, path: Path) -> Iterator[dict[str, Any]]:
    device = next(plane for plane in jax.profiler.ProfileData.from_file(str(path)).planes if "GPU" in plane.name)
    streams = [line for line in device.lines if line.name.startswith("Stream")]
    events = sorted(
        (event.start_ns, event.start_ns + event.duration_ns, event.name) for line in streams for event in line.events
    )  # fmt: skip
    seconds, counts, busy, end = Counter[str](), Counter[str](), 0.0, 0.0
    for start, stop, name in events:
        seconds[name] += (stop - start) / 1e9 / CALLS
        counts[name] += 1
        busy += max(0.0, stop - max(start, end)) / 1e9 / CALLS
        end = max(end, stop)
    span = (end - events[0][0]) / 1e9 / CALLS
    yield {"models": models, "what": "a call", "time_s": span, "count": len(events) / CALLS}
    yield {"models": models, "what": "the device is busy", "time_s": busy}
    most = seconds.most_common(MOST)
    for name, time in most:
        yield {"models": models, "what": name, "time_s": time, "count": counts[name] / CALLS}
    rest, many = busy - sum(time for _, time in most), len(events) - sum(counts[name] for name, _ in most)
    yield {"models": models, "what": f"{len(seconds) - len(most)} others", "time_s": rest, "count": many / CALLS}
