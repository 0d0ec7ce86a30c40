"""Pictures of what was measured: time by models, beside reading them once, and silhouettes by samples."""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

Lines = Mapping[str, list[tuple[float, float]]]


def draw(doc: Mapping[str, Any], path: Path, read: float) -> dict[str, str]:
    """By part the file that it drew, beside `path`; nothing of a part that is missing or has one point a line.

    Args:
      doc: rows by part.
      path: of the document; pictures have its stem and their axis.
      read: bytes a second that the device reads, 0 if unknown.
    """
    found: dict[str, str] = {}
    for part, axis, lines in (
        ("solvers", "models", _solvers(doc, read)),
        ("silhouettes", "samples", _silhouettes(doc)),
    ):
        if any(len(points) > 1 for points in lines.values()):
            found[part] = f"{path.stem}-{axis}.png"
            _picture(axis, lines, path.with_name(found[part]))
    return found


def _rows(doc: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    return [row for row in doc.get(part, {}).get("rows", ()) if "median_s" in row]


def _solvers(doc: Mapping[str, Any], read: float) -> Lines:
    lines = defaultdict(list)
    for row in _rows(doc, "solvers"):
        lines[f"{row['solver']} to {row['tolerance']:.0e}, {row['spectrum']} spectrum"].append(
            (row["models"], row["median_s"])
        )
        if read:
            lines["one read of the features"].append((row["models"], row["bytes"] / read))
    return lines


def _silhouettes(doc: Mapping[str, Any]) -> Lines:
    lines = defaultdict(list)
    for row in _rows(doc, "silhouettes"):
        lines[f"{row['distance']}, {row['classes']:,} classes"].append((row["samples"], row["median_s"]))
    return lines


def _picture(axis: str, lines: Lines, path: Path) -> None:
    with plt.style.context("tableau-colorblind10"):
        figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
        for (name, points), marker in zip(lines.items(), itertools.cycle("osD^vPX"), strict=False):
            ax.loglog(*zip(*sorted(set(points)), strict=True), marker=marker, label=name)
    ax.set(xlabel=axis, ylabel="seconds (median)")
    ax.grid(visible=True, which="major", alpha=0.3)
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
