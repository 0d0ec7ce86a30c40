"""Sentences below a ranking: failures, doubts, and where scores disagree."""

from nrjax.results.outcome import Outcome

MOST_FAILURES = 20  # that are told one by one
MOST_LEFT_OUT = 5
WHY = " Fine-tuning follows both about as well, a head on frozen features follows probe more."


def failures(ranking: Outcome) -> list[str]:
    """Why models failed, a line for each."""
    lines = [f"{name} failed: {reason}" for name, reason in ranking.failed.items()]
    if len(lines) > MOST_FAILURES:
        lines[MOST_FAILURES:] = [
            f"{len(lines) - MOST_FAILURES:,} more failed; `failed`, JSON and CSV have all reasons."
        ]
    return lines


def remarks(ranking: Outcome) -> list[str]:
    """Why scores are missing or uncertain, and which scores put another model first."""
    undefined = ranking.settings.get("undefined", {})
    lines = [f"No model has {score}: {reason.rstrip('.')}." for score, reason in undefined.items()]
    without: dict[tuple[str, str], list[str]] = {}
    for model in ranking.models:
        if model.rank is not None:
            for name, reason in model.missing.items():
                without.setdefault((name, reason.rstrip(".")), []).append(model.name)
    for (score, reason), names in without.items():
        everyone = len(names) == len(ranking.order)
        some = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no"
        lines.append(f"{'No model has' if everyone else some} {score}: {reason}.")
    doubts: dict[tuple[str, str], list[str]] = {}
    for model in ranking.models:
        for name, reason in model.uncertain.items():
            doubts.setdefault((name, reason), []).append(model.name)
    lines += [f"{score} of {', '.join(names)} is not certain: {reason}." for (score, reason), names in doubts.items()]
    if "labels" in ranking.settings:
        lines.append(
            "Without labels: how well the features form clusters, which need not be your classes. See "
            "'Without labels' in docs/guides/confidence.md."
        )
    left_out = ranking.settings.get("left_out", {})
    lines += [f"{name} is left out: {reason}" for name, reason in list(left_out.items())[:MOST_LEFT_OUT]]
    if len(left_out) > MOST_LEFT_OUT:
        lines.append(f"{len(left_out) - MOST_LEFT_OUT:,} more are left out; `settings` have all reasons.")
    lines += ranking.settings.get("remarks", ())
    return lines + samples_to_tell(ranking) + _disagreement(ranking) + _agreement(ranking)


def samples_to_tell(ranking: Outcome) -> list[str]:
    """How many samples would tell the first two models apart."""
    if "samples_to_tell" not in ranking.settings or len(ranking.order) < 2:
        return []
    first, second = ranking.order[:2]
    samples = ranking.settings["samples_to_tell"]
    if samples is None:
        return [f"No number of samples would separate {first} and {second}: their scores are practically equal."]
    return [f"About {samples:,} samples in total would separate {first} and {second}, if their difference stays."]


def _disagreement(ranking: Outcome) -> list[str]:
    """Which scores put another model first, and what that is worth by the probe."""
    firsts, by = _first_by_score(ranking), ranking.settings["by"]
    firsts.pop("stability", None)  # how sure clusters are, which is no order of models
    others = {name: first for name, first in firsts.items() if first != ranking.best}
    if not others:
        return []
    probe = ranking.column("probe") if "probe" in firsts else {}
    lines = []
    rival = others["probe"] if "probe" in others else next(iter(others.values())) if by == "probe" else None
    if rival is not None and ranking.best in probe and rival in probe:
        name = "probe" if "probe" in others else next(iter(others))
        more, less = sorted((ranking.best, rival), key=lambda model: -probe[model])
        line = f"Two first choices: {ranking.best} by {by}, {rival} by {name}. A linear probe "
        if "task" in ranking.settings:
            what = {"regression": "an R²", "multilabel": "a mean average precision"}[ranking.settings["task"]]
            line += f"has {what} of {probe[more]:.3f} with {more} and of {probe[less]:.3f} with {less}."
        else:
            line += (
                f"is right on {100 * probe[more]:.1f} % of the samples with {more} and on {100 * probe[less]:.1f} % "
                f"with {less}: {100 * (probe[more] - probe[less]):.1f} points of accuracy."
            )
            line += WHY if {by, name} == {"silhouette", "probe"} else ""
        lines.append(line)
        del others[name]
    if others:
        lines.append(f"{'Also' if lines else 'The scores disagree'}: "
                     f"{', '.join(f'{name} puts {first} first' for name, first in others.items())}.")  # fmt: skip
    return [*lines[:-1], f"{lines[-1]} See 'Which score when' in docs/guides/confidence.md."]


def _agreement(ranking: Outcome) -> list[str]:
    """Whether the first choice of several can be believed, and which model can be more."""
    if ranking.p_near_best is None or len(ranking.order) < 2:
        return []
    surest = max(ranking.models, key=lambda model: model.p_near_best or 0)
    line = (
        f"A head retrained on {ranking.best} is within one point of accuracy of the best candidate's with probability "
        f"{ranking.p_near_best:.2f}"
    )  # fmt: skip
    more = (surest.p_near_best or 0) - ranking.p_near_best
    return [f"{line}, one on {surest.name} with {surest.p_near_best:.2f}." if more > 0.05 else f"{line}."]


def _first_by_score(ranking: Outcome) -> dict[str, str]:
    """The model that each of the scores puts first."""
    first = {}
    for name in ranking.settings["scores"]:
        column = ranking.column(name)
        if column:
            pick = max if ranking.about[name].higher_is_better else min
            first[name] = pick(column, key=column.__getitem__)
    return first
