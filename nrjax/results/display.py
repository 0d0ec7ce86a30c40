"""How a ranking looks: as text, in a notebook, as a picture."""

import contextlib
import html
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nrjax._utils.messages import printable
from nrjax.results.outcome import TIE, Outcome, ScoredModel
from nrjax.results.tables import as_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FAILURES = 20  # that are told one by one
UNEVEN = 1.5  # times its even share: from there on the largest class is said


def as_text(ranking: Outcome) -> str:
    """A table, what is missing and why, where scores disagree, and a line that says how it was made."""
    return "\n".join([as_table(_rows(ranking)), "", *map(printable, remarks(ranking)), how(ranking)])


def as_html(ranking: Outcome) -> str:
    """The same in HTML; names and reasons are escaped."""
    remarked = "".join(f"<br>{html.escape(printable(remark))}" for remark in remarks(ranking))
    return f"{html_table(_rows(ranking))}<p>{html.escape(how(ranking))}{remarked}</p>"


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same columns; columns and cells are escaped."""
    head = "".join(f"<th>{html.escape(printable(column))}</th>" for column in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in row.values()) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def draw(ranking: Outcome, ax: "Axes | None" = None) -> "Axes":
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
        low, high = model.interval or (scores[place], scores[place])
        ax.annotate(
            value, (low if negative else high, place), textcoords="offset points", va="center", fontsize=9, **side
        )
    ax.set_yticks(places, [axis_text(model.name) for model in ranking.models])
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.margins(x=0.14)
    for place, model in enumerate(ranking.models):
        if model.interval and model.score is not None:
            ax.plot(model.interval, [place, place], color="black", linewidth=1.2, solid_capstyle="butt")
    ax.set_xlabel(f"{_by(ranking)}; {_direction(ranking)}")
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def axis_text(name: str) -> str:
    """A name as Matplotlib shows it: $ would begin a formula."""
    return printable(name).replace("$", r"\$")


@contextlib.contextmanager
def any_script() -> Iterator[None]:
    """Drawing without a warning for every sign that Matplotlib's font lacks: a box stands in its place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def figure_size(ranking: Outcome) -> tuple[float, float]:
    """Inches that give every model a legible line."""
    return 7, 1.2 + 0.32 * len(ranking.models)


def remarks(ranking: Outcome) -> list[str]:
    """Why models failed, why scores are missing or uncertain, and which scores put another model first."""
    lines = [f"{name} failed: {reason}" for name, reason in ranking.failed.items()]
    if len(lines) > MOST_FAILURES:
        lines[MOST_FAILURES:] = [
            f"{len(lines) - MOST_FAILURES:,} more failed; `failed`, JSON and CSV have all reasons."
        ]
    without: dict[tuple[str, str], list[str]] = {}
    for model in ranking.models:
        if model.rank is not None:
            for name, reason in model.missing.items():
                without.setdefault((name, reason.rstrip(".")), []).append(model.name)
    for (score, reason), names in without.items():
        everyone = len(names) == len(ranking.order)
        some = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no"
        lines.append(f"{'No model has' if everyone else some} {score}: {reason}.")
    doubts: dict[tuple[str, str], list[str]] = {}
    for model in ranking.models:
        for name, reason in model.uncertain.items():
            doubts.setdefault((name, reason), []).append(model.name)
    lines += [f"{score} of {', '.join(names)} is not certain: {reason}." for (score, reason), names in doubts.items()]
    if "labels" in ranking.settings:
        lines.append(
            "Without labels: how well the features cluster, which need not be what you want to tell apart. See "
            "'Without labels' in docs/guides/confidence.md."
        )
    lines += ranking.settings.get("remarks", ())
    return lines + _disagreement(ranking) + _agreement(ranking)


def _disagreement(ranking: Outcome) -> list[str]:
    """Which scores put another model first, and what that is worth by the probe."""
    firsts, by = _first_by_score(ranking), ranking.settings["by"]
    firsts.pop("stability", None)  # how sure clusters are, which is no order of models
    others = {name: first for name, first in firsts.items() if first != ranking.best}
    if not others:
        return []
    probe = ranking.column("probe") if "probe" in firsts else {}
    lines = []
    rival = others["probe"] if "probe" in others else next(iter(others.values())) if by == "probe" else None
    if rival is not None and ranking.best in probe and rival in probe:
        name = "probe" if "probe" in others else next(iter(others))
        more, less = sorted((ranking.best, rival), key=lambda model: -probe[model])
        said = f"Two first choices: {ranking.best} by {by}, {rival} by {name}. A linear probe "
        if "task" in ranking.settings:
            what = {"regression": "R²", "multilabel": "mean average precision"}[ranking.settings["task"]]
            said += f"has a {what} of {probe[more]:.3f} with {more} and of {probe[less]:.3f} with {less}."
        else:
            said += (
                f"is right on {100 * probe[more]:.1f} % of the samples with {more} and on {100 * probe[less]:.1f} % "
                f"with {less}: {100 * (probe[more] - probe[less]):.1f} points of accuracy."
            )
        lines.append(said)
        del others[name]
    if others:
        lines.append(f"{'Also' if lines else 'The scores disagree'}: "
                     f"{', '.join(f'{name} puts {first} first' for name, first in others.items())}.")  # fmt: skip
    return [*lines[:-1], f"{lines[-1]} See 'Which score when' in docs/guides/confidence.md."]


def _agreement(ranking: Outcome) -> list[str]:
    """Whether the first choice can be believed, and which model can be more."""
    if ranking.p_near_best is None:
        return []
    surest = max(ranking.models, key=lambda model: model.p_near_best or 0)
    line = (
        f"A head retrained on {ranking.best} is within one point of accuracy of the best candidate's with probability "
        f"{ranking.p_near_best:.2f}"
    )  # fmt: skip
    more = (surest.p_near_best or 0) - ranking.p_near_best
    return [f"{line}, one on {surest.name} with {surest.p_near_best:.2f}." if more > 0.05 else f"{line}."]


def how(ranking: Outcome) -> str:
    """One line: score, components, layer, samples."""
    made = ranking.settings
    parts = [_by(ranking)]
    if made["by"] == "silhouette":
        parts = [f"{made['distance']} silhouette ({made['definition']}) of {made['n_components']} principal components"]
        parts += [f"to within {made['tolerance']:g}"] if made.get("tolerance", TIE) != TIE else []
    parts += [f"layer {made['layer']}"] if "layer" in made else []
    parts += [f"{made['samples']:,} samples {_classes(made)}"]
    said = ranking.statements
    sure = (
        f" Intervals hold with probability {made['confidence']:g}; they and {said['p_first']} are about "
        "the score, not about accuracy after training." if "interval" in said else ""
    )  # fmt: skip
    if "p_near_best" in said:
        sure += " P(within 1 point): that a head retrained on the model is that close to the best one's accuracy."
    return f"Score: {', '.join(parts)}; {_direction(ranking)}.{sure}"


def _classes(made: Mapping[str, Any]) -> str:
    """What the samples are of, how many groups, and where an uneven share of classes makes chance high."""
    if "labels" in made:
        return f"in {made['classes']:,} clusters" if made["classes"] else "in as many clusters as are most apart"
    of = f"in {made['classes']:,} classes" if made["classes"] is not None else _outputs(made["task"], made["outputs"])
    of += f" and {made['groups']:,} groups, each left out whole" if "groups" in made else ""
    majority, chance = made.get("majority"), made.get("chance", {}).get(made["by"])
    if majority is not None and majority * made["classes"] > UNEVEN:
        of += f", {100 * majority:.1f} % of them in the largest"
        of += f" (chance {chance:.3f})" if chance is not None else ""
    return of


def _outputs(task: str, outputs: int) -> str:
    noun = {"regression": "number", "multilabel": "label"}[task]
    return f"with a {noun} each" if outputs == 1 else f"with {outputs:,} {noun}s"


def _by(ranking: Outcome) -> str:
    made = ranking.settings
    if made["by"] == "silhouette":
        return f"neuralRank score ({made['distance']} silhouette)"
    return ranking.about[made["by"]].meaning


def _direction(ranking: Outcome) -> str:
    about = ranking.about[ranking.settings["by"]]
    bounded = about.low is not None and about.high is not None
    bounds = f"from {about.low:g} to {about.high:g}, " if bounded else ""
    return f"{bounds}{'higher' if about.higher_is_better else 'lower'} is better"


def _first_by_score(ranking: Outcome) -> dict[str, str]:
    """The model that each of the scores puts first."""
    first = {}
    for name in ranking.settings["scores"]:
        column = ranking.column(name)
        if column:
            pick = max if ranking.about[name].higher_is_better else min
            first[name] = pick(column, key=column.__getitem__)
    return first


def _rows(ranking: Outcome) -> list[dict[str, str]]:
    made, said, rows = ranking.settings, ranking.statements, []
    others = [name for name in made["scores"] if name != made["by"] and ranking.column(name)]
    for model in ranking.models[: len(ranking.order) + MOST_FAILURES]:  # those that failed come last
        scored = model.score is not None
        row = {"rank": str(model.rank) if scored else "-", "model": model.name, "score": "-"}
        if scored:
            row["score"] = f"{model.score:.4f}"
        if "interval" in said:
            row["score"] += " [{:.3f}, {:.3f}]".format(*model.interval) if model.interval else ""
            row[said["p_first"]] = f"{model.p_first:.2f}" if model.p_first is not None else "-"
        row |= {name: f"{model.scores[name]:.4f}" if name in model.scores else "-" for name in others}
        if "p_near_best" in said:
            row["P(within 1 point)"] = f"{model.p_near_best:.2f}" if model.p_near_best is not None else "-"
        row |= {"layer": model.layer or "-"} if ranking.by_layer else {}
        rows.append(row | {"dims": str(model.dims) if scored else "", "": _note(ranking, model)})
    return rows


def _note(ranking: Outcome, model: ScoredModel) -> str:
    if model.score is None:
        return "failed"
    asked = ranking.settings["n_components"]
    notes = ["tied"] if ranking.tied(model) else []
    leader = ranking.leaders.get(model.group, model)
    notes += [f"not told apart from {leader.name}"] if leader is not model and "tied" not in notes else []
    fewer = model.n_components is not None and model.n_components != asked
    return ", ".join(notes + ([f"{model.n_components} of {asked} components"] if fewer else []))
