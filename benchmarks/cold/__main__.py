"""What a first ranking costs: fresh processes of nrjax and scikit-learn that take turns.

    python -m benchmarks.cold [--rounds N] [--widths N ...] [--networks] [--out DIR]

Features of 1, 12 and 40 widths, 3,000 samples in 10 classes, in memory. nrjax runs without kept programs, and with
those that a process before it kept. `--networks` also ranks eight timm networks (needs torch and timm).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cold.networks import IMAGES, NETWORKS
from benchmarks.cold.process import CLASSES, SAMPLES, WIDTHS
from benchmarks.command import commit, device, invocation, main_of, parser

RESULTS = Path(__file__).parent / "results"
SCORES = ("silhouette", "silhouette,probe")
SCIKIT_LEARN, ANEW, KEPT, BY_HAND = "scikit-learn", "nrjax", "nrjax, programs kept", "loop by hand"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    options = parser("benchmarks.cold", __doc__)
    options.add_argument("--rounds", type=int, default=3, help="Processes of each kind; medians count.")
    options.add_argument("--widths", type=int, nargs="+", choices=WIDTHS, default=list(WIDTHS), help="How many.")
    options.add_argument("--networks", action="store_true", help="Also the timm networks.")
    options.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return options.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures everything that is asked for and writes it."""
    made_at, console, rows = commit(), Console(stderr=True), []
    for widths in options.widths:
        for scores in SCORES:
            times = take_turns(options.rounds, widths, scores)
            rows.append({"what": f"{widths} width{'s' if widths > 1 else ''}, {scores}", "times": times})
            console.print(rows[-1]["what"], {who: one["first"] for who, one in times.items()}, highlight=False)
    if options.networks:
        times = {BY_HAND: [], ANEW: []}
        for _ in range(options.rounds):
            for who, name in ((BY_HAND, "hand"), (ANEW, "nrjax")):
                times[who].append(process("networks", name))
        what = f"{len(NETWORKS)} timm networks, {IMAGES} images, {SCORES[1]}"
        rows.append({"what": what, "times": {who: medians(several) for who, several in times.items()}})
    doc = {
        "command": invocation("benchmarks.cold", options, arguments([])), "commit": made_at, "device": device(),
        "samples": SAMPLES, "classes": CLASSES, "rounds": options.rounds, "rows": rows,
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cpu.json").write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
    (options.out / "README.md").write_text(document(doc), encoding="utf-8")


def take_turns(rounds: int, widths: int, scores: str) -> dict[str, dict[str, float]]:
    """Medians of each kind of process."""
    times: dict[str, list[dict[str, float]]] = {SCIKIT_LEARN: [], ANEW: [], KEPT: []}
    with tempfile.TemporaryDirectory() as folder:
        process("process", "nrjax", str(widths), scores, programs=folder)
        for _ in range(rounds):
            times[SCIKIT_LEARN].append(process("process", "scikit-learn", str(widths), scores))
            times[ANEW].append(process("process", "nrjax", str(widths), scores))
            times[KEPT].append(process("process", "nrjax", str(widths), scores, programs=folder))
    return {who: medians(several) for who, several in times.items()}


def process(module: str, *words: str, programs: str = "") -> dict[str, float]:
    """What one fresh process printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION_CACHE")}
    if programs:
        environment |= {"JAX_COMPILATION_CACHE_DIR": programs, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-m", f"benchmarks.cold.{module}", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def medians(several: list[dict[str, float]]) -> dict[str, float]:
    """Of every figure."""
    return {name: round(statistics.median(one[name] for one in several), 3) for name in several[0]}


def document(doc: dict[str, Any]) -> str:
    """A table of seconds."""
    lines = [
        "# What a first ranking costs", "",
        f"Seconds, medians of {doc['rounds']} fresh processes of each kind that took turns; {doc['samples']:,} samples "
        f"in {doc['classes']} classes. Imports are not in the other columns. *Kept*: with the compiled programs of an "
        "earlier process.", "",
        f"`{doc['command']}`, {doc['commit']}, {doc['device']}.", "",
        "| | who | imports | first ranking | second | first, of the first row's |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in doc["rows"]:
        reference = next(iter(row["times"].values()))["first"]
        for who, times in row["times"].items():
            imports = f"{times['imports']:.2f}" if "imports" in times else ""
            lines.append(
                f"| {row['what']} | {who} | {imports} | {times['first']:.2f} | {times['second']:.2f} | "
                f"{times['first'] / reference:.2f} |"
            )
    return "\n".join(lines) + "\n"


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
