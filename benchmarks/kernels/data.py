"""What the kernels are measured on: features of the paper's trained CNNs, and synthetic ones."""

import functools
from pathlib import Path

import numpy as np
import pytest

import nrjax
from benchmarks.kernels.elsewhere import FOLDER

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


def elsewhere() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features of networks from outside the paper, as far as `benchmarks.kernels.elsewhere` has made them."""
    kept = {path.stem: np.load(path) for path in sorted(FOLDER.glob("*.npz"))}
    return {name: (one["features"], one["labels"]) for name, one in kept.items()}


SPECTRA = ("bundled CNN", "power law 1/2", "power law 1", "linear decay", "centres in white noise", "white noise",
           "narrow", "wide", "few samples")  # fmt: skip


def spectrum(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of the bundled CNN, or of classes in a spectrum of that name."""
    if name == "bundled CNN":
        demo = nrjax.load_demo()
        return np.asarray(nrjax.extract_features(demo.zoo["C10"], demo.images)), demo.labels
    samples, dims, classes, values = {
        "power law 1/2": (3_000, 1_024, 10, lambda i: i**-0.5),
        "power law 1": (5_000, 1_024, 10, lambda i: 1 / i),
        "linear decay": (2_000, 600, 10, lambda i: np.linspace(1, 0.01, len(i))),
        "centres in white noise": (2_000, 512, 9, lambda i: i**0.0),
        "white noise": (2_000, 512, 4, lambda i: i**0.0),
        "narrow": (20_000, 64, 10, lambda i: i**-0.5),
        "wide": (1_000, 8_192, 10, lambda i: i**-0.6),
        "few samples": (400, 768, 10, lambda i: i**-0.7),
    }[name]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, samples)
    labels[:classes] = range(classes)
    centres = rng.normal(size=(classes, dims)) * (name != "white noise")
    rows = (centres[labels] + rng.normal(size=(samples, dims))) * values(np.arange(1.0, dims + 1))
    return rows.astype(np.float32), labels


def blobs(samples: int, dims: int, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes whose spectrum decays as that of a trained layer, float32, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, samples).astype(np.int32)
    labels[:classes] = np.arange(classes)
    points = rng.standard_normal((classes, dims), np.float32)[labels] + rng.standard_normal((samples, dims), np.float32)
    return points / np.arange(1, dims + 1, dtype=np.float32), labels
