"""Forward passes on the device: the registered family, a PyTorch network beside a loop by hand, every precision."""

# pyright: reportMissingImports=false

import importlib.util
from collections.abc import Iterator
from typing import Any, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np

import nrjax
from benchmarks.accelerator.clock import clock, on_cpu
from nrjax.models import Precision

BATCH = 256


def forward() -> Iterator[dict[str, Any]]:
    """Images a second, and how far the score of what comes out is from float32."""
    demo = nrjax.load_demo()
    images = np.tile(demo.images, (10, 1, 1, 1))
    exact = 0.0
    for precision in get_args(Precision):
        run = lambda p=precision: nrjax.extract_features(demo.zoo["F10"], images, precision=p)  # noqa: E731
        found = clock(run, rounds=3)
        score = nrjax.rank_batch({"m": run()[: len(demo.labels)]}, demo.labels).scores["m"]
        exact = exact or score
        yield {
            "network": "bundled CNN, 28 x 28", "precision": precision, "images": len(images), "score": score,
            "apart": abs(score - exact), **found,
        }  # fmt: skip
    if importlib.util.find_spec("torchvision"):
        yield from _of_torch(demo.images)


def _of_torch(small: np.ndarray) -> Iterator[dict[str, Any]]:
    import torch
    import torchvision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    module = torchvision.models.resnet18(num_classes=10).to(device).eval()
    count = 64 if on_cpu() else 2_048
    images = np.repeat(np.kron(small[: count % 1000 or 1000], np.ones((1, 8, 8, 1), np.uint8)), 3, axis=3)
    images = np.resize(images, (count, 224, 224, 3))
    model = nrjax.from_torch(module, input_shape=(224, 224, 3))

    def by_hand() -> np.ndarray:
        kept = []
        module.fc = torch.nn.Identity()
        with torch.inference_mode():
            for start in range(0, count, BATCH):
                batch = torch.from_numpy(images[start : start + BATCH]).to(device)
                kept.append(module(batch.permute(0, 3, 1, 2).float().div(255).contiguous()).cpu().numpy())
        return np.concatenate(kept)

    for precision in get_args(Precision):
        run = lambda p=precision: nrjax.extract_features(  # noqa: E731
            model, images, batch_size=BATCH, precision=cast(Precision, p)
        )
        yield {"network": "resnet18 of torchvision, 224 x 224", "precision": precision, "images": count,
               **clock(run, rounds=2)}  # fmt: skip
    yield {"network": "resnet18 of torchvision, 224 x 224", "precision": "a loop by hand, its defaults",
           "images": count, **clock(by_hand, rounds=2)}  # fmt: skip
    features = torch.randn(10_000, 1_024, device=device)
    labels = np.arange(len(features)) % 10
    yield {"network": "features of PyTorch on the device, by DLPack to rank_batch", "images": len(features),
           **clock(lambda: nrjax.rank_batch({"m": features}, labels), rounds=3)}  # fmt: skip
    held = jnp.asarray(np.asarray(features.cpu()))
    yield {"network": "the same features as a JAX array", "images": len(features),
           **clock(lambda: nrjax.rank_batch({"m": held}, labels), rounds=3)}  # fmt: skip
    there = jax.dlpack.from_dlpack(features)
    pointers = there.unsafe_buffer_pointer(), features.data_ptr()
    yield {"network": "DLPack shares the memory", "shared": pointers[0] == pointers[1]}
