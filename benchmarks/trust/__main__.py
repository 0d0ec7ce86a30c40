"""Which scores to trust, and when.

    python -m benchmarks.trust [--parts scores calibration timing] [--out DIR] [--cache DIR] [--data-dir DIR]

Scores candidates of many kinds (the zoos that `python -m benchmarks.paper` trains, parts of them, half-trained and
untrained networks, pixels, EfficientNet-Lite of ImageNet, a sentence encoder, counts of words) on targets of many kinds
(MNIST, Fashion-MNIST and CIFAR-10 with all ten classes and with five; kana, emoji, digits, news; at most 2,000 labelled
samples that no candidate has seen) with every score, and judges each by the accuracy of a retrained head on the samples
left. Counts how often statements of confidence hold. Times every score beside its definition in NumPy and scikit-learn.
"""

import argparse
import functools
import json
import sys
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import jax
from scipy import special

import nrjax
from benchmarks.command import main_of, measure_parts, parser
from benchmarks.paper.__main__ import CACHE
from benchmarks.paper.zoos import DATASETS, IMAGE_SIZE, specs
from benchmarks.trust import document, plots
from benchmarks.trust.agreement import cases, judged
from benchmarks.trust.calibration import calibration
from benchmarks.trust.candidates import Candidates
from benchmarks.trust.judge import judgement, mean_over_targets
from benchmarks.trust.measure import SAMPLES
from benchmarks.trust.pools import Pool, pools
from benchmarks.trust.scores import measured
from benchmarks.trust.stacking import stacked
from benchmarks.trust.timing import timing
from benchmarks.trust.unlabelled import unlabelled
from benchmarks.trust.wider.__main__ import OUT as WIDER

RESULTS = Path(__file__).parent / "results"
PARTS = ("scores", "agreement", "calibration", "timing", "unlabelled")
KEEP = "measured"  # beside what `benchmarks.trust.wider` wrote
CALIBRATED = {"F10": "fashion_mnist", "M10": "mnist", "C10": "cifar10"}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.trust", __doc__)
    said.add_argument(
        "--parts",
        nargs="*",
        choices=PARTS,
        default=PARTS,
        help="Measure only these; the others stay as they are. None: judge and draw what has been measured.",
    )
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    said.add_argument("--cache", type=Path, default=CACHE, help=f"Where trained models are kept [{CACHE}].")
    said.add_argument("--wider", type=Path, default=WIDER, help=f"What benchmarks.trust.wider wrote [{WIDER}].")
    said.add_argument("--beside", type=Path, help="trust.json of an earlier commit, to be shown beside.")
    said.add_argument("--resume", action="store_true", help="Take what an interrupted run has measured already.")
    said.add_argument("--data-dir", help="Where TFDS keeps its datasets.")
    said.add_argument("--targets", nargs="*", help="Measure scores on these alone, such as M10 K; else on all.")
    said.add_argument("--samples", type=int, default=SAMPLES, help=f"Labelled images of a target [{SAMPLES}].")
    said.add_argument("--draws", type=int, default=30, help="Small targets of each size, for the calibration [30].")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures the parts asked for and writes everything anew."""
    candidates, path = functools.cache(lambda: Candidates(options.cache)), options.out / "trust.json"
    part_of = {
        "scores": _scores, "agreement": _agreement, "calibration": _calibration, "timing": _timing,
        "unlabelled": _unlabelled,
    }  # fmt: skip

    def measure(part: str, doc: dict[str, Any], on_done: Callable[[str], None]) -> Any:
        return part_of[part](doc, candidates(), options, on_done)

    facts = {
        "samples": options.samples, "draws": options.draws, "jax": jax.__version__, "resumed": options.resume,
    }  # fmt: skip
    compact: Any = {"indent": None, "separators": (",", ":")}
    doc = measure_parts(path, "benchmarks.trust", options, arguments([]), measure, lambda: facts, **compact)
    if "scores" in doc:
        doc["scores"] |= judgement(doc["scores"])
        if options.beside:
            earlier = json.loads(options.beside.read_text(encoding="utf-8"))
            doc["beside"] = _beside(earlier, doc["scores"]["paper"]["judged"])
        path.write_text(json.dumps(doc, **compact) + "\n", encoding="utf-8")
        _draw(doc["scores"], options.out)
    (options.out / "README.md").write_text(document.readme(doc), encoding="utf-8")


def _scores(doc: dict[str, Any], candidates: Candidates, options: argparse.Namespace, on_done) -> dict[str, Any]:
    found = measured(_pools(candidates, options), candidates, options.wider / KEEP, options.resume, on_done)
    return {"models": found, "facts": {name: candidates.facts(name) for name in candidates.whole}}


def _agreement(doc: dict[str, Any], candidates: Candidates, options: argparse.Namespace, on_done) -> dict[str, Any]:
    """From what the part `scores` has measured."""
    keep = options.wider / KEEP
    of = cases(measured(_pools(candidates, options), candidates, keep, True, on_done), keep)
    return {"judged": judged(of), "stacked": stacked(of)}


def _pools(candidates: Candidates, options: argparse.Namespace) -> list[Pool]:
    of = pools(candidates, options.wider, options.data_dir, options.samples)
    return [pool.on(options.targets) for pool in of] if options.targets else of


def _calibration(
    doc: dict[str, Any], candidates: Candidates, options: argparse.Namespace, on_done
) -> list[dict[str, Any]]:
    names = [f"full/{spec.name}" for spec in specs("full")]
    targets = {}
    for target, dataset in CALIBRATED.items():
        data = nrjax.load_dataset(dataset, "test", image_size=IMAGE_SIZE, grayscale=True, data_dir=options.data_dir)
        targets[target] = {name: candidates.arrays(name, data.images)[0] for name in names}, data.labels
    return calibration(targets, options.draws, on_done)


def _timing(doc: dict[str, Any], candidates: Candidates, options: argparse.Namespace, on_done) -> dict[str, Any]:
    data = nrjax.load_dataset(DATASETS["F"], "test", image_size=IMAGE_SIZE, grayscale=True, data_dir=options.data_dir)
    features, outputs = {}, {}
    for spec in specs("full"):
        features[spec.name], logits = candidates.arrays(f"full/{spec.name}", data.images)
        outputs[spec.name] = special.softmax(logits, axis=1)
    return timing(features, outputs, data.labels, on_done)


def _unlabelled(doc: dict[str, Any], candidates: Candidates, options: argparse.Namespace, on_done) -> dict[str, Any]:
    """Beside the truth that the part `scores` has measured."""
    if "scores" not in doc:
        raise ValueError("unlabelled: there is no truth yet; measure the part scores first.")
    known = doc["scores"]["models"]
    return unlabelled(candidates, options.wider, options.data_dir, options.samples, known, on_done)


def _beside(earlier: dict[str, Any], targets: Container[str]) -> dict[str, Any]:
    """What an earlier commit found on the same targets."""
    judged = earlier["scores"].get("paper", earlier["scores"])["judged"]
    means = mean_over_targets({target: of for target, of in judged.items() if target in targets})
    return {"commit": earlier["made_with"]["scores"]["commit"], "means": means}


def _draw(found: dict[str, Any], out: Path) -> None:
    wider = found["wider"]
    for score in ("silhouette", "probe"):
        of_targets = {target: found["models"][target] for target in wider["judged"]}
        plots.score_against_accuracy(of_targets, score, out / f"{score}_against_accuracy.png")
    plots.tau_by_score(wider["judged"], wider["means"], out / "tau_by_score.png")
    plots.tau_against(found["curves"]["by_samples"], "labelled samples of the target", out / "tau_by_samples.png")
    plots.tau_against(
        found["curves"]["by_components"], "principal components kept by the silhouette", out / "tau_by_components.png"
    )


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
