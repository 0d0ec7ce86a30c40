"""How a ranking looks: as text, in a notebook, as a picture."""

import html
from typing import TYPE_CHECKING

from nrjax._tables import as_table, printable
from nrjax.result import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def as_text(ranking: Ranking) -> str:
    """A table, the reasons of what failed, and a line that says how it was made."""
    reasons = [f"{printable(name)} failed: {printable(reason)}" for name, reason in ranking.failed.items()]
    return "\n".join([as_table(_rows(ranking)), "", *reasons, how(ranking)])


def as_html(ranking: Ranking) -> str:
    """The same in HTML; names and reasons are escaped."""
    rows = _rows(ranking)
    head = "".join(f"<th>{column}</th>" for column in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) + "</tr>" for row in rows)
    reasons = "".join(f"<br>{html.escape(f'{name} failed: {reason}')}" for name, reason in ranking.failed.items())
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{html.escape(how(ranking))}{reasons}</p>"
    )


def draw(ranking: Ranking, ax: "Axes | None" = None) -> "Axes":
    """Horizontal bars, best on top; models that failed are named without a bar."""
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=figure_size(ranking), layout="constrained")
    scores = [model.score or 0.0 for model in ranking.models]
    places = range(len(scores))
    ax.barh(places, scores, color="#4477aa", height=0.7)
    for place, model in zip(places, ranking.models, strict=True):
        negative = scores[place] < 0
        value = "failed" if model.score is None else f"{model.score:.3f}"
        side = {"xytext": (-4, 0), "ha": "right"} if negative else {"xytext": (4, 0), "ha": "left"}
        ax.annotate(value, (scores[place], place), textcoords="offset points", va="center", fontsize=9, **side)
    names = [printable(model.name).replace("$", r"\$") for model in ranking.models]  # $ would begin a formula
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.margins(x=0.14)
    ax.set_xlabel(f"neuralRank score ({ranking.settings['distance']} silhouette; higher is better)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def figure_size(ranking: Ranking) -> tuple[float, float]:
    """Inches that give every model a legible line."""
    return 7, 1.2 + 0.32 * len(ranking.models)


def how(ranking: Ranking) -> str:
    """One line: score, components, layer, samples."""
    made = ranking.settings
    parts = [f"{made['distance']} silhouette ({made['definition']}) of {made['n_components']} principal components"]
    parts += [f"layer {made['layer']}"] if "layer" in made else []
    parts += [f"{made['samples']:,} samples in {made['classes']:,} classes"]
    return f"Score: {', '.join(parts)}; from -1 to 1, higher is better."


def _rows(ranking: Ranking) -> list[dict[str, str]]:
    rows = []
    for model in ranking.models:
        row = {"rank": "-", "model": model.name, "score": "-", "dims": ""}
        if model.score is not None:
            row |= {"rank": str(model.rank), "score": f"{model.score:.4f}", "dims": str(model.dims)}
        rows.append(row | {"": _note(ranking, model)})
    return rows


def _note(ranking: Ranking, model) -> str:
    if model.score is None:
        return "failed"
    asked = ranking.settings["n_components"]
    notes = ["tied"] if ranking.tied(model) else []
    notes += [f"{model.n_components} of {asked} components"] if model.n_components != asked else []
    return ", ".join(notes)
