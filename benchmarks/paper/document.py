"""From measurements of every seed to one JSON document: our value, the paper's beside it, agreement."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.paper import published
from benchmarks.paper.agreement import agreement, mean_absolute_difference

DIGITS = 4
Measured = Mapping[str, Any]  # of one seed: table name to its values


def document(seeds: Sequence[Measured], made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Everything measured, in the layout of `tables.json`; tables that were not asked for are absent."""
    paper = {
        "table2": published.TABLE_2, "table3": published.TABLE_3, "table4": published.TABLE_4,
        "table4_by_recipe": published.TABLE_4,
        "table5": published.TABLE_5, "table6": published.TABLE_6,
    }  # fmt: skip
    out: dict[str, Any] = {}
    for name in sorted(seeds[0]):
        cells = beside([seed[name] for seed in seeds], paper.get(name))
        if name == "table5":
            cells = {target: _by_model(columns) for target, columns in cells.items()}
        out[name] = _by_model(cells) if name == "table6" else cells
    out["agreement"] = beside([agreements(seed) for seed in seeds], agreements(paper))
    if "table3" in seeds[0] and len(seeds) > 1:
        out["agreement"] |= over_seeds([seed["table3"] for seed in seeds])
    out["made_with"] = dict(made_with)
    return out


def beside(ours: Sequence[Any], paper: Any = None) -> Any:
    """Nested values of all seeds as one nested mapping that ends in `{"ours": mean, "paper": value}`.

    With more than one seed the cell also holds `std` (of the sample) and `seeds`, the values themselves.
    """
    if isinstance(ours[0], Mapping):
        known = paper if isinstance(paper, Mapping) else {}
        return {str(key): beside([o[key] for o in ours], known.get(key)) for key in ours[0]}
    cell = {"ours": round(statistics.fmean(ours), DIGITS)}
    if len(ours) > 1:
        cell |= {"std": round(statistics.stdev(ours), DIGITS), "seeds": [round(o, DIGITS) for o in ours]}
    return cell if paper is None else cell | {"paper": paper}


def agreements(tables: Measured) -> dict[str, Any]:
    """Score against accuracy within every table, and scores against the paper's, for whatever tables there are."""
    pairs: dict[str, tuple[Mapping[str, float], Mapping[str, float]]] = {}
    if {"table3", "table4"} <= tables.keys():
        pairs["table3_table4"] = tables["table3"], tables["table4"]
        if "table4_by_recipe" in tables:
            pairs["table3_table4_by_recipe"] = tables["table3"], tables["table4_by_recipe"]
    if "table5" in tables:
        for target, columns in tables["table5"].items():
            pairs[f"table5_{target}"] = columns["score"], columns["accuracy"]
    if "table6" in tables:
        pairs["table6"] = tables["table6"]["score"], tables["table6"]["accuracy"]
    if "table3_table4" in pairs and "table5_fashion" in pairs:  # "all 18 models" of §4.5
        score, accuracy = ({f"{name}-lite": v for name, v in column.items()} for column in pairs["table5_fashion"])
        pairs["tables3_4_5"] = {**tables["table3"], **score}, {**tables["table4"], **accuracy}
    out: dict[str, Any] = {}
    if pairs:
        out["score_against_accuracy"] = {name: agreement(*columns) for name, columns in pairs.items()}
    if "table2" in tables and tables["table2"] is not published.TABLE_2:
        out["table2_against_paper"] = {
            layer: {"mean_absolute_difference": mean_absolute_difference(*_columns(tables["table2"], layer))}
            | ({} if layer == "L0" else agreement(*_columns(tables["table2"], layer)))  # L0 is one value nine times
            for layer in published.LAYERS
        }
    if "table3" in tables and tables["table3"] is not published.TABLE_3:
        out["table3_against_paper"] = {
            "mean_absolute_difference": mean_absolute_difference(tables["table3"], published.TABLE_3)
        } | agreement(tables["table3"], published.TABLE_3)
    return out


def over_seeds(table3: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """How far the mean over the seeds agrees with the paper, and two seeds with each other (mean of all pairs)."""
    mean = {name: statistics.fmean(column[name] for column in table3) for name in table3[0]}
    pairs = [agreement(one, other) for one, other in itertools.combinations(table3, 2)]
    return {
        "table3_mean_against_paper": beside([agreement(mean, published.TABLE_3)]),
        "table3_between_seeds": beside([{tau: statistics.fmean(pair[tau] for pair in pairs) for tau in pairs[0]}]),
    }


def _columns(table2: Measured, layer: str) -> tuple[dict[str, float], dict[str, float]]:
    ours = {model: table2[model][layer] for model in published.MODELS}
    return ours, {model: published.TABLE_2[model][layer] for model in published.MODELS}


def _by_model(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`{"score": {model: cell}, "accuracy": ...}` as `{model: {"score": cell, "accuracy": cell}}`."""
    return {model: {kind: column[model] for kind, column in columns.items()} for model in columns["score"]}
