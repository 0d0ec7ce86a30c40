"""The paper's Figures 2 and 3, drawn from our measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's colours, which survive colour blindness; each with a marker of its own.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v")
SHOWN = 1000  # samples in Figure 3; more only hide each other


def draw_figure_2(curves: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Score against the number of components, one line a model."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    ax = figure.subplots()
    for (model, curve), color, marker in zip(curves.items(), COLORS, MARKERS, strict=False):
        ax.plot(list(curve), list(curve.values()), color=color, marker=marker, markersize=5, label=model)
    ax.axvspan(5, 50, color="0.92", zorder=0)
    ax.text(np.sqrt(5 * 50), ax.get_ylim()[1], "5 to 50", ha="center", va="bottom", fontsize=9, color="0.35")
    ax.set_xscale("log")
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("principal components kept")
    ax.set_ylabel("neuralRank score on Fashion 0-4 at L5")
    ax.grid(color="0.85", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(title="model", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=150)


def draw_figure_3(
    points: Mapping[str, Mapping[str, np.ndarray]], labels: np.ndarray, class_names: Sequence[str], path: Path
) -> None:
    """First three components: models in rows, layers in columns, classes in colours."""
    layers = list(next(iter(points.values())))
    figure = Figure(figsize=(3.6 * len(layers), 3.5 * len(points) + 0.5))
    grid = figure.subplots(len(points), len(layers), subplot_kw={"projection": "3d"}, squeeze=False)
    chosen = np.random.default_rng(0).permutation(len(labels))[:SHOWN]
    classes = np.unique(labels)
    for row, (model, by_layer) in zip(grid, points.items(), strict=True):
        for ax, layer in zip(row, layers, strict=True):
            shown = by_layer[layer][chosen]
            for c, color in zip(classes, COLORS, strict=False):
                of_class = shown[labels[chosen] == c]
                ax.scatter(*of_class.T, s=6, color=color, alpha=0.8, linewidths=0, label=class_names[c])
            ax.set_title(f"{model}, {layer}", fontsize=11, pad=0)
            for axis, name in ((ax.xaxis, "PC 1"), (ax.yaxis, "PC 2"), (ax.zaxis, "PC 3")):
                axis.set_label_text(name)
                axis.labelpad = -10
                axis.set_ticklabels([])
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.subplots_adjust(left=0.01, right=0.97, top=0.96, bottom=0.06, wspace=0.05, hspace=0.08)
    figure.legend(handles, names, loc="lower center", ncols=len(classes), markerscale=3, frameon=False)
    figure.savefig(path, dpi=130)
