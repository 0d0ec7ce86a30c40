"""Every score, and the truth, of every candidate on every target."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

import nrjax
from benchmarks.paper.transfer import transfer_hits
from benchmarks.paper.zoos import CLASSES, DATASETS, IMAGE_SIZE
from benchmarks.trust.candidates import Candidates

SAMPLES = 2000  # labelled images of a target: the scores see them, and the head is trained on them
FEWER_SAMPLES = (100, 300, 1000)
COMPONENTS = (2, 5, 10, 20, 50, 100, 200, 500)
GRID = (1e-3, 1e-2, 1e-1, 1.0)  # inverse strengths of the penalty on the retrained head
SCORES = tuple(nrjax.available_scores())
Truths = dict[str, dict[str, Any]]  # of one target, by model


def measure(
    candidates: Candidates, data_dir: str | None, samples: int, on_done: Callable[[str], None]
) -> dict[str, Truths]:
    """Target to model to `{"accuracy", "C", "halves", "scores", "by_samples", "by_components"}`.

    Labelled images, and those that judge, are of the test split: no model has seen any of them.

    Args:
      candidates: the models.
      data_dir: where TFDS keeps its datasets.
      samples: labelled images a target has.
      on_done: told each model and target.
    """
    found: dict[str, Truths] = {}
    for letter, dataset in DATASETS.items():
        data = nrjax.load_dataset(dataset, "test", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir)
        targets = {suffix: _split(data.labels, classes, samples) for suffix, classes in CLASSES.items()}
        for name in candidates.names:
            features, outputs = candidates.arrays(name, data.images)
            for suffix, (labelled, others) in targets.items():
                theta = None if outputs is None else special.softmax(outputs[labelled], axis=1)
                C, hits = _truth(features, data.labels, labelled, others)
                found.setdefault(letter + suffix, {})[name] = {
                    "accuracy": _rounded(hits.mean()),
                    "C": C,
                    "halves": [_rounded(hits[0::2].mean()), _rounded(hits[1::2].mean())],
                    **_scores(features[labelled], data.labels[labelled], theta),
                }
                on_done(f"{name} on {letter + suffix}")
    return found


def _split(labels: np.ndarray, classes: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the labelled images of a target, and of those that judge."""
    first, last = map(int, classes.split("-"))
    rows = np.random.default_rng(0).permutation(np.flatnonzero((labels >= first) & (labels <= last)))
    if samples >= len(rows):
        raise ValueError(
            f"samples must leave some of the {len(rows)} images of classes {classes} to judge; got {samples}."
        )
    return rows[:samples], rows[samples:]


def _truth(
    features: np.ndarray, labels: np.ndarray, labelled: np.ndarray, judges: np.ndarray
) -> tuple[float, np.ndarray]:
    """C of the retrained head, and which of the images that judge it gets right.

    A quarter of the labelled images chooses C, as who trains a head would; then all of them train it. One C for
    every candidate would decide more than the candidates do: what suits MNIST overfits CIFAR-10.
    """
    fitted, held_out = np.split(labelled, [3 * len(labelled) // 4])
    tried = transfer_hits(features[fitted], labels[fitted], features[held_out], labels[held_out], GRID)
    C = max(GRID, key=lambda C: tried[C].mean())
    hits = transfer_hits(features[labelled], labels[labelled], features[judges], labels[judges], (C,))
    return C, hits[C]


def _scores(features: np.ndarray, labels: np.ndarray, theta: np.ndarray | None) -> dict[str, Any]:
    def some(n: int) -> dict[str, float]:
        probabilities = None if theta is None else {"it": theta[:n]}
        ranking = nrjax.rank_batch({"it": features[:n]}, labels[:n], scores=SCORES, probabilities=probabilities)
        return {name: _rounded(value) for name, value in ranking.models[0].scores.items()}

    points = nrjax.pca(features, min(COMPONENTS[-1], features.shape[1])).points  # its first k columns are the PCA to k
    by_components = {str(k): _rounded(nrjax.silhouette_score(points[:, :k], labels)) for k in COMPONENTS}
    return {
        "scores": some(len(labels)),
        "by_samples": {str(n): some(n) for n in FEWER_SAMPLES if n < len(labels)},
        "by_components": by_components | {"none": _rounded(nrjax.silhouette_score(features, labels))},
    }


def _rounded(value: float) -> float:
    return round(float(value), 5)
