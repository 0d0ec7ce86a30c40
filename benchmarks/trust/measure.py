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
SCORES = tuple(nrjax.available_scores())
Truths = dict[str, dict[str, Any]]  # of one target, by model


def measure(
    candidates: Candidates, data_dir: str | None, samples: int, on_done: Callable[[str], None]
) -> dict[str, Truths]:
    """Target to model to `{"accuracy", "halves", "scores", "by_samples", "by_components"}`.

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
        for name in candidates.names:
            features, outputs = candidates.arrays(name, data.images)
            for suffix, classes in CLASSES.items():
                first, last = map(int, classes.split("-"))
                rows = np.flatnonzero((data.labels >= first) & (data.labels <= last))
                labelled, others = np.split(np.random.default_rng(0).permutation(rows), [samples])
                theta = None if outputs is None else special.softmax(outputs[labelled], axis=1)
                hits = transfer_hits(*((d[r]) for r in (labelled, others) for d in (features, data.labels)))
                found.setdefault(letter + suffix, {})[name] = {
                    "accuracy": _rounded(hits.mean()),
                    "halves": [_rounded(hits[0::2].mean()), _rounded(hits[1::2].mean())],
                    **_scores(features[labelled], data.labels[labelled], theta),
                }
                on_done(f"{name} on {letter + suffix}")
    return found


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
