"""What the kernels are measured on: features of the paper's trained CNNs, and synthetic ones."""

import functools
from pathlib import Path

import numpy as np
import pytest

import nrjax

ZOO = Path.home() / ".cache" / "nrjax" / "paper" / "full" / "seed-0"
CLASSES = 10


@functools.lru_cache(maxsize=1)
def trained(layer: str | int, classes: str, models: tuple[str, ...] | None = None) -> tuple[dict, np.ndarray]:
    """Features of the paper's CNNs on Fashion-MNIST's test images, and labels; skips where there are none."""
    if not ZOO.is_dir():
        pytest.skip(f"no trained CNNs in {ZOO}: run python -m benchmarks.paper first")
    try:
        data = nrjax.load_dataset("fashion_mnist", "test", classes=classes, image_size=(28, 28), grayscale=True)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    zoo = nrjax.load_zoo(ZOO)
    return {name: nrjax.extract_features(zoo[name], data.images, layer) for name in models or zoo}, data.labels


def blobs(samples: int, dims: int, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes whose spectrum decays as that of a trained layer, float32, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, samples).astype(np.int32)
    labels[:classes] = np.arange(classes)
    points = rng.standard_normal((classes, dims), np.float32)[labels] + rng.standard_normal((samples, dims), np.float32)
    return points / np.arange(1, dims + 1, dtype=np.float32), labels
