"""Reproduces the paper's tables and figures: trains whatever models are missing, evaluates, writes.

    python -m benchmarks.paper [--tables 2 3] [--figures] [--seeds N] [--steps N | --epochs N]
        [--data-dir DIR] [--out DIR]

Without --tables and --figures everything is made, into benchmarks/paper/results. With them the tables asked for are
printed, and files are written where --out says. Trained models are kept in a cache and reused.
"""

import argparse
import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import nrjax
from benchmarks.command import answer, commit, device, invocation
from benchmarks.paper import figures, markdown
from benchmarks.paper.document import document
from benchmarks.paper.evaluate import Evaluation, parts
from benchmarks.paper.train import recipe_of, train_missing
from benchmarks.paper.walk import readme
from benchmarks.paper.zoos import specs

RESULTS = Path(__file__).parent / "results"
CACHE = Path.home() / ".cache" / "nrjax" / "paper"
VARIANTS = ("full", "lite", "512")
NEEDS = {"table5": {"lite"}, "table6": {"full", "512"}}  # the others need the full zoo alone
FIGURE_3_LAYERS = {"L0": 0, "L2": 2, "L5": 5}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tables", nargs="+", type=int, choices=range(1, 7), metavar="N", help="Only these tables, 1 to 6."
    )
    parser.add_argument("--figures", action="store_true", help="Only the figures (and the tables named).")
    parser.add_argument("--seeds", type=_positive, default=1, metavar="N", help="Seeds to train and average [1].")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=_positive, metavar="N", help="Steps of training, for every model [1200].")
    length.add_argument("--epochs", type=_positive, metavar="N", help="Epochs of training, instead of steps.")
    parser.add_argument("--data-dir", help="Where TFDS keeps its datasets.")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"Where trained models are kept [{CACHE}].")
    parser.add_argument("--out", type=Path, help="Where results go; needed for --figures alone.")
    parser.add_argument("--max-samples", type=_positive, metavar="N", help="Of every split; for a quick trial.")
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="Keep the models that the cache has; --no-resume refuses a cache that has any.",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """The command; 0, or 1 with one line on stderr."""
    options = arguments(argv)
    return answer(lambda: reproduce(options))


def reproduce(options: argparse.Namespace) -> None:
    """Trains, evaluates and writes what `options` ask for."""
    all_of_it = not options.tables and not options.figures
    out = options.out or (RESULTS if all_of_it else None)
    if options.figures and out is None:
        raise ValueError("--figures: say where they go with --out DIR.")
    tables = [f"table{n}" for n in (range(1, 7) if all_of_it else sorted(set(options.tables or ())))]
    if "table4" in tables:
        tables.insert(tables.index("table4") + 1, "table4_by_recipe")
    wants_figures = all_of_it or options.figures
    variants = {"full"} if wants_figures else set()
    for name in tables:
        variants |= NEEDS.get(name, {"full"})
    clock, made_at = _Clock(), commit()  # before results are written, which would make the tree look changed

    zoos = [{v: options.cache / v / f"seed-{seed}" for v in VARIANTS if v in variants} for seed in range(options.seeds)]
    if not options.resume and any(path.exists() for of_seed in zoos for path in of_seed.values()):
        raise ValueError(f"--no-resume: {options.cache} already holds models; remove them or choose another --cache.")
    jobs = [
        (path, spec, recipe_of(options.steps, options.epochs, seed))
        for seed, of_seed in enumerate(zoos)
        for variant, path in of_seed.items()
        for spec in specs(variant)
    ]
    clock.time("train", lambda: train_missing(jobs, options.data_dir, options.max_samples))
    trained_s = sum(nrjax.load_zoo(path).info(spec.name).tags["training_s"] for path, spec, _ in jobs)

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    measured: list[dict[str, Any]] = []
    for seed, of_seed in enumerate(zoos):
        evaluation = Evaluation(of_seed, options.data_dir, options.max_samples)
        measures = parts(evaluation)
        found = {name: clock.time(name, measures[name]) for name in tables}
        if wants_figures:
            scores = found.get("table3") or clock.time("table3", measures["table3"])
            order = tuple(sorted(scores, key=lambda name: -scores[name]))
            found["figure2"] = clock.time("figure2", lambda e=evaluation, o=order: e.figure_2(o[:5]))
            if seed == 0 and out is not None:
                _draw(evaluation, order, found["figure2"], out, clock)
        measured.append(found)
    if options.seeds > 1 and wants_figures:  # the five best of one seed need not be those of another
        measured = [m | {"figure2": _shared(measured, m)} for m in measured]

    made_with = {
        "command": invocation("benchmarks.paper", options, arguments([])),
        "commit": made_at,
        "nrjax": nrjax.__version__,
        "jax": jax.__version__,
        "device": device(),
        "seeds": list(range(options.seeds)),
        "recipe": dataclasses.asdict(jobs[0][-1]),
        "max_samples": options.max_samples,
        "training_s_of_these_models": round(trained_s, 1),
        "wall_time_s": clock.seconds,
        "peak_memory_mib": clock.peaks,
    }
    doc = document(measured, made_with)
    if out is not None:
        write(doc, out)
    if not all_of_it:
        print("\n".join(markdown.table(name, doc) for name in tables))


def write(doc: dict[str, Any], out: Path) -> None:
    """`tables.json`, a Markdown file a table, and the README."""
    (out / "tables.json").write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
    for name in markdown.TITLES.keys() & doc.keys():
        (out / f"{name}.md").write_text(markdown.table(name, doc), encoding="utf-8")
    if doc["agreement"]:
        (out / "agreement.md").write_text(markdown.agreement_table(doc), encoding="utf-8")
    (out / "README.md").write_text(readme(doc), encoding="utf-8")


def _draw(evaluation: Evaluation, order: tuple[str, ...], curves: dict, out: Path, clock: "_Clock") -> None:
    figures.draw_figure_2(curves, out / "figure2.png")
    ranks = order[0], order[2], order[6]
    points = clock.time("figure3", lambda: evaluation.figure_3(ranks, FIGURE_3_LAYERS))
    data = evaluation.data("fashion", "test")
    figures.draw_figure_3(points, data.labels, data.class_names, out / "figure3.png")


def _shared(measured: list[dict[str, Any]], one: dict[str, Any]) -> dict[str, Any]:
    names = set.intersection(*(set(m["figure2"]) for m in measured))
    return {name: curve for name, curve in one["figure2"].items() if name in names}


class _Clock:
    """Wall time and the process's peak memory, part by part; says each part on stderr."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}
        self._console = Console(stderr=True)

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 1)
        self.peaks[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        self._console.print(f"{name}: {self.seconds[name]:.0f} s")
        return result


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
