"""A sweep that goes on: forty untrained networks, a store, ten more of them a day later, a race for the first three.

python examples/sweep.py
"""

import tempfile
from pathlib import Path

import jax
import numpy as np

import nrjax
from nrjax.models import PaperCNN, from_linen

_, images, labels = nrjax.load_demo()


def network(seed):
    """A CNN of the paper's family, its width by its number."""
    module = PaperCNN(10, (2 + seed % 4, 4), 16 * (1 + seed % 5))
    return from_linen(module, module.init(jax.random.key(seed), np.zeros((1, 28, 28, 1))), input_shape=(28, 28, 1))


with tempfile.TemporaryDirectory() as folder:
    store = Path(folder) / "results.db"
    candidates = {f"network {seed:2}": network(seed) for seed in range(40)}
    options: dict = {"store": store, "layer": "dense", "scores": "silhouette", "progress": False}
    first = nrjax.sweep(candidates, images, labels, **options)
    print(f"computed {first.computed}, stored {first.stored}")

    candidates |= {f"network {seed:2}": network(seed) for seed in range(40, 50)}
    more = nrjax.sweep(candidates, images, labels, **options)
    print(f"computed {more.computed}, stored {more.stored}")

    raced = nrjax.sweep(candidates, images, labels, top=3, **options | {"store": None})
    print(f"{len(raced.dropped)} of {len(candidates)} stopped early; the same first three:",
          raced.ranking.order[:3] == more.ranking.order[:3])  # fmt: skip
    for name, score in list(more.ranking.scores.items())[:3]:
        print(f"{score:.4f}  {name}")
