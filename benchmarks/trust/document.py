"""The README of the results, from what was measured."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.trust.scores import DRAWS

Row = Sequence[Any]
COLUMNS = ("weighted_tau", "weighted_tau_accuracy_first", "tau_b", "regret")
HEAD = ("", "weighted tau (scipy's default)", "weighted tau (`rank=None`, accuracy first)", "Kendall tau-b",
        "regret (points)")  # fmt: skip


def readme(doc: Mapping[str, Any]) -> str:
    """Everything that has been measured, in words and tables."""
    parts = ["# Which scores to trust", ""]
    parts += _scores(doc["scores"], doc["made_with"]["scores"], doc.get("beside")) if "scores" in doc else []
    parts += _agreement(doc["agreement"], doc["made_with"]["agreement"]) if "agreement" in doc else []
    parts += _calibration(doc["calibration"], doc["made_with"]["calibration"]) if "calibration" in doc else []
    parts += _timing(doc["timing"], doc["made_with"]["timing"]) if "timing" in doc else []
    parts += _unlabelled(doc["unlabelled"], doc["made_with"]["unlabelled"]) if "unlabelled" in doc else []
    return "\n".join(parts).rstrip() + "\n"


def _scores(scores: Mapping[str, Any], made: Mapping[str, Any], beside: Mapping[str, Any] | None) -> list[str]:
    wider, paper = scores["wider"], scores["paper"]
    order, targets = _order(wider["means"]), list(wider["judged"])
    counts = ", ".join(f"{len(scores['models'][target])} for {target}" for target in targets)
    return [
        f"Targets have at most {made['samples']:,} labelled samples. Truth: the accuracy on the target's other samples",
        "of a logits layer retrained on the labelled ones with cross-entropy, the rest frozen; a quarter of them",
        "chooses how strongly it is penalised. No candidate has seen any of them. `ceiling` compares two such truths,",
        "from disjoint halves of the samples that judge: what noise leaves to be reached. Regret: points of accuracy",
        "the first choice loses to the best candidate. `leep` and `nce` read predictions: their rows are about our own",
        "trained networks; those of `h_score` about the candidates with fewer dims than samples.", "", _made(made), "",
        "## Candidates of every kind", "",
        "MNIST, Fashion-MNIST, CIFAR-10 (M10, F10, C10), kana, emoji, digits and news (K, E, D, N); candidates:",
        f"{counts}.",
        "The paper's networks, `narrow` and `conv` parts of them, `early` ones after 60 steps, untrained ones, pixels,",
        "three EfficientNet-Lite of ImageNet; of news the layers of a sentence encoder, trained and not, and words.",
        "`benchmarks/trust/pools.py` says what each is. No score was tuned on K, E, D or N.", "",
        _table(HEAD, _overall(wider["means"])), "", "![tau by score](tau_by_score.png)", "",
        "### Weighted tau by target", "", _by_target(wider["judged"], order, "weighted_tau", 2), "",
        "### Regret by target", "", _by_target(wider["judged"], order, "regret", 1), "",
        "### Places", "",
        "Mean place of raw pixels, of untrained and half-trained networks and of those of ImageNet, by accuracy and by",
        "each score that all candidates of every target have: a score that puts a kind above its place by accuracy",
        "overrates it.", "",
        _places_of(("pixels", "untrained", "early", "imagenet"), wider["places_by_target"], order), "",
        "![silhouette](silhouette_against_accuracy.png)", "", "![probe](probe_against_accuracy.png)", "",
        "### Fewer samples", "",
        f"Targets cut from these ({_draws()}), by the accuracy of heads that are trained on as many.", "",
        _curves(scores["curves"]["by_samples"]), "", "![samples](tau_by_samples.png)", "",
        "### Components of the silhouette", "", _curves(scores["curves"]["by_components"]), "",
        "![components](tau_by_components.png)", "",
        "## The paper's candidates", "",
        f"{len(scores['facts'])} candidates (the paper's networks, pixels, a network at its first step) on its",
        f"{len(paper['judged'])} targets.", "",
        _overall_beside(paper["means"], beside), "",
        "Weighted tau by target:", "", _by_target(paper["judged"], _order(paper["means"]), "weighted_tau", 2), "",
        "Mean place by accuracy and by each score that all of them have:", "",
        _places(paper["places"], _order(paper["means"])), "",
        "C of the head, as in scikit-learn's `LogisticRegression`, and for how many candidates it was chosen:", "",
        _penalties(scores["models"]), "",
    ]  # fmt: skip


def _draws() -> str:
    return ", ".join(f"{draws} of {samples:,} samples" for samples, draws in DRAWS.items())


def _order(means: Mapping[str, Mapping[str, float]]) -> list[str]:
    return sorted(means, key=lambda name: -means[name]["weighted_tau"])


def _overall(means: Mapping[str, Mapping[str, float]]) -> list[Row]:
    return [[name, *(f"{means[name][m]:.2f}" for m in COLUMNS)] for name in _order(means)]


def _overall_beside(means: Mapping[str, Mapping[str, float]], beside: Mapping[str, Any] | None) -> str:
    if beside is None:
        return _table(HEAD, _overall(means))
    old, commit = beside["means"], beside["commit"]
    head = ["", *(f"{of}{when}" for of in ("weighted tau", "tau-b", "regret") for when in ("", f", at {commit}"))]
    return _table(head, [
        [name, *(f"{of[name][m]:.3f}" if name in of else ""
                 for m in ("weighted_tau", "tau_b", "regret") for of in (means, old))]
        for name in _order(means)
    ])  # fmt: skip


def _by_target(judged: Mapping[str, Any], order: Sequence[str], measure: str, digits: int) -> str:
    rows = [[name, *(f"{of[name][measure]:.{digits}f}" if name in of else "" for of in judged.values())]
            for name in order]  # fmt: skip
    return _table(["", *judged], rows)


def _penalties(models: Mapping[str, Mapping[str, Any]]) -> str:
    chosen = {target: Counter(one["C"] for one in of_target.values()) for target, of_target in models.items()}
    grid = sorted({C for counts in chosen.values() for C in counts})
    return _table(["C", *chosen], [[f"{C:g}", *(counts[C] for counts in chosen.values())] for C in grid])


def _places_of(kinds: Sequence[str], places: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> str:
    every = set.intersection(*(set(of_target) for of_target in places.values()))
    rows = [
        [f"{kind} by {of}", *(f"{at[of][kind]:.0f}" if kind in at[of] else "" for at in places.values())]
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


def _agreement(found: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    judged, stacked = found["judged"], found["stacked"]
    bins = list(dict.fromkeys(b for table in judged["tables"].values() for b in table))
    bins.sort(key=lambda b: float(b.split()[0]))
    cells = [
        [of, *(f"{table[b]['held']:.2f} ({table[b]['said']:.2f}, {table[b]['statements']:,})" if b in table else ""
               for b in bins)] for of, table in judged["tables"].items()
    ]  # fmt: skip
    slope, scale = judged["on everything"]
    order = _order(stacked)
    datas = list(dict.fromkeys(data for one in stacked.values() for data in one["by_data"]))
    return [
        "## Can the first choice be believed?", "",
        "`P(within 1 point)`: that a head retrained on the first choice comes within one point of accuracy of the best",
        "candidate's. First choices, by the silhouette and by the probe, of sets of 2 to 8 candidates drawn from those",
        "above and from the smaller targets; each judged by constants that were fitted to other data sets and to the",
        "other half of the candidates. How often it held, and in brackets what was said on average, and how many.", "",
        f"Fitted to everything, which is what `nrjax.scoring.near_best` has: slope {slope:g}, scale {scale:g}; to",
        f"parts, slope {_range(one[0] for one in judged['constants'].values())}, scale "
        f"{_range(one[1] for one in judged['constants'].values())}.", "", _made(made), "",
        _table(["first choice by", *(f"said {b}" for b in bins)], cells), "",
        "## Do several scores together order better?", "",
        "The same targets, all sizes alike, by the accuracy of heads trained on as many samples. `stacked`: ridge",
        "regression on the scores, fitted to the other data sets. `average of ranks`: nothing fitted.", "",
        _table(["", *HEAD[1:], *(f"weighted tau on {data}" for data in datas)],
               [[name, *(f"{stacked[name][m]:.2f}" for m in COLUMNS),
                 *(f"{stacked[name]['by_data'][data]:.2f}" for data in datas)] for name in order]), "",
    ]  # fmt: skip


def _range(values: Iterable[float]) -> str:
    some = list(values)
    return f"{min(some):.2f} to {max(some):.2f}"


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
        "how often a model put into a lower group than the first of the group above was in truth below it. `P(first)`:",
        "how often the model was in truth the best, and beside it what was said on average and how many statements",
        "there were.", "",
        f"Intervals held in {100 * min(held):.0f} to {100 * max(held):.0f} % of the cases, "
        f"{100 * sum(held) / len(held):.0f} % on average.", "", _made(made), "",
        _table(["target", "score", "samples", "interval", "told apart", *(f"P(first) {b}" for b in bins)], table), "",
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


def _unlabelled(found: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    order = _order(found["means"])
    return [
        "## Without labels", "",
        "The paper's candidates on its nine targets, as above; `clusters` and `stability` see the labelled samples",
        "without their labels, `silhouette` and `probe` with them.", "", _made(made), "",
        _table(HEAD, _overall(found["means"])), "",
        "Weighted tau by target:", "", _by_target(found["judged"], order, "weighted_tau", 2), "",
        "Regret by target:", "", _by_target(found["judged"], order, "regret", 1), "",
    ]  # fmt: skip


def _made(made: Mapping[str, Any]) -> str:
    took = "in several goes" if made.get("resumed") else f"in {made['seconds']:,} s"
    return f"Made by `{made['command']}` at commit {made['commit']} {took} on {made['device']}."


def _table(head: Row, rows: Sequence[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
