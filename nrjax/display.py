"""How a ranking looks: as text, in a notebook, as a picture."""

import html
import io
import unicodedata
from typing import TYPE_CHECKING

from nrjax.result import Ranking, ScoredModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("rank", "model", "score", "dims", "")


def as_text(ranking: Ranking, width: int = 100) -> str:
    """A table and a line that says how it was made."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("model", "") else "right", overflow="fold")
    for model in ranking.models:
        table.add_row(*(Text(cell) for cell in _cells(ranking, model)))  # Text: names are not markup
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    body = "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())
    return f"{body}\n\n{how(ranking)}"


def as_html(ranking: Ranking) -> str:
    """The same as an HTML table; names and reasons are escaped."""
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(ranking, model)) + "</tr>"
        for model in ranking.models
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{html.escape(how(ranking))}</p>"


def draw(ranking: Ranking, ax: "Axes | None" = None) -> "Axes":
    """Horizontal bars, best on top; models that failed are named without a bar."""
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(7, 1.2 + 0.32 * len(ranking.models)), layout="constrained")
    names = [_printable(model.name) for model in ranking.models]
    scores = [model.score or 0.0 for model in ranking.models]
    places = range(len(names))
    ax.barh(places, scores, color="#4477aa", height=0.7)
    for place, model in zip(places, ranking.models, strict=True):
        value = "failed" if model.score is None else f"{model.score:.3f}"
        negative = (model.score or 0.0) < 0
        ax.annotate(
            value, ((model.score or 0.0), place), xytext=(-4 if negative else 4, 0), textcoords="offset points",
            va="center", ha="right" if negative else "left", fontsize=9,
        )  # fmt: skip
    ax.set_yticks(places, [name.replace("$", r"\$") for name in names])
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.margins(x=0.14)
    ax.set_xlabel(f"neuralRank score ({ranking.settings['distance']} silhouette; higher is better)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def how(ranking: Ranking) -> str:
    """One line: score, components, samples, layer."""
    made = ranking.settings
    parts = [f"{made['distance']} silhouette ({made['definition']}) of {made['n_components']} principal components"]
    parts += [f"layer {made['layer']}"] if "layer" in made else []
    parts += [f"{made['samples']:,} samples", f"{made['classes']:,} classes"]
    return f"Score: {', '.join(parts)}; from -1 to 1, higher is better."


def _cells(ranking: Ranking, model: ScoredModel) -> tuple[str, ...]:
    name = _printable(model.name)
    if model.score is None:
        return "-", name, "failed", "", _printable(model.reason or "")
    asked = ranking.settings["n_components"]
    notes = ["tied"] if ranking.tied(model) else []
    notes += [f"{model.n_components} of {asked} components"] if model.n_components != asked else []
    return f"{model.rank}", name, f"{model.score:.4f}", f"{model.dims}", ", ".join(notes)


def _printable(text: str) -> str:
    """Without control characters: names come from files and must not drive the terminal."""
    return "".join(c if unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text)
