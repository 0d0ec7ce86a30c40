"""What a store tells of its runs: a list, rankings, two runs beside each other, a page."""

import time
from collections.abc import Sequence
from typing import Any

from nrjax.reports import sortable_table
from nrjax.results import Ranking
from nrjax.sweeps._race import Standing

Run = dict[str, Any]


def listed(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row a run."""
    rows = []
    for run in runs:
        outcome = run["outcome"]
        models = outcome["ranking"]["models"] if outcome and outcome["ranking"] else []
        failed = outcome.get("failed", ()) if outcome else ()  # of a run in which all did
        rows.append({
            "run": run["id"], "started": _date(run["started"]),
            "took": f"{run['finished'] - run['started']:.0f} s" if run["finished"] else "did not end",
            "data": run["data"], "samples": run["settings"].get("samples"),
            "candidates": len(models) + len(outcome["dropped"]) + len(failed) if outcome else None,
            "first": models[0]["name"] if models else "",
            "by": outcome["ranking"]["settings"]["by"] if models else "",
        })  # fmt: skip
    return rows


def ranking_of_run(runs: Sequence[Run], number: int) -> Ranking:
    """The ranking that a run ended with. Raises ValueError where there is none."""
    run = _run(runs, number)
    return Ranking.from_dict(run["outcome"]["ranking"])


def dropped_of_run(runs: Sequence[Run], number: int) -> dict[str, Standing]:
    """Those that a race stopped."""
    return {name: Standing(**fields) for name, fields in _run(runs, number)["outcome"]["dropped"].items()}


def beside(runs: Sequence[Run], number: int, other: int) -> tuple[list[dict[str, Any]], str]:
    """Rows of the candidates that two runs have in common, and how far the runs agree."""
    first, second = ranking_of_run(runs, number), ranking_of_run(runs, other)
    scores, others = first.scores, second.scores
    common = [name for name in scores if name in others]
    places = {m.name: m.rank for m in second.models}
    rows = [
        {"candidate": m.name, f"rank in {number}": m.rank, f"rank in {other}": places[m.name],
         f"{first.settings['by']} in {number}": f"{scores[m.name]:.4f}",
         f"{second.settings['by']} in {other}": f"{others[m.name]:.4f}"}
        for m in first.models if m.name in others and m.name in scores
    ]  # fmt: skip
    if len(common) < 2:
        return rows, f"Runs {number} and {other} have {len(common)} ranked candidates in common."
    signs = [1 if ranking.about[ranking.settings["by"]].higher_is_better else -1 for ranking in (first, second)]
    from scipy import stats  # takes half a second to import

    tau, _ = stats.kendalltau(
        [signs[0] * scores[name] for name in common], [signs[1] * others[name] for name in common]
    )
    return rows, f"{len(common)} candidates in common; Kendall's tau of the two orders: {tau:.2f} (1 is the same)."


def page_of(runs: Sequence[Run], number: int) -> str:
    """A page of a run."""
    run = _run(runs, number)
    title = f"Run {number}: {run['data']}" if run["data"] else f"Run {number}"
    return sortable_table(ranking_of_run(runs, number), run["outcome"]["dropped"], title, run["command"])


def _run(runs: Sequence[Run], number: int) -> Run:
    for run in runs:
        if run["id"] == number:
            break
    else:
        known = ", ".join(str(run["id"]) for run in runs) or "none"
        raise ValueError(f"there is no run {number}; there are {known}.")
    if run["outcome"] is None:
        raise ValueError(f"run {number} did not end, so it has no ranking; run the same sweep again to continue it.")
    if run["outcome"]["ranking"] is None:
        raise ValueError(f"run {number} ended without a ranking. {run['outcome']['reason']}")
    return run


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
