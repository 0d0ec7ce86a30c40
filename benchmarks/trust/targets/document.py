"""The page that readers see."""

from collections.abc import Mapping
from typing import Any

from benchmarks.trust.judge import MEASURES

TRUTHS = {
    "regression": "R² of a linear regression", "multilabel": "mean average precision of a logistic regression a label",
    "classification": "mean over the classes of the accuracy of a logistic regression",
}  # fmt: skip
KINDS = {"regression": "numbers", "multilabel": "several labels"}
HEAD = ("", "weighted tau", "weighted tau (accuracy first)", "Kendall tau-b", "regret (points)")


def readme(doc: Mapping[str, Any]) -> str:
    """Markdown of everything that was measured."""
    parts = {name: part for name, part in doc.items() if name != "made_with"}
    targets = {target: found for part in parts.values() for target, found in part.items()}
    part_of = {target: name for name, part in parts.items() for target in part}
    text = ["# Which scores to trust: numbers, several labels, groups, words", ""]
    text += [
        "Truth: what a head that is retrained on the labelled samples is worth on others, the rest of the network",
        "being frozen; a quarter of the labelled samples chooses its penalty. Heads of numbers keep features within",
        "the range of the labelled samples and as much beyond, as `nrjax.Head` does. The first measurement had heads",
        "without it: a few judges far outside decided the truth, R² fell to -9, and the weighted tau of `probe` was",
        "0.52, 0.45 and 0.55 on row, size and angle (commit 0f10769). Heads are linear, as the probe is, and",
        "are judged by samples that share no glyph, writer or sentence with the labelled ones. `ceiling` compares two",
        "such truths of disjoint halves of the judges. Regret: points that the first choice loses to the best one.",
        "",
        "## Weighted tau of every target", "", *_by_target(targets, "weighted_tau", 2), "",
        "## Regret of every target", "", *_by_target(targets, "regret", 1), "",
        f"The worst: {_worst(targets)}.", "",
    ]  # fmt: skip
    for name, found in targets.items():
        made = doc["made_with"][part_of[name]]
        kind = KINDS.get(found["task"], "classes")
        groups = f" in {found['groups']} groups" if found["groups"] else ""
        best = max(found["models"], key=lambda model: found["models"][model]["accuracy"])
        lowest = min(one["accuracy"] for one in found["models"].values())
        text += [
            f"## {name}", "",
            f"{kind.capitalize()}; {len(found['models'])} candidates, {found['labelled']:,} labelled samples{groups}, "
            f"{found['judges']:,} that judge. Truth: {TRUTHS[found['task']]}, from {lowest:.3f} to "
            f"{found['models'][best]['accuracy']:.3f} ({best}).", "",
            *_table(HEAD, [[score, *(f"{of[m]:.2f}" for m in (MEASURES[1], MEASURES[2], MEASURES[0], MEASURES[3]))]
                           for score, of in found["judged"].items()]), "",
            f"Made by `{made['command']}` at commit {made['commit']} in {made['seconds']:,} s on {made['device']}.", "",
        ]  # fmt: skip
    return "\n".join(text).rstrip() + "\n"


def _by_target(targets: Mapping[str, Any], measure: str, digits: int) -> list[str]:
    scores = list(dict.fromkeys(score for found in targets.values() for score in found["judged"]))
    rows = [
        [score, *(f"{found['judged'][score][measure]:.{digits}f}" if score in found["judged"] else ""
                  for found in targets.values())] for score in scores
    ]  # fmt: skip
    return _table(("", *targets), rows)


def _worst(targets: Mapping[str, Any]) -> str:
    """The row of a score with groups, where there are any, that loses most."""
    rows = [
        (of["regret"], of["weighted_tau"], score, name) for name, found in targets.items()
        for score, of in found["judged"].items()
        if score not in ("ceiling", "random order") and not score.endswith("no groups")
    ]  # fmt: skip
    regret, tau, score, name = max(rows)
    return f"`{score}` on {name} loses {regret:.1f} points (weighted tau {tau:.2f})"


def _table(columns: tuple[str, ...], rows: list[list[Any]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]
