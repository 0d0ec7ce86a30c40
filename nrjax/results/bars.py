"""A ranking as a picture."""

import contextlib
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nrjax._utils.messages import printable
from nrjax.results.caption import direction, score_label
from nrjax.results.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SIGNS = 48  # of a name
INCHES_A_SIGN = 0.085
SIGNS_BELOW, SIGNS_BESIDE = 68, 45  # that a line has room for below the bars, and beside a picture of usual height


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
    ax.set_xlabel(textwrap.fill(f"{score_label(ranking)}; {direction(ranking)}", SIGNS_BELOW))
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def label_beside(ranking: Outcome) -> str:
    """The score that orders and its direction, in lines for a vertical axis."""
    return f"{textwrap.fill(score_label(ranking), SIGNS_BESIDE)}\n{direction(ranking)}"


def axis_text(name: str) -> str:
    """A name as Matplotlib shows it: $ would begin a formula, and of a long path the end tells most."""
    name = printable(name)
    if len(name) > MOST_SIGNS:
        name = f"{name[: MOST_SIGNS // 3]}…{name[1 - MOST_SIGNS + MOST_SIGNS // 3 :]}"
    return name.replace("$", r"\$")


def text_inches(names: Iterable[str]) -> float:
    """Width that the longest of some names takes beside an axis."""
    return INCHES_A_SIGN * max((len(axis_text(name)) for name in names), default=0)


@contextlib.contextmanager
def any_script() -> Iterator[None]:
    """Drawing without a warning for every sign that Matplotlib's font lacks: a box stands in its place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def figure_size(ranking: Outcome) -> tuple[float, float]:
    """Inches that give every model a legible line."""
    width = max(7.0, 5.5 + text_inches(model.name for model in ranking.models))
    return width, 1.2 + 0.32 * len(ranking.models)
