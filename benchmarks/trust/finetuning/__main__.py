"""What a ranking is worth to who fine-tunes: every score beside fully fine-tuned networks.

    pip install '.[tfds]' --group bench --group wider
    python -m benchmarks.trust.finetuning [--parts M10 F10 C10 D L N] [--out DIR] [--resume]

17 networks of one architecture on five targets, each with 200 and with 2,000 labelled samples; with 200, three large
ones on two of the targets, and a sentence encoder of nine depths on news. The parts are targets. Four hours on two
cores; `--resume` takes what an interrupted run has measured.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy import special

import nrjax
from benchmarks.command import main_of, measure_parts, parser
from benchmarks.trust.finetuning import document
from benchmarks.trust.finetuning.candidates import Candidate, candidates
from benchmarks.trust.finetuning.kept import Kept
from benchmarks.trust.finetuning.targets import NAMES, Target, target
from benchmarks.trust.finetuning.tune import fine_tuned, one_epoch
from benchmarks.trust.measure import evaluated, truth

RESULTS = Path(__file__).parent / "results"
CACHE = Path.home() / ".cache" / "nrjax" / "finetuning"
BUDGETS = (200, 2000)  # of labelled samples; of a small target half of it instead of the larger one


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.trust.finetuning", __doc__)
    said.add_argument("--parts", nargs="*", choices=NAMES, default=list(NAMES), help="Only these; the others stay.")
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    said.add_argument("--cache", type=Path, default=CACHE, help=f"Where unfinished results are kept [{CACHE}].")
    said.add_argument("--data-dir", help="Where TFDS keeps its datasets.")
    said.add_argument("--resume", action="store_true", help="Take what an interrupted run has measured already.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures the targets asked for and writes everything anew."""
    starts = candidates(options.data_dir) if options.parts else {}

    def measure(part: str, doc: dict[str, Any], on_done: Callable[[str], None]) -> Any:
        kept = Kept(options.cache / f"{part}.json", options.resume)
        return _of_target(starts, target(part, options.data_dir), kept, on_done)

    path = options.out / "finetuning.json"
    doc = measure_parts(
        path, "benchmarks.trust.finetuning", options, arguments([]), measure, lambda: {"resumed": options.resume}
    )
    (options.out / "README.md").write_text(document.readme(doc), encoding="utf-8")


def _of_target(
    starts: dict[str, Candidate], of: Target, kept: Kept, on_done: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Budget to candidate to its truths and scores."""
    budgets = sorted({min(budget, len(of.labelled)) for budget in BUDGETS})
    measured: dict[str, dict[str, Any]] = {str(budget): {} for budget in budgets}
    for name, candidate in starts.items():
        for budget in (budget for budget in budgets if candidate.is_tried(of.name, budget)):
            result = kept.get(f"{budget}/{name}", lambda b=budget, c=candidate: _of_one(c, of, b))
            measured[str(budget)][name] = result | {"parameters": candidate.model.description.parameters}
        if values := [models[name]["fine_tuned"] for models in measured.values() if name in models]:
            on_done(f"{name} {values}")
    return {budget: models for budget, models in measured.items() if models}


def _of_one(candidate: Candidate, of: Target, budget: int) -> dict[str, Any]:
    labelled = of.labelled[:budget]
    layers = nrjax.extract_features(candidate.model, of.inputs, ["penultimate", -1])
    features = layers["penultimate"]
    theta = special.softmax(layers[-1][labelled], axis=1) if candidate.trained_head else None
    C, hits = truth(features, of.labels, labelled, of.judges)
    tuned = fine_tuned(candidate.begin, candidate.rates, of, labelled)
    return {
        "fine_tuned": _rounded(tuned.hits.mean()),
        "halves": [_rounded(tuned.hits[0, 0::2].mean()), _rounded(tuned.hits[1, 1::2].mean())],
        "rate": tuned.rate, "epochs": tuned.epochs,
        "head": _rounded(hits.mean()), "head_halves": [_rounded(hits[0::2].mean()), _rounded(hits[1::2].mean())],
        "C": C,
        "scores": {score: _rounded(value) for score, value in
                   evaluated(features[labelled], of.labels[labelled], theta).values.items()},
        "own_accuracy": candidate.own_accuracy,
        "one_epoch": _rounded(one_epoch(candidate.begin, candidate.rates, of, labelled)),
    }  # fmt: skip


def _rounded(value: float) -> float:
    return round(float(value), 5)


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
