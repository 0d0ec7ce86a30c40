"""How the headline figures of the benchmarks moved, from the results that were committed.

    python -m benchmarks.history [--out FILE]

Nothing is measured: each figure is read from a committed page of results, at every commit that changed the page. Rows
whose figures are those of the row before are left out. Machines were not all the same: compare ratios, not seconds.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.command import main_of, parser

ROOT = Path(__file__).parent.parent


class Benchmark(NamedTuple):
    """A page of results, and its figures: what each is called, and the expression whose group is the figure."""

    title: str
    page: str
    figures: dict[str, str]
    note: str = ""


BENCHMARKS = [
    Benchmark("Kernels beside scikit-learn", "kernels/results/cpu.md", {
        "score, 5,000 x 1,024: nrjax": r"\| score, 5,000 x 1,024, synthetic \| ([^|]+) \| [^|]+ \| [^|]*\d m?s \|",
        "its ratio": r"\| score, 5,000 x 1,024, synthetic \|.*?\*\*([\d.]+)\*\*",
        "silhouette, 10,000 x 10: ratio": r"\| silhouette, 10,000 x 10 \|.*?\*\*([\d.]+)\*\*",
    }),
    Benchmark("First ranking of a process, seconds", "cold/results/README.md", {
        "12 widths: nrjax": r"\| 12 widths, silhouette \| nrjax \| [\d.]+ \| ([\d.]+)",
        "programs kept": r"\| 12 widths, silhouette \| nrjax, programs kept \| [\d.]+ \| ([\d.]+)",
        "scikit-learn": r"\| 12 widths, silhouette \| scikit-learn \| [\d.]+ \| ([\d.]+)",
        "one width: nrjax": r"\| 1 width, silhouette \| nrjax \| [\d.]+ \| ([\d.]+)",
    }),
    Benchmark("Weighted tau with the accuracy of retrained heads", "trust/results/README.md", {
        name: rf"\| *{name} *\| *(-?[\d.]+)" for name in ("probe", "knn", "logme", "silhouette")
    }, "Until c407239: the paper's networks alone on nine targets; since 5916690 candidates of every kind on seven."),
    Benchmark("Forward passes: samples a second over those of a loop by hand", "sources/results/README.md", {
        name: rf"\| *{name}[^|]*\|[^|]*\|[^|]*\|[^|]*\| *([\d.]+)"
        for name in ("PyTorch", "timm", "ONNX", "Keras", "Hugging Face, MiniLM")
    }),
    Benchmark("Sweep of a thousand candidates", "sweep/results/README.md", {
        "models a second": r"\| models a second[^|]*\| ([^|]+) \|",
        "overhead a model": r"\| overhead a model[^|]*\| ([^|]+) \|",
        "the same command again": r"\| the same command again \| ([^|]+) \|",
    }),
    Benchmark("Damage", "hostile/results/README.md", {
        "cases": r"^([\d,]+) cases", "failures": r"cases, ([\d,]+) failures",
    }),
]  # fmt: skip


def git(*words: str) -> str:
    """What git says; an empty text where it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def figures_of(text: str, benchmark: Benchmark) -> list[str]:
    """The figures of a page; empty where it does not have one."""
    matches = (re.search(expression, text, re.MULTILINE) for expression in benchmark.figures.values())
    return [match[1].strip() if match else "" for match in matches]


def version_at(commit: str) -> str:
    """The version of nrjax at a commit."""
    match = re.search(r'__version__ = "(.+)"', git("show", f"{commit}:nrjax/_version.py"))
    return match[1] if match else ""


def rows_of(benchmark: Benchmark) -> list[list[str]]:
    """Version, commit, date and figures, the oldest first."""
    page, rows = f"benchmarks/{benchmark.page}", []
    for line in git("log", "--reverse", "--format=%h %as", "--", page).splitlines():
        commit, date = line.split()
        figures = figures_of(git("show", f"{commit}:{page}"), benchmark)
        if any(figures) and (not rows or rows[-1][3:] != figures):
            rows.append([version_at(commit), commit, date, *figures])
    return rows


def table(benchmark: Benchmark) -> str:
    """A heading, where the figures are from, and the rows."""
    head = ["version", "commit", "date", *benchmark.figures]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows_of(benchmark))]
    said = f"From `benchmarks/{benchmark.page}`. {benchmark.note}".rstrip()
    return "\n".join([f"## {benchmark.title}", "", said, "", *lines])


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    of = parser("benchmarks.history", __doc__)
    of.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "README.md", help="page to write")
    return of.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Writes the page. Raises ValueError outside of a repository with its history."""
    if not git("log", "-1", "--format=%h"):
        raise ValueError("the history needs git and a clone of the repository; a source distribution has none.")
    said = [
        "# How the figures moved", "",
        "Read from committed results by `python -m benchmarks.history`; nothing was measured anew. A row is a commit",
        "that changed a figure. Machines differed: compare ratios, not seconds.",
    ]  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n\n".join(["\n".join(said), *map(table, BENCHMARKS)]) + "\n", encoding="utf-8")


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
