"""Measures the paper's tables on trained zoos, with nothing but nrjax's public API."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import nrjax
from benchmarks.paper.published import LAYERS, MODELS
from benchmarks.paper.training import Recipe
from benchmarks.paper.transfer import trained_by_recipe, transfer_accuracy
from benchmarks.paper.zoos import FIVE_BEST, IMAGE_SIZE

TARGETS = {"mnist": "mnist", "fashion": "fashion_mnist"}  # classes 0-4 of each are the paper's targets
COMPONENTS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500)  # of Figure 2


class Evaluation:
    """Scores and accuracies of one seed's zoos; every feature matrix is extracted once.

    Args:
      zoos: variant to the directory of its zoo.
      data_dir: where TFDS keeps its datasets.
      max_samples: of every split; None takes all.
    """

    def __init__(self, zoos: Mapping[str, Path], data_dir: str | None = None, max_samples: int | None = None):
        self._zoos = {variant: nrjax.load_zoo(path) for variant, path in zoos.items()}
        self._data_dir, self._max_samples = data_dir, max_samples
        self._accuracies: dict[tuple[str, str, str], float] = {}

    def table_1(self) -> dict[str, float]:
        """Every model's accuracy on the test images of its own classes, as it was measured after training."""
        return {name: self._zoos["full"].info(name).tags["accuracy"] for name in MODELS}

    def table_2(self) -> dict[str, dict[str, float]]:
        """Scores at L0..L5 of the nine models on MNIST 0-4."""
        data = self.data("mnist", "test")
        ranking = nrjax.rank(self._zoos["full"], data.images, data.labels, layers=range(len(LAYERS)))
        by_layer = ranking.by_layer
        return {model: {name: by_layer[model][str(i)] for i, name in enumerate(LAYERS)} for model in MODELS}

    def table_3(self) -> dict[str, float]:
        """Scores at L5 on Fashion 0-4."""
        return self._scores("full", "fashion", MODELS)

    def table_4(self) -> dict[str, float]:
        """Accuracy on Fashion 0-4 after transfer."""
        return {name: self._accuracy("full", name, "fashion") for name in MODELS}

    def table_4_by_recipe(self) -> dict[str, float]:
        """The same with the logits layer trained as the models were, which is not to convergence."""
        return {
            name: trained_by_recipe(
                *self._columns("full", name, "fashion"), Recipe(**self._zoos["full"].info(name).tags["recipe"])
            )
            for name in MODELS
        }

    def table_5(self) -> dict[str, dict[str, dict[str, float]]]:
        """The nine `lite` models on both targets: scores at the last dense layer, accuracy after transfer."""
        return {
            target: {
                "score": self._scores("lite", target, MODELS),
                "accuracy": {name: self._accuracy("lite", name, target) for name in MODELS},
            }
            for target in TARGETS
        }

    def table_6(self) -> dict[str, dict[str, float]]:
        """The five best models and their versions of 512 neurons on Fashion 0-4."""
        score, accuracy = {}, {}
        for variant, suffix in (("full", ""), ("512", "-512")):
            scores = self._scores(variant, "fashion", FIVE_BEST)
            score |= {f"{name}{suffix}": scores[name] for name in FIVE_BEST}
            accuracy |= {f"{name}{suffix}": self._accuracy(variant, name, "fashion") for name in FIVE_BEST}
        return {"score": score, "accuracy": accuracy}

    def figure_2(self, models: tuple[str, ...]) -> dict[str, dict[int, float]]:
        """Score on Fashion 0-4 at L5 for every number of components."""
        data = self.data("fashion", "test")
        features = {name: self.features("full", name, "fashion", "test") for name in models}
        widest = min(min(f.shape[1], len(f) - 1) for f in features.values())
        curves: dict[str, dict[int, float]] = {name: {} for name in models}
        for n_components in (n for n in COMPONENTS if n <= widest):
            ranking = nrjax.rank_batch(features, data.labels, n_components=n_components)
            for name, score in ranking.scores.items():
                curves[name][n_components] = score
        return curves

    def figure_3(self, models: tuple[str, ...], layers: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
        """Fashion 0-4 on the first three components of some layers: model to layer to points."""
        data = self.data("fashion", "test")
        points = {}
        for name in models:
            model = self._zoos["full"][name]
            outputs: Any = nrjax.extract_features(model, data.images, list(layers.values()))
            points[name] = {label: np.asarray(nrjax.pca(outputs[i], 3).points) for label, i in layers.items()}
        return points

    def features(self, variant: str, name: str, target: str, split: str) -> np.ndarray:
        """Outputs of a model's last dense layer for a target."""
        return nrjax.extract_features(self._zoos[variant][name], self.data(target, split).images)

    @functools.lru_cache(maxsize=2)  # noqa: B019  (one evaluation lives as long as the command)
    def data(self, target: str, split: str) -> nrjax.Dataset:
        """Classes 0-4 of a target's split."""
        return nrjax.load_dataset(
            TARGETS[target], split, classes="0-4", image_size=IMAGE_SIZE, grayscale=True,
            max_samples=self._max_samples, data_dir=self._data_dir,
        )  # fmt: skip

    def _scores(self, variant: str, target: str, names: tuple[str, ...]) -> dict[str, float]:
        data, zoo = self.data(target, "test"), self._zoos[variant]
        scores = nrjax.rank({name: zoo[name] for name in names}, data.images, data.labels).scores
        return {name: scores[name] for name in names}

    def _accuracy(self, variant: str, name: str, target: str) -> float:
        key = variant, name, target
        if key not in self._accuracies:
            self._accuracies[key] = transfer_accuracy(*self._columns(variant, name, target))
        return self._accuracies[key]

    def _columns(self, variant: str, name: str, target: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Features and labels of the train split, then of the test split."""
        train, test = (self.features(variant, name, target, split) for split in ("train", "test"))
        return train, self.data(target, "train").labels, test, self.data(target, "test").labels


def parts(evaluation: Evaluation) -> dict[str, Callable[[], Any]]:
    """What can be measured, by the name of the table."""
    tables = {f"table{n}": getattr(evaluation, f"table_{n}") for n in range(1, 7)}
    return tables | {"table4_by_recipe": evaluation.table_4_by_recipe}
