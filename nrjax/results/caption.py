"""The line below a ranking: what was scored, how, and which direction is better."""

from collections.abc import Mapping
from typing import Any

from nrjax.results.outcome import TIE, Outcome

UNEVEN = 1.5  # times its even share: from there on the largest class is said


def caption(ranking: Outcome) -> str:
    """One line: score, components, layer, samples."""
    made = ranking.settings
    parts = [score_label(ranking)]
    if made["by"] == "silhouette":
        parts = [f"{made['distance']} silhouette ({made['definition']}) of {made['n_components']} principal components"]
        parts += [f"to within {made['tolerance']:g}"] if made.get("tolerance", TIE) != TIE else []
    parts += [f"layer {made['layer']}"] if "layer" in made else []
    parts += [samples_of(made)]
    statements = ranking.statements
    sure = (
        f" Intervals hold with probability {made['confidence']:g}; they and {statements['p_first']} are about "
        "the score, not about accuracy after training." if "interval" in statements else ""
    )  # fmt: skip
    if "p_near_best" in statements:
        sure += " P(within 1 point): that a head retrained on the model is that close to the best one's accuracy."
    return f"Score: {', '.join(parts)}; {direction(ranking)}.{sure}"


def samples_of(made: Mapping[str, object]) -> str:
    """How many samples of what, by the settings of a ranking."""
    return f"{made['samples']:,} samples {_classes(made)}"


def _classes(made: Mapping[str, Any]) -> str:
    """What the samples are of, how many groups, and where an uneven share of classes makes chance high."""
    if "labels" in made:
        return f"in {made['classes']:,} clusters" if made["classes"] else "in as many clusters as are most apart"
    of = f"in {made['classes']:,} classes" if made["classes"] is not None else _outputs(made["task"], made["outputs"])
    of += f" and {made['groups']:,} groups, each left out whole" if "groups" in made else ""
    majority, chance = made.get("majority"), made.get("chance", {}).get(made["by"])
    if majority is not None and majority * made["classes"] > UNEVEN:
        of += f", {100 * majority:.1f} % of them in the largest"
        of += f" (chance {chance:.3f})" if chance is not None else ""
    return of


def _outputs(task: str, outputs: int) -> str:
    noun = {"regression": "number", "multilabel": "label"}[task]
    return f"with a {noun} each" if outputs == 1 else f"with {outputs:,} {noun}s"


def score_label(ranking: Outcome) -> str:
    """The score that orders, in words."""
    made = ranking.settings
    if made["by"] == "silhouette":
        return f"neuralRank score ({made['distance']} silhouette)"
    return ranking.about[made["by"]].meaning


def direction(ranking: Outcome) -> str:
    """Its range, and whether higher or lower is better."""
    about = ranking.about[ranking.settings["by"]]
    bounded = about.low is not None and about.high is not None
    bounds = f"from {about.low:g} to {about.high:g}, " if bounded else ""
    return f"{bounds}{'higher' if about.higher_is_better else 'lower'} is better"
