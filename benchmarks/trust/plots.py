"""The trust benchmark's pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

GROUPS = {"full": ("#0072B2", "o"), "512": ("#D55E00", "s"), "lite": ("#009E73", "^"),
          "narrow": ("#E69F00", "v"), "conv": ("#CC79A7", "D"), "early": ("#56B4E9", "<"), "imagenet": ("#882255", "*"),
          "minilm": ("#0072B2", "P"), "words": ("#D55E00", "p"), "untrained": ("#999999", ">"),
          "pixels": ("#000000", "X")}  # fmt: skip
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#882255", "#44AA99")
MARKERS = "os^DvPX*<>"


def score_against_accuracy(found: Mapping[str, Mapping[str, Any]], score: str, path: Path) -> None:
    """One panel a target; the colours are the zoos."""
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(3, 3).ravel()
    for ax in axes[len(found) :]:
        ax.axis("off")
    for ax, (target, models) in zip(axes, found.items(), strict=False):
        for group, (colour, marker) in GROUPS.items():
            names = [n for n in models if n.split("/")[0] == group]
            values = [
                (models[n]["scores"][score], 100 * models[n]["accuracy"]) for n in names if score in models[n]["scores"]
            ]
            if values:
                ax.scatter(*zip(*values, strict=True), color=colour, marker=marker, s=28, label=group)
        first = max(models, key=lambda n: models[n]["scores"].get(score, -np.inf))
        ax.set_title(f"target {target}: {first} first", fontsize=10)
        ax.set_axisbelow(True)
        ax.grid(color="0.9", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(score)
    figure.supylabel("accuracy of a retrained head (%)")
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named, loc="outside upper center", ncols=5, frameon=False)
    figure.savefig(path, dpi=130)


def tau_by_score(judged: Mapping[str, Mapping[str, Mapping[str, float]]], means: Mapping[str, Any], path: Path) -> None:
    """A dot for every target, a bar for the mean; best on top."""
    order = sorted(means, key=lambda name: means[name]["weighted_tau"])
    figure = Figure(figsize=(8, 1 + 0.36 * len(order)), layout="constrained")
    ax = figure.subplots()
    for place, name in enumerate(order):
        taus = [of_target[name]["weighted_tau"] for of_target in judged.values() if name in of_target]
        ax.plot(taus, [place] * len(taus), "o", color="#0072B2", alpha=0.5, markersize=5)
        ax.plot([means[name]["weighted_tau"]] * 2, [place - 0.32, place + 0.32], color="#D55E00", linewidth=2.5)
    ax.set_yticks(range(len(order)), order)
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_xlabel("weighted tau with the accuracy of a retrained head (dots: targets; bar: mean)")
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=130)


def tau_against(curves: Mapping[str, Mapping[str, float]], label: str, path: Path) -> None:
    """Mean weighted tau, a line for every score."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    ax = figure.subplots()
    steps = list(dict.fromkeys(step for curve in curves.values() for step in curve))
    steps.sort(key=lambda step: float("inf") if step == "none" else float(step))
    for (score, curve), colour, marker in zip(curves.items(), LINES, MARKERS, strict=False):
        places = [steps.index(step) for step in curve]
        order = np.argsort(places)
        ax.plot(
            np.array(places)[order], np.array(list(curve.values()))[order], color=colour, marker=marker, label=score
        )
    ax.set_xticks(range(len(steps)), [f"{int(s):,}" if s != "none" else "all (no PCA)" for s in steps])
    ax.set_xlabel(label)
    ax.set_ylabel("weighted tau, mean over targets")
    ax.grid(color="0.9", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        figure.legend(loc="outside right center", frameon=False)
    figure.savefig(path, dpi=130)
