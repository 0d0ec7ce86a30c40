"""What there is to choose from: the paper's zoos of all widths and depths, raw pixels, and an untrained network."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nrjax
from benchmarks.paper.zoos import IMAGE_SIZE, specs
from nrjax.models import PaperCNN

VARIANTS = ("full", "512", "lite")


class Candidates:
    """Models by name, `full/M10` and so on, one at a time.

    Args:
      cache: where `python -m benchmarks.paper` keeps its models.

    Raises:
      ValueError: a model is missing; names the command that trains it.
    """

    def __init__(self, cache: Path):
        paths = {variant: cache / variant / "seed-0" for variant in VARIANTS}
        missing = [p / s.name for v, p in paths.items() for s in specs(v) if not (p / s.name).is_dir()]
        if missing:
            raise ValueError(
                f"{len(missing)} models are not trained yet, such as {missing[0]}; run python -m benchmarks.paper."
            )
        self._zoos = {variant: nrjax.load_zoo(path) for variant, path in paths.items()}
        module = PaperCNN(10, (32, 64), 1024)
        variables = module.init(jax.random.key(0), np.zeros((1, *IMAGE_SIZE, 1), np.float32))
        self._untrained = nrjax.from_linen(module, variables, input_shape=(*IMAGE_SIZE, 1))
        self.names = [f"{v}/{s.name}" for v in VARIANTS for s in specs(v)] + ["pixels", "untrained"]

    def arrays(self, name: str, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Features of images, and the outputs for the model's own classes if it has been trained on any."""
        if name == "pixels":
            return nrjax.extract_features(self._untrained, images, 0), None
        if name == "untrained":
            return nrjax.extract_features(self._untrained, images), None
        found = nrjax.extract_features(self._model(name), images, ["penultimate", -1])
        return found["penultimate"], found[-1]

    def facts(self, name: str) -> dict[str, Any]:
        """Parameters below the last layer, and accuracy on its own test data (0 for what was never trained)."""
        if name == "pixels":
            return {"parameters": 0, "own_accuracy": 0.0}
        variant, _, model = name.partition("/")
        variables = (self._model(name) if model else self._untrained).variables
        below = {layer: leaf for layer, leaf in variables["params"].items() if layer != "logits"}
        own = self._zoos[variant].info(model).tags["accuracy"] if model else 0.0
        return {"parameters": sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(below)), "own_accuracy": own}

    def _model(self, name: str) -> nrjax.Model:
        variant, _, model = name.partition("/")
        return self._zoos[variant][model]
