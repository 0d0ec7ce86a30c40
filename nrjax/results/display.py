"""How a ranking looks as text and in a notebook."""

import html
import textwrap
from collections.abc import Callable, Mapping, Sequence

from nrjax._utils.messages import printable
from nrjax.results.caption import caption
from nrjax.results.outcome import Outcome, ScoredModel
from nrjax.results.remarks import MOST_FAILURES, failures, remarks
from nrjax.results.tables import as_table

WIDTH = 80  # of the sentences below a table
COST_COLUMNS: dict[str, Callable[[ScoredModel], str]] = {
    "ms a sample": lambda model: "" if model.ms is None else f"{model.ms:.2g}",
    "parameters": lambda model: "" if model.parameters is None else f"{model.parameters:,}",
    "peak memory": lambda model: "" if model.peak_memory is None else f"{model.peak_memory / 1e9:.2f} GB",
}


def as_text(ranking: Outcome) -> str:
    """A table, a line for each model that failed, and remarks and caption in lines of `WIDTH` characters."""
    sentences = [line for text in (*remarks(ranking), caption(ranking)) for line in _wrapped(printable(text))]
    return "\n".join([as_table(_rows(ranking)), "", *map(printable, failures(ranking)), *sentences])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def as_html(ranking: Outcome) -> str:
    """The same in HTML; names and reasons are escaped."""
    remarked = "".join(f"<br>{html.escape(printable(text))}" for text in (*failures(ranking), *remarks(ranking)))
    return f"{html_table(_rows(ranking, costs=True))}<p>{html.escape(caption(ranking))}{remarked}</p>"


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same columns; columns and cells are escaped."""
    head = "".join(f"<th>{html.escape(printable(column))}</th>" for column in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in row.values()) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _rows(ranking: Outcome, *, costs: bool = False) -> list[dict[str, str]]:
    made, statements, rows = ranking.settings, ranking.statements, []
    others = [name for name in made["scores"] if name != made["by"] and ranking.column(name)]
    for model in ranking.models[: len(ranking.order) + MOST_FAILURES]:  # those that failed come last
        scored = model.score is not None
        row = {"rank": str(model.rank) if scored else "-", "model": model.name, "score": "-"}
        if scored:
            row["score"] = f"{model.score:.4f}"
        if "interval" in statements:
            row["score"] += " [{:.3f}, {:.3f}]".format(*model.interval) if model.interval else ""
            row[statements["p_first"]] = f"{model.p_first:.2f}" if model.p_first is not None else "-"
        row |= {name: f"{model.scores[name]:.4f}" if name in model.scores else "-" for name in others}
        if any(other.zero_shot is not None for other in ranking.models):
            row["zero-shot"] = f"{model.zero_shot:.4f}" if model.zero_shot is not None else "-"
        if "p_near_best" in statements:
            row["P(within 1 point)"] = f"{model.p_near_best:.2f}" if model.p_near_best is not None else "-"
        row |= {"layer": model.layer or "-"} if ranking.by_layer else {}
        if costs:
            row |= {
                label: text_of(model) for label, text_of in COST_COLUMNS.items() if any(map(text_of, ranking.models))
            }
        rows.append(row | {"dims": str(model.dims) if scored else "", "": _note(ranking, model)})
    return rows


def _note(ranking: Outcome, model: ScoredModel) -> str:
    if model.score is None:
        return "failed"
    expected = ranking.settings["n_components"]
    notes = ["tied"] if ranking.tied(model) else []
    leader = ranking.leaders.get(model.group, model)
    notes += [f"not told apart from {leader.name}"] if leader is not model and "tied" not in notes else []
    fewer = model.n_components is not None and model.n_components != expected
    return ", ".join(notes + ([f"{model.n_components} of {expected} components"] if fewer else []))
