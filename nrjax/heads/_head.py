"""A model with a linear head: from raw samples to classes, labels or numbers."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from nrjax.models import LayerChoice, Model, extract_features
from nrjax.target_tasks import TaskName


@dataclasses.dataclass(frozen=True, eq=False)
class Head:
    """A linear head on a layer of a model. It takes raw samples, which go through the model's own preprocessing.

    `fit_head` and `Ranking.head` make one, `load_head` reads one.

    Attributes:
      model: the model of the features.
      layer: the layer of the features.
      task: `classification`, `regression` or `multilabel`.
      classes: label of every output of `weights`; for numbers and several labels the names of the outputs.
      weights: float64 `[dims, outputs]`.
      bias: float64 `[outputs]`.
      temperature: outputs are divided by it before they become probabilities; None for numbers.
      offset: added to the divided outputs, for several labels.
      alpha: regularisation of the ridge regression.
      score: leave-one-out (or leave-one-group-out) accuracy, R² or mean average precision of the head.
      limits: `[2, dims]`, between which features are kept, or None: the range that the head was fitted on and as much
        below and above it. A feature that hardly varied there has a large weight, and may be huge for a new sample.

    Examples:
      >>> head = nrjax.rank({"F10": zoo["F10"]}, images[:500], labels[:500]).head()
      >>> head.predict(images[500:]).shape, head.classes
      ((500,), (0, 1, 2, 3, 4))
    """

    model: Model
    layer: LayerChoice
    task: TaskName
    classes: tuple[Any, ...]
    weights: np.ndarray
    bias: np.ndarray
    temperature: float | None
    offset: float
    alpha: float
    score: float
    limits: np.ndarray | None = None

    def decision_function(self, samples: object) -> np.ndarray:
        """Values `[samples, outputs]`, the larger the surer; of numbers the numbers.

        Args:
          samples: as `extract_features` takes them.
        """
        features = np.asarray(extract_features(self.model, samples, self.layer), np.float64)
        if self.limits is not None:
            features = np.clip(features, *self.limits)
        return features @ self.weights + self.bias

    def predict(self, samples: object) -> np.ndarray:
        """A class for every sample `[samples]`; numbers or several labels, bool, `[samples, outputs]`.

        Numbers of one output are `[samples]`.

        Args:
          samples: as `extract_features` takes them.
        """
        values = self.decision_function(samples)
        if self.task == "regression":
            return values[:, 0] if values.shape[1] == 1 else values
        if self.task == "multilabel":
            return self._probabilities(values) > 0.5
        mixed = len(set(map(type, self.classes))) > 1  # NumPy would make text of 1 and "1"
        return np.array(self.classes, object if mixed else None)[values.argmax(axis=1)]

    def predict_proba(self, samples: object) -> np.ndarray:
        """Probabilities `[samples, classes]` that add up to 1; of several labels one for each.

        One temperature is fitted to samples that the head had not seen; see `fit_head`.

        Args:
          samples: as `extract_features` takes them.

        Raises:
          ValueError: the head gives numbers.
        """
        if self.task == "regression":
            raise ValueError("predict_proba is of classes and of several labels; this head gives numbers: predict.")
        return self._probabilities(self.decision_function(samples))

    def save(self, directory: str | Path) -> None:
        """Writes `head.safetensors` and `head.json` into a folder, which is made; `load_head` reads them.

        The model's own weights are not written.
        """
        from nrjax.heads._files import save_head

        save_head(self, Path(directory))

    def _probabilities(self, values: np.ndarray) -> np.ndarray:
        scaled = values / self.temperature
        return softmax(scaled, axis=1) if self.task == "classification" else expit(scaled + self.offset)

    def __repr__(self) -> str:
        dims, outputs = self.weights.shape
        return f"<Head of {outputs} outputs on {dims} dims, {self.task}, {self.score:.4f} leaving one out>"
