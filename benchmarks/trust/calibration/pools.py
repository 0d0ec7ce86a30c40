"""Synthetic pools of samples whose scores are known: several models of the same samples, about as good as each other.

Classes are normal clouds. Of the noise of a model a part is the same for all models, so that they err on the same
samples, as models do.
"""

import dataclasses

import numpy as np

SIZE = 40_000  # samples of a pool; a target must be a small part of them, or it is closer to them than to new ones
MODELS = 8
SPREAD = 0.06  # of the distances between classes, from model to model


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of pool.

    Attributes:
      name: in the table.
      samples: that are drawn of a pool.
      scores: about which statements are made, one ranking each.
      classes: how many.
      shares: of the classes; None for equal ones.
      distance: of class means from the origin, in standard deviations of the noise.
      dims: of the features.
      flat: whether the noise has one size in all directions; else it falls to a quarter.
      a_class: samples of each class, drawn class by class; 0 draws at random.
      numbers: whether the target is a number.
    """

    name: str
    samples: int
    scores: tuple[str, ...] = ("silhouette",)
    classes: int = 5
    shares: tuple[float, ...] | None = None
    distance: tuple[float, float] = (1.2, 3.2)
    dims: int = 24
    flat: bool = False
    a_class: int = 0
    numbers: bool = False


IMBALANCED = (0.6, 0.25, 0.1, 0.05)
ACCURACIES = ("probe", "knn")
CASES = (
    Case("five classes", 100, ("silhouette", *ACCURACIES)),
    Case("five classes", 200, ("silhouette", *ACCURACIES)),
    Case("five classes", 1000, ("silhouette", *ACCURACIES)),
    Case("60, 25, 10 and 5 %", 200, ("silhouette", "probe", "balanced_probe"), 4, IMBALANCED),
    Case("60, 25, 10 and 5 %", 1000, ("silhouette", "balanced_probe"), 4, IMBALANCED),
    Case("far apart, noise of one size", 200, ("silhouette",), 4, distance=(2.9, 2.9), dims=20, flat=True),
    Case("far apart, all right", 200, ACCURACIES, 4, distance=(5.0, 7.0), dims=20),
    Case("score below 0", 200, ("silhouette", "probe"), 10, distance=(0.4, 1.0)),
    Case("ten classes of 2", 20, ("silhouette",), 10, a_class=2),
    Case("ten classes of 3", 30, ("silhouette", "probe"), 10, a_class=3),
    Case("ten classes of 5", 50, ("silhouette", "probe"), 10, a_class=5),
    Case("numbers", 200, ("probe", "knn"), numbers=True),
)


def draw_pool(case: Case, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features by model, and labels."""
    labels = rng.choice(case.classes, SIZE, p=case.shares)
    numbers = rng.normal(size=SIZE)
    shared = rng.normal(size=(SIZE, case.dims))
    distance = rng.uniform(*case.distance)
    sizes = np.ones(case.dims) if case.flat else np.linspace(1.6, 0.4, case.dims)
    features = {}
    for model in range(MODELS):
        means = rng.normal(size=(case.classes, case.dims)) * distance * (1 + SPREAD * rng.normal()) / case.dims**0.5
        own, turned = rng.uniform(0.4, 1), np.linalg.qr(rng.normal(size=(case.dims, case.dims)))[0]
        noise = np.sqrt(1 - own**2) * shared @ turned + own * rng.normal(size=(SIZE, case.dims))
        signal = np.outer(numbers, means[0]) if case.numbers else means[labels]
        features[str(model)] = (signal + noise * sizes).astype(np.float32)
    return features, numbers if case.numbers else labels


def draw_samples(case: Case, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of a pool; at least two of each class."""
    if case.a_class:
        return np.concatenate(
            [rng.choice(np.flatnonzero(labels == label), case.a_class, replace=False) for label in range(case.classes)]
        )
    while True:
        rows = rng.choice(SIZE, case.samples, replace=False)
        if case.numbers or np.bincount(labels[rows], minlength=case.classes).min() >= 2:
            return rows
