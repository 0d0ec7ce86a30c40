"""PyTorch, ONNX and Flax in one ranking, on real images."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nrjax
from benchmarks.sources.networks import LITE, LITE_INPUT, export, lite

TARGETS = ("mnist", "fashion_mnist", "cifar10")
SAMPLES = 2000
BUNDLED = ("M10", "F10", "C10")


def images(data_dir: str | None, on_done: Callable[[str], None]) -> dict[str, Any]:
    """By target: the table of the ranking, how far PyTorch and its ONNX export are apart, and what bfloat16 changes."""
    modules = {f"lite{version}": lite(version) for version in LITE}
    zoo, found = nrjax.load_demo().zoo, {}
    with tempfile.TemporaryDirectory() as folder:
        file = export(modules["lite0"], Path(folder) / "lite0.onnx")
        exported = nrjax.load_model(f"onnx:{file}", preprocessing=LITE_INPUT)
        candidates = {name: nrjax.from_torch(module, preprocessing=LITE_INPUT) for name, module in modules.items()}
        candidates |= {"lite0 in ONNX": exported} | {name: zoo[name] for name in BUNDLED}
        for target in TARGETS:
            data = nrjax.load_dataset(target, "test", max_samples=SAMPLES, data_dir=data_dir)
            ranking = nrjax.rank(candidates, data, confidence=True)
            ours, theirs = (
                nrjax.extract_features(candidates[name], data.samples) for name in ("lite0", "lite0 in ONNX")
            )
            in_float32 = {name: candidates[name] for name in candidates if name != "lite0 in ONNX"}
            halves = nrjax.rank(in_float32, data, precision="bfloat16")
            whole = nrjax.rank(in_float32, data)
            found[target] = {
                "models": ranking.to_dict()["models"], "text": str(ranking), "samples": len(data.labels),
                "preprocessing": ranking.settings["preprocessing"],
                "apart": float(np.abs(ours - theirs).max()), "size": float(np.abs(ours).max()),
                "bfloat16": {
                    score: {name: [whole.column(score)[name], halves.column(score)[name]] for name in in_float32}
                    for score in ("silhouette", "probe")
                },
                "orders": [whole.order, halves.order],
            }  # fmt: skip
            on_done(target)
    return found
