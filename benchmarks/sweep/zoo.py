"""Zoos of any size: networks of the registered family with drawn widths and seeds. Real forward passes, no training."""

from pathlib import Path

import jax
import numpy as np

import nrjax
from nrjax.models import paper_cnn

CONVOLUTIONS = ((8, 16), (4, 8), (8,), (16,))
DENSE = (64, 128, 256)
SHAPE = (28, 28, 1)


def generate(folder: Path, models: int) -> Path:
    """A zoo of so many models; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    initialise = {}
    for i in range(models):
        config = {
            "classes": 10, "conv_features": list(CONVOLUTIONS[rng.integers(len(CONVOLUTIONS))]),
            "dense_features": int(rng.choice(DENSE)),
        }  # fmt: skip
        if (folder / f"g{i:05}").is_dir():
            continue
        key = str(config)
        if key not in initialise:
            initialise[key] = jax.jit(paper_cnn(**config).init)
        variables = initialise[key](jax.random.key(i), np.zeros((1, *SHAPE), np.float32))
        nrjax.save_model(
            folder, f"g{i:05}", variables, architecture="paper_cnn", config=config, input_shape=SHAPE,
            tags={"seed": i}, source="benchmarks/sweep/zoo.py",
        )  # fmt: skip
    return folder
