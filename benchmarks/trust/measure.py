"""Every score, and the truth, of a candidate on a target."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

import nrjax
from benchmarks.paper.transfer import transfer_hits
from nrjax.scoring.api import check_request, evaluate
from nrjax.scoring.model_scores import ModelScores
from nrjax.targets import Target

SAMPLES = 2000  # labelled images of a target: the scores see them, and the head is trained on them
COMPONENTS = (2, 5, 10, 20, 50, 100, 200, 500)
GRID = (1e-3, 1e-2, 1e-1, 1.0)  # inverse strengths of the penalty on the retrained head
OTHERS = ("balanced_probe", "balanced_knn", "average_precision")  # of uneven classes
SCORES = tuple(
    name
    for name, kind in nrjax.available_scores().items()
    if kind.labelled and kind.task == "classification" and name not in OTHERS
)
Influences = dict[str, np.ndarray]  # of the samples on the probe, by `samples/draw`


def measure(
    features: np.ndarray,
    outputs: np.ndarray | None,
    labels: np.ndarray,
    labelled: np.ndarray,
    judges: np.ndarray,
    draws: Mapping[int, int],
) -> tuple[dict[str, Any], Influences]:
    """`{"accuracy", "C", "halves", "scores", "by_components", "draws"}` of one candidate, and influences.

    `draws` has, by `samples/draw`, the same of smaller targets: the accuracy of a head trained on so many, and
    scores.

    Args:
      features: of all samples of the data set.
      outputs: for the model's own classes.
      labels: of all samples.
      labelled: those that the scores see and the head is trained on.
      judges: those that the head is judged by.
      draws: how many smaller targets of so many samples, one beside the other, are cut from the labelled ones.
    """

    def at(chosen: np.ndarray) -> tuple[float, np.ndarray, ModelScores]:
        theta = None if outputs is None else special.softmax(outputs[chosen], axis=1)
        return *truth(features, labels, chosen, judges), evaluated(features[chosen], labels[chosen], theta)

    C, hits, whole = at(labelled)
    found: dict[str, Any] = {
        "accuracy": _rounded(hits.mean()), "C": C,
        "halves": [_rounded(hits[0::2].mean()), _rounded(hits[1::2].mean())], "scores": _scores(whole),
        "by_components": _by_components(features[labelled], labels[labelled]), "draws": {},
    }  # fmt: skip
    influences = {f"{len(labelled)}/0": whole.influences["probe"]} if "probe" in whole.influences else {}
    for samples, times in draws.items():
        for draw in range(times if times * samples <= len(labelled) else 0):
            _, hits, part = at(labelled[draw * samples : (draw + 1) * samples])
            found["draws"][f"{samples}/{draw}"] = {"accuracy": _rounded(hits.mean()), "scores": _scores(part)}
            if "probe" in part.influences:
                influences[f"{samples}/{draw}"] = part.influences["probe"]
    return found, influences


def truth(
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


def evaluated(features: np.ndarray, labels: np.ndarray, theta: np.ndarray | None) -> ModelScores:
    """Every score of `[samples, dims]` features, and of probabilities of the model's own classes if it has any."""
    request = check_request(scores=SCORES, confidence=True)
    classes, ids = np.unique(labels, return_inverse=True)
    ((_, evaluated),) = evaluate([("it", features, theta)], Target.of_ids(ids, classes), request)
    assert isinstance(evaluated, ModelScores)
    return evaluated


def _scores(evaluated: ModelScores) -> Mapping[str, float]:
    return {name: _rounded(value) for name, value in evaluated.values.items()}


def _by_components(features: np.ndarray, labels: np.ndarray) -> Mapping[str, float]:
    points = nrjax.pca(features, min(COMPONENTS[-1], features.shape[1])).points  # its first k columns are the PCA to k
    by_components = {str(k): _rounded(nrjax.silhouette_score(points[:, :k], labels)) for k in COMPONENTS}
    return by_components | {"none": _rounded(nrjax.silhouette_score(features, labels))}


def _rounded(value: float) -> float:
    return round(float(value), 5)
