"""The candidates that are ours: the paper's zoos, parts of them, half-trained ones, pixels, a random network."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nrjax
from benchmarks.paper.zoos import IMAGE_SIZE, specs
from nrjax.models import JaxModel, PaperCNN

VARIANTS = ("full", "512", "lite")
EARLY = "early"  # full networks after a few steps
NARROW = 64
CONV = ("M10", "F10", "C10")
CONV_LAYER = 4


class Candidates:
    """Models by name, one at a time.

    Args:
      cache: where `python -m benchmarks.paper` keeps its models.

    Raises:
      ValueError: a model is missing; names the command that trains it.
    """

    def __init__(self, cache: Path):
        paths = {variant: cache / variant / "seed-0" for variant in (*VARIANTS, EARLY)}
        wanted = {variant: [spec.name for spec in specs(variant)] for variant in VARIANTS} | {EARLY: CONV}
        missing = [paths[v] / name for v, names in wanted.items() for name in names if not (paths[v] / name).is_dir()]
        if missing:
            raise ValueError(
                f"{len(missing)} models are not trained yet, such as {missing[0]}; benchmarks/trust/README.md says how."
            )
        self._zoos = {variant: nrjax.load_zoo(path) for variant, path in paths.items()}
        module = PaperCNN(10, (32, 64), 1024)
        variables = module.init(jax.random.key(0), np.zeros((1, *IMAGE_SIZE, 1), np.float32))
        self._untrained = nrjax.from_linen(module, variables, input_shape=(*IMAGE_SIZE, 1))
        self.whole = [*(f"{v}/{s.name}" for v in VARIANTS for s in specs(v)), "pixels", "untrained"]
        self.parts = [*(f"narrow/{s.name}" for s in specs("full")), *(f"conv/{name}" for name in CONV)]

    def arrays(self, name: str, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Features of images, and the outputs for the model's own classes if it has been trained on any."""
        if name == "pixels":
            return nrjax.extract_features(self._untrained, images, 0), None
        if name == "untrained":
            return nrjax.extract_features(self._untrained, images), None
        if name.startswith("conv/"):
            return nrjax.extract_features(self._model(name), images, CONV_LAYER), None
        if name.startswith("narrow/"):
            return nrjax.extract_features(self._model(name), images)[:, :NARROW], None
        found = nrjax.extract_features(self._model(name), images, ["penultimate", -1])
        return found["penultimate"], found[-1]

    def facts(self, name: str) -> dict[str, Any]:
        """Parameters that its outputs depend on, and its network's own test accuracy (0 for what was never trained)."""
        if name == "pixels":
            return {"parameters": 0, "own_accuracy": 0.0}
        part, _, model = name.partition("/")
        params = dict((self._model(name) if model else self._untrained).variables["params"])
        sizes = {layer: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params[layer])) for layer in params}
        sizes["logits"] = 0
        if part == "conv":
            sizes["dense"] = 0
        if part == "narrow":
            sizes["dense"] = sizes["dense"] * NARROW // len(params["dense"]["bias"])
        own = self._zoo(part).info(model).tags["accuracy"] if model else 0.0
        return {"parameters": sum(sizes.values()), "own_accuracy": own}

    def _zoo(self, part: str) -> nrjax.Zoo:
        return self._zoos.get(part, self._zoos["full"])

    def _model(self, name: str) -> JaxModel:
        part, _, model = name.partition("/")
        return self._zoo(part)[model]
