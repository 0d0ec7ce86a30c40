"""Extraction: beside one model jitted by hand, beside PyTorch, by batch size, and several layers at once."""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nrjax
from nrjax.models import BATCH_SIZE, PaperCNN

ROUNDS = 5
LAYERS: list[str | int] = [4, 5, 6]


def images_and_model():
    """10,000 images and the paper's CNN; as it was initialised, for weights change no speed."""
    images = np.random.default_rng(0).integers(0, 256, (10_000, 28, 28, 1)).astype(np.uint8)
    module = PaperCNN()
    return images, module, module.init(jax.random.key(0), np.zeros((1, 28, 28, 1), np.float32))


def pytorch(variables) -> Callable[[np.ndarray, int], np.ndarray]:
    """The same network in PyTorch, with the same weights, up to the last dense layer."""
    torch = pytest.importorskip("torch")
    nn, params = torch.nn, variables["params"]
    network = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(),
    ).eval()  # fmt: skip
    for name, layer in (("conv1", network[0]), ("conv2", network[3])):
        layer.weight.data = torch.tensor(np.array(params[name]["kernel"]).transpose(3, 2, 0, 1))
        layer.bias.data = torch.tensor(np.array(params[name]["bias"]))
    kernel = np.array(params["dense"]["kernel"]).reshape(7, 7, 64, 1024).transpose(3, 2, 0, 1)  # channels first
    network[7].weight.data = torch.tensor(kernel.reshape(1024, -1))
    network[7].bias.data = torch.tensor(np.array(params["dense"]["bias"]))

    def run(images: np.ndarray, batch_size: int) -> np.ndarray:
        with torch.inference_mode():
            parts = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
            scaled = (torch.from_numpy(p.reshape(-1, 1, 28, 28)).float() / 255 for p in parts)
            return np.concatenate([network(part).numpy() for part in scaled])

    return run


def test_extraction(benchmark):
    """Interleaved: extract_features, one layer and three; the module jitted by hand; PyTorch."""
    images, module, variables = images_and_model()
    model = nrjax.from_linen(module, variables)

    @jax.jit
    def dense(variables, batch):
        _, kept = module.apply(variables, batch.astype(jnp.float32) / 255, capture_intermediates=True)
        return kept["intermediates"]["dense"]["__call__"][0]

    def by_hand() -> np.ndarray:
        starts = range(0, len(images), BATCH_SIZE)
        return np.concatenate([dense(variables, images[start : start + BATCH_SIZE]) for start in starts])

    others = {"jitted by hand": by_hand, "three layers": lambda: nrjax.extract_features(model, images, LAYERS)}
    try:
        network = pytorch(variables)
        others["PyTorch"] = lambda: network(images, BATCH_SIZE)
    except pytest.skip.Exception:
        network = None
    seconds: dict[str, list[float]] = {who: [] for who in others}

    def everyone_else() -> None:
        for who, run in others.items():
            start = time.perf_counter()
            run()
            seconds[who].append(time.perf_counter() - start)

    nrjax.extract_features(model, images)
    everyone_else()
    for times in seconds.values():
        times.clear()
    features = benchmark.pedantic(nrjax.extract_features, (model, images), setup=everyone_else, rounds=ROUNDS)
    if network:
        np.testing.assert_allclose(features[:500], network(images[:500], 500), atol=1e-4)
    rates = {who: len(images) / statistics.median(times) for who, times in seconds.items()}
    benchmark.extra_info |= {
        "group": "extraction",
        "images_per_s": {"nrjax": len(images) / benchmark.stats.stats.median, **rates},
    }


@pytest.mark.parametrize("batch_size", [16, 64, 128, 256, 512, 2048])
def test_batch_size(benchmark, batch_size):
    """What the default batch size was chosen by."""
    images, module, variables = images_and_model()
    model = nrjax.from_linen(module, variables)
    benchmark.pedantic(
        nrjax.extract_features, (model, images), {"batch_size": batch_size}, rounds=ROUNDS, warmup_rounds=1
    )
    rate = len(images) / benchmark.stats.stats.median
    benchmark.extra_info |= {"group": "batch size", "size": batch_size, "images_per_s": rate}
