"""How far clusters say which candidate to take, where there are no labels: beside the truth that labels told."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nrjax
from benchmarks.paper.zoos import DATASETS
from benchmarks.trust.candidates import Candidates
from benchmarks.trust.judge import mean_over_targets, measures
from benchmarks.trust.pools import pool_of_tfds

WAYS = ("clusters, as many as classes", "clusters, their number chosen", "stability, as many as classes")


def unlabelled(
    models: Candidates, folder: Path, data_dir: str | None, samples: int, known: Mapping[str, Mapping[str, Any]],
    on_done: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Of the paper's candidates on its nine targets, by target and way to score: agreement with accuracies.

    Args:
      models: the candidates.
      folder: of what is not needed here.
      data_dir: where TFDS keeps its datasets.
      samples: that the scores see.
      known: target to candidate to what the part `scores` has found: accuracies, and scores that had labels.
      on_done: told each data set.
    """
    judged: dict[str, Any] = {}
    for letter in DATASETS:
        pool = pool_of_tfds(letter, models, folder, data_dir, samples)
        found: dict[str, dict[str, dict[str, float]]] = {target: {way: {} for way in WAYS} for target in pool.targets}
        for name in models.whole:
            features, _ = pool.arrays(name, models)
            for target, (labelled, _) in pool.targets.items():
                classes = len(set(pool.labels[labelled].tolist()))
                given = nrjax.rank_batch({name: features[labelled]}, None, n_clusters=classes)
                chosen = nrjax.rank_batch({name: features[labelled]}, None, scores="clusters")
                values = given.scores[name], chosen.scores[name], given.column("stability")[name]
                for way, value in zip(WAYS, values, strict=True):
                    found[target][way][name] = value
        for target, ways in found.items():
            accuracy = {name: known[target][name]["accuracy"] for name in models.whole}
            for score in ("silhouette", "probe"):  # with labels
                ways[score] = {name: known[target][name]["scores"][score] for name in models.whole}
            judged[target] = {way: measures(column, accuracy) for way, column in ways.items()}
        on_done(DATASETS[letter])
    return {"judged": judged, "means": mean_over_targets(judged)}
