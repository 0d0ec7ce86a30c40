"""The results as Markdown tables: ours, and the paper's in parentheses."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.paper.published import LAYERS, MODELS
from benchmarks.paper.zoos import specs

Document = Mapping[str, Any]
TAUS = ("tau_b", "weighted_tau", "weighted_tau_accuracy_first")
TITLES = {
    "table1": "Table 1: the zoo, and each model's accuracy on the test images of its own classes",
    "table2": "Table 2: scores at L0 to L5 on MNIST 0-4, ours and (the paper's)",
    "table3": "Table 3: scores at L5 on Fashion 0-4",
    "table4": "Table 4: accuracy on Fashion 0-4 after retraining the logits layer",
    "table4_by_recipe": "Table 4 again, the logits layer trained as the models were: same optimiser, as many steps",
    "table5": "Table 5: `lite` models, score at their last dense layer and accuracy after transfer",
    "table6": "Table 6: the five best and their versions of 512 neurons on Fashion 0-4",
}


def table(name: str, doc: Document) -> str:
    """One of the paper's tables."""
    return f"**{TITLES[name]}**\n\n{_BODIES[name](doc[name])}\n"


_TABLE_3 = {
    "table3_against_paper": "our scores and the paper's, table3",
    "table3_mean_against_paper": "mean of our seeds and the paper's, table3",
    "table3_between_seeds": "two of our seeds, table3",
}


def agreement_table(doc: Document) -> str:
    """Every rank correlation."""
    against = doc["agreement"]
    rows = [
        (f"score and accuracy, {name.replace('_', ' ')}", measures)
        for name, measures in against.get("score_against_accuracy", {}).items()
    ]
    rows += [(what, against[name]) for name, what in _TABLE_3.items() if name in against]
    for layer, measures in against.get("table2_against_paper", {}).items():
        if layer != "L0":  # one value nine times has no order
            rows.append((f"our scores and the paper's, table2 {layer}", measures))
    head = ["", "Kendall tau-b", "weighted tau, scipy's default", "weighted tau, `rank=None`, accuracy first"]
    body = markdown(head, [[name, *(cell(measures[tau]) for tau in TAUS)] for name, measures in rows])
    return f"**Agreement, ours and (the paper's printed numbers)**\n\n{body}\n"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(values: Document) -> str:
    """Ours, its deviation over seeds if there are several, and the paper's."""
    return _ours(values) + (f" ({values['paper']:.3f})" if "paper" in values else "")


def _ours(values: Document) -> str:
    return f"{values['ours']:.3f}" + (f" ± {values['std']:.3f}" if "std" in values else "")


def _table_1(cells: Document) -> str:
    rows = [[s.name, s.dataset, s.classes, cell(cells[s.name])] for s in specs("full")]
    return markdown(["model", "training data", "classes", "accuracy"], rows)


def _table_2(cells: Document) -> str:
    return markdown(["", *LAYERS], [[name, *(cell(cells[name][layer]) for layer in LAYERS)] for name in MODELS])


def _one_row(cells: Document) -> str:
    ours, paper = [_ours(c) for c in cells.values()], [f"{c['paper']:.3f}" for c in cells.values()]
    return markdown(["", *cells], [["ours", *ours], ["paper", *paper]])


def _table_5(cells: Document) -> str:
    rows = [
        [f"{target} {kind}", *(cell(cells[target][name][kind]) for name in MODELS)]
        for target in cells
        for kind in ("score", "accuracy")
    ]
    return markdown(["", *MODELS], rows)


def _table_6(cells: Document) -> str:
    rows = [[kind, *(cell(cells[name][kind]) for name in cells)] for kind in ("score", "accuracy")]
    return markdown(["", *cells], rows)


_BODIES = {
    "table1": _table_1,
    "table2": _table_2,
    "table3": _one_row,
    "table4": _one_row,
    "table4_by_recipe": _one_row,
    "table5": _table_5,
    "table6": _table_6,
}
