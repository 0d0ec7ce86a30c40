"""Score against cost, with the models that no other beats in both."""

from typing import TYPE_CHECKING

from nrjax.results.bars import axis_text, label_beside
from nrjax.results.outcome import Outcome, ScoredModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 10  # times the least cost: from there on the axis is logarithmic
ALL_NAMED = 12  # models; of more those on the front are named


def pareto_front(ranking: Outcome, cost: str) -> list[ScoredModel]:
    """Models that none beats in score and cost, the cheapest first.

    Args:
      ranking: of models.
      cost: `ms`, `parameters` or `bytes`.
    """
    sign = 1 if ranking.about[ranking.settings["by"]].higher_is_better else -1
    priced = [model for model in ranking.models if model.score is not None and getattr(model, cost) is not None]
    front: list[ScoredModel] = []
    for model in sorted(priced, key=lambda model: (getattr(model, cost), -sign * (model.score or 0.0))):
        if not front or sign * (model.score or 0.0) > sign * (front[-1].score or 0.0):
            front.append(model)
    return front


def knows_costs(ranking: Outcome) -> bool:
    """Whether there are costs of two models."""
    ranked = [model for model in ranking.models if model.score is not None]
    return any(sum(getattr(model, cost) is not None for model in ranked) > 1 for cost in ("ms", "parameters"))


def cost_of_ranking(ranking: Outcome) -> str:
    """The cost that a picture shows: milliseconds where every model has them, else parameters.

    Raises:
      ValueError: neither is known of any model.
    """
    ranked = [model for model in ranking.models if model.score is not None]
    for cost in ("ms", "parameters"):
        if all(getattr(model, cost) is not None for model in ranked):
            return cost
    for cost in ("ms", "parameters"):
        if any(getattr(model, cost) is not None for model in ranked):
            return cost
    raise ValueError("the ranking has no costs, because it is of arrays; rank the models with nrjax.rank.")


def draw_cost(ranking: Outcome, ax: "Axes | None" = None) -> "Axes":
    """A point a model, the front as a line; what is up and to the left is better where higher is."""
    cost = cost_of_ranking(ranking)
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    priced = [model for model in ranking.models if model.score is not None and getattr(model, cost) is not None]
    front = pareto_front(ranking, cost)
    costs = [getattr(model, cost) for model in priced]
    ax.scatter(costs, [model.score or 0.0 for model in priced], s=22, color="#bbbbbb", zorder=2)
    ax.plot([getattr(model, cost) for model in front], [model.score or 0.0 for model in front], marker="o",
            markersize=5, color="#4477aa", zorder=3, label="nothing is better and cheaper")  # fmt: skip
    for model in priced if len(priced) <= ALL_NAMED else front:
        ax.annotate(
            axis_text(model.name), (getattr(model, cost), model.score or 0.0), xytext=(5, 4),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    if max(costs) > WIDE * min(costs) > 0:
        ax.set_xscale("log")
    else:
        ax.set_xlim(0, 1.15 * max(costs))
    if cost == "parameters":
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params("x", labelrotation=20)
    ax.margins(y=0.12)
    ax.set_xlabel({"ms": "milliseconds a sample on this machine", "parameters": "parameters"}[cost])
    ax.set_ylabel(label_beside(ranking))
    ax.legend(frameon=False, loc="best", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
