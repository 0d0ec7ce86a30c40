"""What users would pick instead, on the same arrays in the same process: PyTorch, cuML, scikit-learn, scib-metrics."""

# pyright: reportMissingImports=false

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

import nrjax
from benchmarks.accelerator.clock import clock, on_cpu
from benchmarks.accelerator.data import features
from benchmarks.kernels import rivals

MODELS = 8


def beside() -> Iterator[dict[str, Any]]:
    """Seconds for 8 models of 10,000 x 1,024 (one for those on the CPU), and how far the scores are from float64."""
    models = 2 if on_cpu() else MODELS
    stack, labels = features(models)
    arrays = {str(i): stack[i] for i in range(models)}
    host = np.asarray(stack)
    exact = [rivals.float64(host[i], labels) for i in range(2)]

    def ours() -> list[float]:
        return list(nrjax.rank_batch(arrays, labels).scores.values())

    order = list(nrjax.rank_batch(arrays, labels).scores)
    found = clock(ours, rounds=5)
    scores = dict(zip(order, ours(), strict=True))
    yield _row("nrjax", models, found, [scores["0"], scores["1"]], exact)
    for name, run, count in _others(stack, host, labels):
        found = clock(run, rounds=1 if count == 1 else 3)
        yield _row(name, count, found, [] if "error" in found else run()[:2], exact)
    features.cache_clear()


def _row(who: str, models: int, found: dict[str, Any], scores: list[float], exact: list[float]) -> dict[str, Any]:
    off = max((abs(a - b) for a, b in zip(scores, exact, strict=False)), default=None)
    each = found["median_s"] / models if "median_s" in found else None
    return {"who": who, "models": models, "each_s": each, "off": off, **found}


def _others(stack, host: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, Callable[[], list[float]], int]]:
    models = len(stack)
    if importlib.util.find_spec("torch"):
        yield from _torch(stack, labels)
    if importlib.util.find_spec("cuml"):
        yield "cuML", lambda: [_cuml(stack[i], labels) for i in range(models)], models
    for name, run in rivals.installed().items():
        yield f"{name}, CPU" if name == "scikit-learn" else name, lambda run=run: [run(host[0], labels)], 1


def _torch(stack, labels: np.ndarray) -> Iterator[tuple[str, Callable[[], list[float]], int]]:
    import torch

    there = torch.from_dlpack(stack)
    classes = torch.as_tensor(np.asarray(labels), device=there.device, dtype=torch.long)

    def score(points) -> float:
        """Silhouette from all pairs, as one writes it; in blocks, for 10,000 x 10,000 would not hurt but a million."""
        units = torch.nn.functional.normalize(points, dim=1)
        members = torch.nn.functional.one_hot(classes).float()
        sums, counts = torch.zeros(len(units), members.shape[1], device=units.device), members.sum(0)
        for start in range(0, len(units), 5_000):
            sums[start : start + 5_000] = (1 - units[start : start + 5_000] @ units.T) @ members
        own = members.bool()
        a = sums[own] / (counts[classes] - 1)
        b = torch.where(own, torch.inf, sums / counts).min(1).values
        return float(((b - a) / torch.maximum(a, b)).mean())

    def lowrank() -> list[float]:
        found = []
        for x in there:
            u, s, _ = torch.pca_lowrank(x, q=20, niter=4)
            found.append(score(u[:, :10] * s[:10]))
        return found

    def full() -> list[float]:
        found = []
        for x in there[:2]:
            x = x - x.mean(0)
            vectors = torch.linalg.eigh(x.T @ x)[1][:, -10:]
            found.append(score(x @ vectors))
        return found

    yield "PyTorch, pca_lowrank(niter=4) and all pairs", lowrank, len(there)
    yield "PyTorch, eigh of the Gram matrix and all pairs", full, 2


def _cuml(array, labels: np.ndarray) -> float:
    cuml, metrics = importlib.import_module("cuml"), importlib.import_module("cuml.metrics.cluster")
    points = cuml.PCA(n_components=10).fit_transform(array)
    return float(metrics.silhouette_score(points, jnp.asarray(labels), metric="cosine"))
