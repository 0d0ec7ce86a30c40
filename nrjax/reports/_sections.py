"""The sections of a report: a heading, a sentence, a table or a picture."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nrjax.reports import _figures as figures
from nrjax.results.display import as_html, html_table
from nrjax.results.ranking import Ranking

if TYPE_CHECKING:
    from markupsafe import Markup

FIRST = 3  # models whose mistakes are shown
MOST_CELLS = 40  # models, and classes, that a heat map has room for
PART = {"regression": "output", "multilabel": "label"}  # of a target by its task; a class otherwise


class Section(NamedTuple):
    """A part of a page; `figure` is a PNG in base64 and `alt` its description."""

    heading: str
    text: str = ""
    table: "Markup | str" = ""
    figure: str = ""
    alt: str = ""


def ranking_section(ranking: Ranking) -> Section:
    """The table, what is to be said about it, and the scores as bars."""
    from markupsafe import Markup

    bars = figures.as_png(figures.bars(ranking))
    return Section("Ranking", table=Markup(as_html(ranking)), figure=bars, alt="Scores of the models")


def cost_section(ranking: Ranking) -> Section:
    """Score against cost."""
    text = "Times are of the machine that made the ranking, with preprocessing, at the batch that was used."
    figure = figures.as_png(figures.costs(ranking))
    return Section("Score and cost", text, figure=figure, alt="Score of every model against its cost")


def layers_section(ranking: Ranking) -> Section:
    """Score of every layer of every model."""
    figure = figures.heat_map(ranking.by_layer, ranking.settings["by"])
    return Section("Score by layer", figure=figures.as_png(figure), alt="Score of every layer of every model")


def class_section(ranking: Ranking, score: str) -> Section:
    """The first models by the classes, outputs or labels that the first of them is worst at."""
    part, table = PART.get(ranking.settings.get("task", ""), "class"), ranking.by_class[score]
    models = list(table)[:MOST_CELLS]
    classes = sorted(table[models[0]], key=table[models[0]].__getitem__)[:MOST_CELLS]
    classes = [label for label in table[models[0]] if label in classes]
    whose = f"the first {len(models)} of {len(table)} models" if len(models) < len(table) else "every model"
    left_out = len(table[models[0]]) - len(classes)
    where = f", on the {len(classes)} of them at which the first is worst" if left_out else f" on every {part}"
    name = str if len(set(map(str, classes))) == len(classes) else repr  # "1" and 1 are two classes
    values = {model: {name(label): table[model][label] for label in classes} for model in models}
    what = "Mean over the samples of a class" if part == "class" else f"Value of a single {part}"
    return Section(
        f"By {part}: {score}", f"{what}, of {whose}{where}; bold: the highest on each {part}.",
        figure=figures.as_png(figures.heat_map(values, score)), alt=f"{score} of every model on every {part}",
    )  # fmt: skip


def confusion_section(score: str, table: Mapping[str, Sequence[tuple[object, object, int]]]) -> Section:
    """The pairs of classes that the first models confuse, one model a column."""
    from markupsafe import Markup

    first = {model: table[model] for model in list(table)[:FIRST]}
    columns = [[(model, f"{own} → {other}: {samples}") for own, other, samples in first[model]] for model in first]
    rows = [dict.fromkeys(first, "") | dict(filter(None, row)) for row in itertools.zip_longest(*columns)]
    return Section(
        f"What {score} takes for something else",
        "The pairs of classes that the first models confuse most: a class → what it is taken for: samples.",
        Markup(html_table(rows or [dict.fromkeys(first, "none")])),
    )


def samples_section(projections: Sequence[figures.Projection]) -> Section:
    """Samples of the best and the worst model."""
    figure = figures.as_png(figures.scatter_plots(projections))
    return Section("Samples of the best and the worst model", figure=figure, alt="Two principal components")


def residuals_section(predictions: Sequence[figures.Prediction]) -> Section:
    """What a linear probe of the best and the worst model leaves over."""
    return Section(
        "What a linear probe leaves over",
        "Each number less what a ridge regression on the features says that was fitted without the sample, or without "
        "its group.",
        figure=figures.as_png(figures.residual_plots(predictions)), alt="Residuals by predicted value",
    )  # fmt: skip
