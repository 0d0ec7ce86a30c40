"""The README of the results, from what was measured."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.trust.candidates import PARTS_OF_NETWORKS

Row = Sequence[Any]


def readme(doc: Mapping[str, Any]) -> str:
    """Everything that has been measured, in words and tables."""
    parts = ["# Which scores to trust", ""]
    parts += _scores(doc["scores"], doc["made_with"]["scores"]) if "scores" in doc else []
    parts += _calibration(doc["calibration"], doc["made_with"]["calibration"]) if "calibration" in doc else []
    parts += _timing(doc["timing"], doc["made_with"]["timing"]) if "timing" in doc else []
    return "\n".join(parts).rstrip() + "\n"


def _scores(scores: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    means, judged = scores["means"], scores["judged"]
    order = sorted(means, key=lambda name: -means[name]["weighted_tau"])
    columns = ("weighted_tau", "weighted_tau_accuracy_first", "tau_b", "regret")
    overall = [[name, *(f"{means[name][m]:.2f}" for m in columns)] for name in order]
    targets = list(judged)
    head = ["", "weighted tau (scipy's default)", "weighted tau (`rank=None`, accuracy first)", "Kendall tau-b",
            "regret (points)"]  # fmt: skip

    def by_target(measure: str, digits: int) -> list[Row]:
        return [
            [name, *(f"{judged[t][name][measure]:.{digits}f}" if name in judged[t] else "" for t in targets)]
            for name in order
        ]

    models = len(scores["facts"])
    whole = sum(not name.startswith(PARTS_OF_NETWORKS) for name in scores["facts"])
    with_parts = scores["with_parts"]["means"]
    order_with_parts = sorted(with_parts, key=lambda name: -with_parts[name]["weighted_tau"])
    return [
        f"{whole} candidates (the paper's networks, pixels, a network at its first step), {len(targets)} targets of",
        f"{made['samples']:,} labelled images. Truth: the accuracy on the target's other images of a logits layer",
        "retrained on the labelled ones with cross-entropy, the rest frozen; a quarter of them chooses how strongly",
        "it is penalised. All images are of the test splits: no network has seen them. `ceiling` compares two such",
        "truths, from disjoint halves of the images that judge: what noise leaves to be reached. Regret: points of",
        "accuracy the first choice loses to the best candidate.",
        "`leep` and `nce` read predictions: their rows are about the trained networks.", "", _made(made), "",
        "## Mean over the targets", "",
        _table(head, overall), "",
        "![tau by score](tau_by_score.png)", "", "## Weighted tau by target", "",
        _table(["", *targets], by_target("weighted_tau", 2)), "",
        "## Regret by target", "", _table(["", *targets], by_target("regret", 1)), "",
        "C of the head, as in scikit-learn's `LogisticRegression`, and for how many candidates it was chosen:", "",
        _penalties(scores["models"]), "",
        f"Places of raw pixels and of the untrained network among the {whole}, by accuracy and by score:", "",
        _places_of(("pixels", "untrained"), scores["places"], order), "",
        "![silhouette](silhouette_against_accuracy.png)", "", "![probe](probe_against_accuracy.png)", "",
        "## Fewer samples", "", _curves(scores["curves"]["by_samples"]), "", "![samples](tau_by_samples.png)", "",
        "## Components of the silhouette", "", _curves(scores["curves"]["by_components"]), "",
        "![components](tau_by_components.png)", "",
        "## Candidates of very different widths", "",
        f"The same with parts of networks beside them, {models} candidates: `narrow`, 64 of the 1,024 outputs of the",
        "full networks, and `conv`, the 3,136 outputs below the dense layer of three, which mean nothing to `h_score`.",
        "",
        _table(head, [[name, *(f"{with_parts[name][m]:.2f}" for m in columns)] for name in order_with_parts]), "",
        f"Mean place among the {models}, by accuracy and by each score that all of them have: a score that puts a kind",
        "above its place by accuracy overrates it.", "", _places(scores["with_parts"]["places"], order), "",
    ]  # fmt: skip


def _penalties(models: Mapping[str, Mapping[str, Any]]) -> str:
    chosen = {target: Counter(one["C"] for one in of_target.values()) for target, of_target in models.items()}
    grid = sorted({C for counts in chosen.values() for C in counts})
    return _table(["C", *chosen], [[f"{C:g}", *(counts[C] for counts in chosen.values())] for C in grid])


def _places_of(kinds: Sequence[str], places: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> str:
    every = set.intersection(*(set(of_target) for of_target in places.values()))
    rows = [
        [f"{kind} by {of}", *(f"{of_target[of][kind]:.0f}" for of_target in places.values())]
        for kind in kinds
        for of in ("accuracy", *order)
        if of in every
    ]
    return _table(["", *places], rows)


def _places(places: Mapping[str, Mapping[str, float]], order: Sequence[str]) -> str:
    kinds = list(places["accuracy"])
    rows = [[of, *(f"{places[of][kind]:.0f}" for kind in kinds)] for of in ("accuracy", *order) if of in places]
    return _table(["mean place by", *kinds], rows)


def _curves(curves: Mapping[str, Mapping[str, float]]) -> str:
    steps = list(dict.fromkeys(step for curve in curves.values() for step in curve))
    steps.sort(key=lambda step: float("inf") if step == "none" else float(step))
    rows = [[name, *(f"{curve[s]:.2f}" if s in curve else "" for s in steps)] for name, curve in curves.items()]
    return _table(["mean weighted tau", *steps], rows)


def _calibration(rows: Sequence[Mapping[str, Any]], made: Mapping[str, Any]) -> list[str]:
    bins = sorted({b for row in rows for b in row["p_first"]})
    table = []
    for row in rows:
        said = [
            f"{row['p_first'][b]['came_true']:.2f} ({row['p_first'][b]['said']:.2f}, {row['p_first'][b]['statements']})"
            if b in row["p_first"] else "" for b in bins
        ]  # fmt: skip
        apart = row["models_told_apart_in_the_right_order"]
        table.append([
            row["target"], row["score"], f"{row['samples']:,}", f"{100 * row['intervals_hold']:.0f} %",
            "" if apart is None else f"{100 * apart:.0f} %", *said,
        ])  # fmt: skip
    held = [row["intervals_hold"] for row in rows]
    return [
        "## Do 90 % statements hold?", "",
        f"{made['draws']} small targets of each size were drawn from the 10,000 test images, and nine models ranked on",
        "each with `confidence=True`. `interval`: how often it held the truth, which for the silhouette is the score",
        "of all 10,000 and for the probe, which learns from what it is given, its mean over the draws. `told apart`:",
        "how often a model put into a lower group than the first of the group above was in truth below it. `P(best)`:",
        "how often the model was in truth the best, and beside it what was said on average and how many statements",
        "there were.", "",
        f"Intervals held in {100 * min(held):.0f} to {100 * max(held):.0f} % of the cases, "
        f"{100 * sum(held) / len(held):.0f} % on average.", "", _made(made), "",
        _table(["target", "score", "samples", "interval", "told apart", *(f"P(best) {b}" for b in bins)], table), "",
    ]  # fmt: skip


def _timing(timing: Mapping[str, Mapping[str, Any]], made: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, one in timing.items():
        if "times_the_score" in one:
            rows.append(
                [name, f"{one['seconds']:.3f}", "", f"{one['times_the_score']} times the score alone", "", "", ""]
            )
            continue
        value = [f"{one['value']:.5f}", f"{one['reference']:.5f}"] if "value" in one else ["", ""]
        rows.append([
            name, f"{one['seconds']:.3f}", f"{one['reference_s']:.2f}", f"{one['ratio']:g}", *value,
            f"{one['compile_s']:.1f}",
        ])  # fmt: skip
    return [
        "## How long it takes", "",
        "Seconds a model at 10,000 x 1,024, from NumPy arrays to the ranking, nine models in one call (median of three",
        "calls), beside the definition in NumPy, SciPy and scikit-learn (float64, one model) in the same process.", "",
        _made(made), "",
        _table(["score", "ours (s)", "reference (s)", "times", "our value", "the reference's", "compiling (s)"], rows),
        "",
    ]  # fmt: skip


def _made(made: Mapping[str, Any]) -> str:
    return f"Made by `{made['command']}` at commit {made['commit']} in {made['seconds']:,} s on {made['device']}."


def _table(head: Row, rows: Sequence[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
