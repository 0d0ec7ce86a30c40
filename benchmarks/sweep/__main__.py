"""Sweeps: how fast, what a race saves and gets wrong, what is lost when processes die.

    pip install '.[tfds]' --group bench
    python -m benchmarks.sweep [--parts throughput race needed faults simulation] [--out DIR]

throughput   1,000 generated candidates and the bundled ones: models a second, busy share, memory, the store, once more
race         the paper's 23 networks on its nine targets (trained by `python -m benchmarks.paper` before)
needed       how many images tell the two networks apart between which it is decided
faults       50 kills each of a worker, of the driver, of everything, at random times
simulation   100,000 candidates on 64 devices, from the times that throughput has measured
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command import commit, main_of, measure_parts, parser
from benchmarks.paper.__main__ import CACHE as PAPER
from benchmarks.paper.zoos import CLASSES, DATASETS
from benchmarks.sweep import document

RESULTS = Path(__file__).parent / "results"
FOLDER = Path.home() / ".cache" / "nrjax" / "sweep"
TARGETS = tuple(f"{letter}{suffix}" for letter in DATASETS for suffix in CLASSES)
PARTS = ("throughput", "race", "needed", "faults", "simulation")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.sweep", __doc__)
    said.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="Only these; the others stay.")
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    said.add_argument("--folder", type=Path, default=FOLDER, help=f"Where generated zoos go [{FOLDER}].")
    said.add_argument("--cache", type=Path, default=PAPER, help=f"Where the paper's networks are [{PAPER}].")
    said.add_argument("--data-dir", help="Where TFDS keeps its datasets.")
    said.add_argument("--draws", type=int, default=100, help="Races of each target [100].")
    said.add_argument("--tops", type=int, nargs="*", default=[3], help="How many of the best are wanted [3].")
    said.add_argument("--targets", nargs="*", default=TARGETS, help="Races on these; the others stay.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures the parts asked for and writes everything anew."""

    def measure(part: str, doc: dict[str, Any], on_done: Callable[[str], None]) -> Any:
        return _measure(part, doc, options, on_done)

    doc = measure_parts(options.out / "sweep.json", "benchmarks.sweep", options, arguments([]), measure)
    (options.out / "README.md").write_text(document.readme(doc), encoding="utf-8")


def _measure(part: str, doc: dict[str, Any], options: argparse.Namespace, on_done) -> Any:
    if part == "throughput":
        from benchmarks.sweep.throughput import throughput

        return throughput(options.folder, on_done)
    if part == "race":
        from benchmarks.sweep.race import NETWORKS, race

        before = doc.get("race", {}).get("targets", {})
        for row in before.values():
            row.setdefault("commit", doc["made_with"]["race"]["commit"])
        rows = race(options.cache, options.targets, options.tops, options.draws, options.data_dir, on_done)
        found = before | {target: row | {"commit": commit()} for target, row in rows.items()}
        return {
            "draws": options.draws,
            "networks": NETWORKS,
            "targets": {name: found[name] for name in TARGETS if name in found},
        }
    if part == "needed":
        from benchmarks.sweep.race import needed

        return needed(options.cache, options.targets, options.tops, options.data_dir)
    if part == "simulation":
        from benchmarks.sweep.simulation import simulation

        if "throughput" not in doc:
            raise ValueError("simulation: there are no times yet; measure the part throughput first.")
        return simulation(doc["throughput"])
    from benchmarks.sweep.faults import faults

    return faults(options.folder, on_done)


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
