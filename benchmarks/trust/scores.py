"""The part of the benchmark that measures: every candidate on every target that it is tried on, kept as it comes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.trust.candidates import Candidates
from benchmarks.trust.measure import measure
from benchmarks.trust.pools import Pool

DRAWS = {100: 3, 300: 2, 1000: 1}  # smaller targets cut from those of all classes
LIKE_OTHERS = ("512/", "lite/", "narrow/")  # candidates that are as good as others, and not tried on those
AT_ONCE = 15  # candidates whose compiled programs are kept: a process has 65,530 mappings of memory for them
Found = dict[str, dict[str, dict[str, Any]]]  # target, candidate, what `measure` found


def measured(
    pools: Sequence[Pool], models: Candidates, keep: Path, resume: bool, on_done: Callable[[str], None]
) -> Found:
    """Target to candidate to what was found.

    Args:
      pools: what to measure.
      models: the candidates that are ours.
      keep: folder for what has been measured: `<target>/<candidate>.json`, and influences beside it.
      resume: take what is there already.
      on_done: told each candidate of each data set.
    """
    found: Found = {}
    for pool in pools:
        for place, (name, targets) in enumerate(pool.candidates.items()):
            paths = {target: kept(keep, target, name, ".json") for target in targets}
            wanted = {target: path for target, path in paths.items() if not (resume and path.exists())}
            if wanted:
                features, outputs = pool.arrays(name, models)
                for target, path in wanted.items():
                    draws = DRAWS if target == pool.whole and not name.startswith(LIKE_OTHERS) else {}
                    one, influences = measure(features, outputs, pool.labels, *pool.targets[target], draws)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    np.savez(kept(keep, target, name, ".npz"), **influences)  # pyright: ignore[reportArgumentType]
                    path.write_text(json.dumps(one), encoding="utf-8")
                on_done(f"{name} on {', '.join(wanted)}")
                if place % AT_ONCE == 0:
                    jax.clear_caches()
            for target, path in paths.items():
                found.setdefault(target, {})[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def kept(keep: Path, target: str, name: str, suffix: str) -> Path:
    """The file of a candidate on a target."""
    return keep / target / f"{name.replace('/', '-')}{suffix}"
