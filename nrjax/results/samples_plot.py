"""Scores of the first models by the number of samples: whether more labels would change the order."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nrjax.results.bars import axis_text, label_beside
from nrjax.results.outcome import Outcome, ScoredModel
from nrjax.results.remarks import samples_to_tell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 5  # models that are drawn
BESIDE = 0.025  # of a number of samples, by which the intervals of models stand beside each other
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377")


def draw_by_samples(
    ranking: Outcome, parts: Mapping[int, Sequence[ScoredModel]], ax: "Axes | None" = None
) -> "Axes":  # fmt: skip
    """A line a model; on the right all samples, whose scores and intervals are the ranking's.

    Args:
      ranking: with confidence.
      parts: its first models on fewer samples, by their number.
      ax: of Matplotlib.
    """
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    by_samples = {**parts, ranking.settings["samples"]: ranking.models}
    for i, name in enumerate(ranking.order[:MOST]):
        models = {size: model for size, models in by_samples.items() for model in models if model.name == name}
        known = {size: model for size, model in models.items() if model.score is not None}
        places = [size * (1 + BESIDE * (i - MOST // 2)) for size in known]
        ax.plot(places, [model.score or 0.0 for model in known.values()], marker="o", markersize=4,
                color=COLOURS[i], label=axis_text(name))  # fmt: skip
        for place, model in zip(places, known.values(), strict=True):
            if model.interval:
                ax.plot([place, place], model.interval, color=COLOURS[i], linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks(list(by_samples), [f"{size:,}" for size in by_samples])
    ax.minorticks_off()
    ax.set_xlabel("samples")
    ax.set_ylabel(label_beside(ranking))
    ax.set_title("\n".join(samples_to_tell(ranking)), fontsize=9)
    ax.legend(frameon=False, loc="best", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
