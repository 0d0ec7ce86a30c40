"""The README of the results: from Q1 to Q6 with our answers. Every sentence that could be wrong is computed."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.paper.markdown import Document, agreement_table, cell, markdown, table
from benchmarks.paper.published import LAYERS, MODELS


def readme(doc: Document) -> str:
    """The walk; sections whose tables are missing are left out."""
    sections = [section(doc) for needs, section in _SECTIONS if needs <= doc.keys()]
    return "\n".join([_INTRODUCTION, *sections, _made_with(doc["made_with"])])


_INTRODUCTION = """# The paper, reproduced

Written by `python -m benchmarks.paper`; every number below comes out of that command, also as
[tables.json](tables.json). Models are named as in the paper: M, F, C for MNIST, Fashion-MNIST, CIFAR-10, then the
classes they were trained on. Values in parentheses are the paper's.
"""


def _zoo(doc: Document) -> str:
    return f"## The zoo\n\n{table('table1', doc)}"


def _q1(doc: Document) -> str:
    cells, apart = doc["table2"], doc["agreement"]["table2_against_paper"]
    ours, paper = ({layer: _contrast(cells, layer, who) for layer in LAYERS} for who in ("ours", "paper"))
    sharpest = {who: max(c, key=lambda layer: c[layer]) for who, c in (("ours", ours), ("paper", paper))}
    rows = [[who, *(f"{v:.3f}" for v in c.values())] for who, c in (("ours", ours), ("paper", paper))]
    differences = [
        "mean absolute difference",
        *(f"{apart[la]['mean_absolute_difference']['ours']:.3f}" for la in LAYERS),
    ]
    pixels = {cells[name]["L0"]["ours"] for name in MODELS}
    return f"""## Q1: which layer?

{table("table2", doc)}
Mean score of the three MNIST models minus mean of the other six, and how far our nine scores are from the paper's:

{markdown(["", *LAYERS], [*rows, differences])}

The contrast is sharpest at {sharpest["ours"]} (in the paper at {sharpest["paper"]}), so the last dense layer it is from
here on. L0 is raw pixels, the same for every model: {", ".join(f"{p:.4f}" for p in sorted(pixels))}, and 0.346 in the paper.
"""


def _q2(doc: Document) -> str:
    cells = doc["table3"]
    order, theirs = _order(cells, "ours"), _order(cells, "paper")
    return f"""## Q2: does the ranking follow domains?

{table("table3", doc)}
Our order: {", ".join(order)}. The paper's: {", ".join(theirs)}. {_tau_to_the_paper(doc["agreement"])} The first two are
the paper's first two: {_yes(set(order[:2]) == set(theirs[:2]))}. Models of other domains above F5-9, which was trained on
other classes of the target's own domain: {", ".join(_above(order)) or "none"} (in the paper {", ".join(_above(theirs))}).
"""


def _tau_to_the_paper(against: Document) -> str:
    alone = against["table3_against_paper"]["tau_b"]
    if "table3_between_seeds" not in against:
        return f"Kendall tau between the two: {alone['ours']:.2f}."
    mean, between = (against[name]["tau_b"]["ours"] for name in ("table3_mean_against_paper", "table3_between_seeds"))
    return (
        f"Kendall tau between the two: {mean:.2f}; of single seeds with the paper "
        f"{', '.join(f'{tau:.2f}' for tau in alone['seeds'])} (on average {alone['ours']:.2f}), and of two of our seeds "
        f"with each other {between:.2f}."
    )


def _q3(doc: Document) -> str:
    tau = doc["agreement"]["score_against_accuracy"]["table3_table4"]["tau_b"]
    brief = doc["agreement"]["score_against_accuracy"]["table3_table4_by_recipe"]["tau_b"]
    most = max(doc["table4"][name]["ours"] - doc["table4_by_recipe"][name]["ours"] for name in MODELS)
    faster = brief["ours"] > tau["ours"]
    reading = " The score says how fast a logits layer learns rather than how far it gets." if faster else ""
    first, best = _order(doc["table3"], "ours")[0], _order(doc["table4"], "ours")[0]
    lost = doc["table4"][best]["ours"] - doc["table4"][first]["ours"]
    return f"""## Q3: do high scores mean high accuracy?

{table("table4", doc)}
Kendall tau between score and accuracy: {cell(tau)}. Starting from the model with the highest score ({first}) costs
{100 * lost:.1f} points of accuracy against the most accurate ({best}). Here the logits layer is retrained to convergence,
a convex problem; the paper does not say how long it trained.

{table("table4_by_recipe", doc)}
With a logits layer trained as briefly as the models themselves accuracies are up to {100 * most:.0f} points lower, and tau
between score and accuracy is {cell(brief)}.{reading}

![Figure 3](figure3.png)

Figure 3: Fashion 0-4 on three principal components of L0, L2 and L5, for the models at ranks 1, 3 and 7 of our Table 3.
"""


def _q4(doc: Document) -> str:
    curves = doc["figure2"]
    orders = {d: sorted(curves, key=lambda name: -curves[name][d]["ours"]) for d in next(iter(curves.values()))}
    between = [order for d, order in orders.items() if 5 <= int(d) <= 50]
    changes = [d for d, last in zip(list(orders)[1:], list(orders), strict=False) if orders[d] != orders[last]]
    return f"""## Q4: how many components?

![Figure 2](figure2.png)

From 5 to 50 components the paper's ranking does not change. Ours: the first two keep their order, {_yes(_same(between, 2))};
the first three, {_yes(_same(between, 3))}; all five, {_yes(_same(between, 5))}. Lines cross on the way to
{", ".join(changes) or "no number of"} components. Order at 5: {", ".join(orders["5"])}; at 50: {", ".join(between[-1])}.
"""


def _q5(doc: Document) -> str:
    taus = doc["agreement"]["score_against_accuracy"]
    named = {f"{target} 0-4": f"table5_{target}" for target in doc["table5"]} | {"all 18 on fashion 0-4": "tables3_4_5"}
    lines = "\n".join(f"- {what}: {cell(taus[key]['tau_b'])}" for what, key in named.items() if key in taus)
    mnist = [cells["accuracy"]["ours"] for cells in doc["table5"]["mnist"].values()]
    return f"""## Q5: another architecture?

{table("table5", doc)}
Kendall tau between score and accuracy:

{lines}

The paper calls its own match clear; its printed numbers give the taus in parentheses. On MNIST our nine accuracies lie
within {100 * (max(mnist) - min(mnist)):.1f} points of each other, so their order is partly chance.
"""


def _q6(doc: Document) -> str:
    def best(kind: str, who: str) -> set[str]:
        return set(_order({name: cells[kind] for name, cells in doc["table6"].items()}, who)[:5])

    shared = {who: len(best("score", who) & best("accuracy", who)) for who in ("ours", "paper")}
    return f"""## Q6: another width?

{table("table6", doc)}
Of the five highest scores {shared["ours"]} belong to the five highest accuracies (from the paper's printed numbers
{shared["paper"]}; its text says all five). Kendall tau: {cell(doc["agreement"]["score_against_accuracy"]["table6"]["tau_b"])}.
"""


def _taus(doc: Document) -> str:
    return f"## Agreement\n\n{agreement_table(doc)}"


_SECTIONS: Sequence[tuple[set[str], Any]] = (
    ({"table1"}, _zoo),
    ({"table2"}, _q1),
    ({"table3"}, _q2),
    ({"table3", "table4", "table4_by_recipe"}, _q3),
    ({"figure2"}, _q4),
    ({"table5"}, _q5),
    ({"table6"}, _q6),
    ({"table3", "table4"}, _taus),
)


def _made_with(made: Mapping[str, Any]) -> str:
    facts = [f"- {key.replace('_', ' ')}: {value}" for key, value in made.items() if not isinstance(value, Mapping)]
    recipe = {key: value for key, value in made["recipe"].items() if value is not None and key != "seed"}
    facts.append("- recipe: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in recipe.items()))
    rows = [[part, f"{s:,.0f} s", f"{made['peak_memory_mib'][part]:,} MiB"] for part, s in made["wall_time_s"].items()]
    head = ["part", "wall time", "peak memory of the process so far"]
    return "\n".join(["## Made with", "", *facts, "", markdown(head, rows), ""])


def _contrast(cells: Document, layer: str, who: str) -> float:
    mnist = [cells[name][layer][who] for name in MODELS if name.startswith("M")]
    others = [cells[name][layer][who] for name in MODELS if not name.startswith("M")]
    return round(sum(mnist) / len(mnist) - sum(others) / len(others), 6) + 0.0  # no "-0.000"


def _order(cells: Document, who: str) -> list[str]:
    return sorted(cells, key=lambda name: -cells[name][who])


def _above(order: Sequence[str]) -> list[str]:
    return [name for name in order[: order.index("F5-9")] if not name.startswith("F")]


def _same(orders: Sequence[Sequence[str]], first: int) -> bool:
    return len({tuple(order[:first]) for order in orders}) == 1


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
