"""The pictures of a report."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nrjax.results.bars import any_script, axis_text, figure_size, text_inches
from nrjax.results.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000", "#ee7733", "#009988")
MOST_POINTS = 3000  # drawn of one model
MOST_OUTPUTS = 4  # of numbers that are drawn
FEW, DOTS = 400, (14, 5)  # points, and the size of a dot of few and of many


class Projection(NamedTuple):
    """Samples of one model on its first two components.

    Attributes:
      model: its name.
      points: `[samples, 2]`, or `[samples, 1]`.
      ids: class of every sample, a number of each where there are no classes, or None where nothing is known.
      classes: name of every class; none of numbers.
      about: what the numbers are.
    """

    model: str
    points: np.ndarray
    ids: np.ndarray | None = None
    classes: Sequence[Any] = ()
    about: str = ""


class Prediction(NamedTuple):
    """Numbers of the samples, and what a linear probe of a model that was fitted without the sample says.

    Attributes:
      model: its name.
      values: `[samples, outputs]`.
      predicted: the same shape.
      outputs: names of the outputs.
    """

    model: str
    values: np.ndarray
    predicted: np.ndarray
    outputs: Sequence[Any]


def as_png(figure: "Figure") -> str:
    """In base64, for a page."""
    data = io.BytesIO()
    with any_script():
        figure.savefig(data, format="png", dpi=130)
    return base64.b64encode(data.getvalue()).decode()


def blank(width: float, height: float) -> "Figure":
    """An empty picture of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bars(ranking: Ranking) -> "Figure":
    """Scores of the models."""
    figure = blank(*figure_size(ranking))
    ranking.plot(ax=figure.subplots())
    return figure


def costs(ranking: Ranking) -> "Figure":
    """Scores against cost."""
    figure = blank(7, 4.5)
    ranking.plot("cost", ax=figure.subplots())
    return figure


def heat_map(table: Mapping[str, Mapping[str, float]], label: str) -> "Figure":
    """Rows by columns, the highest of a column in bold; what is not there is left white."""
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    values = np.array([[row.get(column, np.nan) for column in columns] for row in table.values()])
    sides = 2 + text_inches(table), 1.2 + text_inches(map(str, columns)) / 2
    figure = blank(sides[0] + 0.75 * len(columns), sides[1] + 0.34 * len(table))
    ax = figure.subplots()
    drawn = ax.imshow(values, aspect="auto", cmap="cividis")
    middle, highest = (np.nanmin(values) + np.nanmax(values)) / 2, np.nanmax(values, axis=0)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ax.text(
                column, row, f"{value:.3g}", ha="center", va="center", fontsize=8,
                color="black" if value > middle else "white", weight="bold" if value == highest[column] else "normal",
            )  # fmt: skip
    ax.set_xticks(range(len(columns)), [axis_text(column) for column in columns], rotation=30, ha="right")
    ax.set_yticks(range(len(table)), [axis_text(name) for name in table])
    figure.colorbar(drawn, label=axis_text(label))
    return figure


def scatter_plots(projections: Sequence[Projection]) -> "Figure":
    """Samples on two components, a picture a model."""
    figure = blank(5 * len(projections), 4.6)
    axes = figure.subplots(1, len(projections), squeeze=False)[0]
    first = projections[0]
    chosen = np.random.default_rng(0).permutation(len(first.points))[:MOST_POINTS]
    drawn = None
    for ax, (model, points, ids, classes, _) in zip(axes, projections, strict=True):
        ids = None if ids is None else ids[chosen]
        drawn = _scatter(ax, points[chosen], ids, [axis_text(str(label)) for label in classes])
        ax.set_title(axis_text(model), fontsize=10)
    if 0 < len(first.classes) <= len(COLOURS):
        handles, names = axes[-1].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside right center", markerscale=3 if len(chosen) > FEW else 2, frameon=False
        )
    elif drawn is not None and first.about:
        figure.colorbar(drawn, ax=list(axes), label=axis_text(first.about))
    return figure


def _scatter(ax: "Axes", points: np.ndarray, ids: np.ndarray | None, classes: list[str]) -> Any:
    second = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))  # features of one dimension
    drawn, size = None, DOTS[len(points) > FEW]
    if ids is None:
        ax.scatter(points[:, 0], second, s=size, color=COLOURS[0], linewidths=0)
    elif 0 < len(classes) <= len(COLOURS):
        for i, label in enumerate(classes):
            of_class = ids == i
            ax.scatter(points[of_class, 0], second[of_class], s=size, color=COLOURS[i], label=label, linewidths=0)
    else:
        drawn = ax.scatter(points[:, 0], second, s=size, c=ids, cmap="viridis", linewidths=0)
    ax.set(xlabel="first principal component", ylabel="second", xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)
    return drawn


def residual_plots(predictions: Sequence[Prediction]) -> "Figure":
    """Residuals by predicted value, a row a model and a column an output."""
    columns = min(MOST_OUTPUTS, predictions[0].values.shape[1])
    figure = blank(4.2 * columns + 0.8, 3.4 * len(predictions))
    axes = figure.subplots(len(predictions), columns, squeeze=False, sharex="col", sharey="col")
    chosen = np.random.default_rng(0).permutation(len(predictions[0].values))[:MOST_POINTS]
    for row, (model, values, predicted, outputs) in zip(axes, predictions, strict=True):
        for output, ax in enumerate(row):
            residuals = values[chosen, output] - predicted[chosen, output]
            ax.axhline(0, color="black", linewidth=0.8)
            ax.scatter(
                predicted[chosen, output],
                residuals,
                s=DOTS[len(chosen) > FEW],
                color=COLOURS[0],
                linewidths=0,
                alpha=0.6,
            )
            ax.set_title(axis_text(model if len(outputs) == 1 else f"{model}, {outputs[output]}"), fontsize=10)
            ax.set(xlabel="predicted without the sample", ylabel="value less predicted")
            ax.spines[["top", "right"]].set_visible(False)
    return figure
