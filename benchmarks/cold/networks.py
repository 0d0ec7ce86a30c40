"""Live timm networks with random weights on images: a loop by hand beside `nrjax.rank`; prints JSON.

    python -m benchmarks.cold.networks hand|nrjax

The loop by hand is what one would write: timm's own transform and `forward_head(pre_logits=True)`, then scikit-learn.
"""

import json
import sys
import time
from typing import Any

import numpy as np

from benchmarks.cold.process import by_scikit_learn

NETWORKS = ("resnet18", "resnet26", "mobilenetv3_small_100", "efficientnet_b0", "vit_tiny_patch16_224",
            "deit_small_patch16_224", "convnext_atto", "regnety_004")  # fmt: skip
IMAGES, SIZE, CLASSES, BATCH = 400, 224, 10, 50
SCORES = ["silhouette", "probe"]


def images() -> tuple[np.ndarray, np.ndarray]:
    """Noise with a colour for each class."""
    rng, labels = np.random.default_rng(0), np.arange(IMAGES) % CLASSES
    colours = rng.integers(0, 256, (CLASSES, 3))
    noise = rng.integers(-80, 81, (IMAGES, SIZE, SIZE, 3))
    return np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8), labels


def by_hand(models: dict, pixels: np.ndarray, labels: np.ndarray) -> None:
    """A loop over the networks."""
    import timm.data  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]
    from PIL import Image

    features = {}
    for name, model in models.items():
        transform: Any = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
        batches = []
        with torch.inference_mode():
            for start in range(0, len(pixels), BATCH):
                batch = torch.stack([transform(Image.fromarray(image)) for image in pixels[start : start + BATCH]])
                batches.append(model.forward_head(model.forward_features(batch), pre_logits=True).numpy())
        features[name] = np.concatenate(batches)
    by_scikit_learn(features, labels, SCORES)


def main(who: str) -> None:
    """Measures and prints."""
    import timm  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    models = {name: timm.create_model(name).eval() for name in NETWORKS}
    pixels, labels = images()
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        if who == "nrjax":
            import nrjax

            ranking = nrjax.rank(models, pixels, labels, scores=SCORES, progress=False)
            if ranking.failed:
                raise RuntimeError(f"models failed: {ranking.failed}")
        else:
            by_hand(models, pixels, labels)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"first": seconds[0], "second": seconds[1]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
