"""A ranking as one HTML page: no network, no scripts, names and reasons escaped."""

import base64
import datetime
import html
import io
import itertools
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from nrjax._utils.messages import printable
from nrjax._version import __version__
from nrjax.results.display import any_script, as_html, axis_text, figure_size, html_table
from nrjax.results.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000", "#ee7733", "#009988")
MOST_POINTS = 3000  # drawn of one model
FIRST = 3  # models whose mistakes are shown
MOST_CELLS = 40  # models, and classes, that a heat map has room for
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #ddd; white-space: nowrap; }
img { max-width: 100%; height: auto; } code { overflow-wrap: anywhere; } p { overflow-wrap: anywhere; }
"""


class Projection(NamedTuple):
    """Samples of one model on its first two components.

    Attributes:
      model: its name.
      points: `[samples, 2]`, or `[samples, 1]`.
      ids: class of every sample, or a number of each where there are no classes.
      classes: name of every class; none of numbers.
    """

    model: str
    points: np.ndarray
    ids: np.ndarray
    classes: Sequence[Any]


def write_page(
    ranking: Ranking, path: str | Path, projections: Sequence[Projection] = (), *, command: str | None = None
) -> None:
    """Writes a page about a ranking, one file that needs no other.

    Args:
      ranking: what it is about.
      path: of the page.
      projections: of the models whose samples are to be seen.
      command: that made the ranking, to be shown.
    """
    sections = [("Ranking", as_html(ranking) + _image(_scores(ranking), "Scores of the models"))]
    if ranking.by_layer:
        layers = _heat_map(ranking.by_layer, ranking.settings["by"])
        sections.append(("Score by layer", _image(layers, "Score of every layer of every model")))
    of = {"regression": "output", "multilabel": "label"}.get(ranking.settings.get("task"), "class")
    for score, table in ranking.by_class.items():
        sections.append((f"By {of}: {score}", _by_class(score, table, of)))
    for score, table in ranking.confused.items():
        sections.append((f"What {score} takes for something else", _confused(table)))
    if projections:
        image = _image(_projections(projections), "Two principal components")
        sections.append(("Samples of the best and the worst model", image))
    sections.append(("Made with", _settings(ranking, command)))
    title = html.escape(printable(f"{ranking.best} comes first of {len(ranking.models)} models"))
    body = "".join(f"<h2>{heading}</h2>{content}" for heading, content in sections)
    Path(path).write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>nrjax: {title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n",
        encoding="utf-8",
    )


def _settings(ranking: Ranking, command: str | None) -> str:
    made = {
        **({"command": command} if command else {}),
        **{name: value for name, value in ranking.settings.items() if value is not None},
        "jax": jax.__version__, "device": f"{jax.devices()[0].device_kind}, {platform.machine()}",
        "written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"), "nrjax": __version__,
    }  # fmt: skip
    rows = (
        f"<tr><th>{html.escape(name)}</th><td><code>{html.escape(_words(made[name]))}</code></td></tr>" for name in made
    )
    return f"<table>{''.join(rows)}</table>"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):  # such as the preprocessing of every model: what they share is said once
        of: dict[Any, list[str]] = {}
        for name, one in value.items():
            of.setdefault(one, []).append(str(name))
        value = [
            f"{one} ({', '.join(names[:FIRST])}{f' and {len(names) - FIRST} more' if len(names) > FIRST else ''})"
            for one, names in of.items()
        ]
    return printable(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def _image(figure: "Figure", description: str) -> str:
    data = io.BytesIO()
    with any_script():
        figure.savefig(data, format="png", dpi=130)
    return f'<p><img alt="{description}" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"></p>'


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _scores(ranking: Ranking) -> "Figure":
    figure = _figure(*figure_size(ranking))
    ranking.plot(figure.subplots())
    return figure


def _by_class(score: str, table: Mapping[str, Mapping[Any, float]], of: str = "class") -> str:
    """The first models by the classes, outputs or labels that the first of them is worst at."""
    models = list(table)[:MOST_CELLS]
    classes = sorted(table[models[0]], key=table[models[0]].__getitem__)[:MOST_CELLS]
    classes = [label for label in table[models[0]] if label in classes]
    shown_of = f"the first {len(models)} of {len(table)} models" if len(models) < len(table) else "every model"
    left_out = len(table[models[0]]) - len(classes)
    worst = f", on the {len(classes)} of them at which the first is worst" if left_out else f" on every {of}"
    said = str if len(set(map(str, classes))) == len(classes) else repr  # "1" and 1 are two classes
    figure = _heat_map({model: {said(label): table[model][label] for label in classes} for model in models}, score)
    what = "Mean over the samples of a class" if of == "class" else f"Value of a single {of}"
    return f"<p>{what}, of {shown_of}{worst}; bold: the highest of a {of}.</p>" + _image(
        figure, f"{score} of every model on every {of}"
    )


def _confused(table: Mapping[str, Sequence[tuple[Any, Any, int]]]) -> str:
    """The pairs of classes that the first models confuse, one model a column."""
    first = {model: table[model] for model in list(table)[:FIRST]}
    columns = [[(model, f"{own} → {other}: {samples}") for own, other, samples in first[model]] for model in first]
    rows = [dict.fromkeys(first, "") | dict(filter(None, row)) for row in itertools.zip_longest(*columns)]
    said = "The pairs of classes that the first models confuse most: a class → what it is taken for: samples."
    return f"<p>{said}</p>{html_table(rows or [dict.fromkeys(first, 'none')])}"


def _heat_map(table: Mapping[str, Mapping[str, float]], label: str) -> "Figure":
    """Rows by columns, the highest of a column in bold; what is not there is left white."""
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    values = np.array([[row.get(column, np.nan) for column in columns] for row in table.values()])
    figure = _figure(2.5 + 0.75 * len(columns), 1.6 + 0.34 * len(table))
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


def _projections(projections: Sequence[Projection]) -> "Figure":
    figure = _figure(5 * len(projections), 4.6)
    axes = figure.subplots(1, len(projections), squeeze=False)[0]
    chosen = np.random.default_rng(0).permutation(len(projections[0].ids))[:MOST_POINTS]
    for ax, (model, points, ids, classes) in zip(axes, projections, strict=True):
        _scatter(ax, points[chosen], ids[chosen], [axis_text(str(label)) for label in classes])
        ax.set_title(axis_text(model))
    if 0 < len(projections[0].classes) <= len(COLOURS):
        handles, names = axes[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", markerscale=3, frameon=False)
    return figure


def _scatter(ax: "Axes", points: np.ndarray, ids: np.ndarray, classes: list[str]) -> None:
    second = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))  # features of one dimension
    if 0 < len(classes) <= len(COLOURS):
        for i, label in enumerate(classes):
            of_class = ids == i
            ax.scatter(points[of_class, 0], second[of_class], s=5, color=COLOURS[i], label=label, linewidths=0)
    else:
        ax.scatter(points[:, 0], second, s=5, c=ids, cmap="viridis", linewidths=0)
    ax.set(xlabel="first principal component", ylabel="second", xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)
