"""The registry of scores: which there are, and which are asked for."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from nrjax._utils.plugins import describe, load_plugin, plugins
from nrjax.scoring.built_in_scores import BUILT_IN
from nrjax.scoring.score_kind import Kernel, ScoreKind, always, unbounded
from nrjax.targets import Target

GROUP = "nrjax.scores"
_KINDS = dict(BUILT_IN)


def register_score(
    name: str,
    kernel: Kernel,
    meaning: str = "",
    *,
    bounds: Callable[[int], tuple[float, float]] = unbounded,
    higher_is_better: bool = True,
    source: str = "",
    undefined: Callable[[int, int, np.ndarray], str | None] = always,
    reads: Literal["features", "probabilities"] = "features",
    labelled: bool = True,
) -> ScoreKind:
    """Makes `rank_batch(scores=(name, ...))` and `nrjax rank --scores` know a score of your own.

    Args:
      name: a new one.
      kernel: see `ScoreKind`; it is compiled together with the other scores that are asked for.
      meaning: in a few words.
      bounds: of its values, from the number of classes.
      higher_is_better: its direction.
      source: DOI, arXiv or library call.
      undefined: function from samples, dims and class sizes to the reason why the score is not defined, or None.
      reads: what `kernel` takes: features, or probabilities of the model's own classes.
      labelled: whether it reads the labels.

    Raises:
      ValueError: the name is taken.

    Examples:
      >>> def spread(features, labels, *, n_classes):
      ...     return features.var()
      >>> kind = nrjax.register_score("spread", spread, "variance of all features")
      >>> nrjax.rank_batch(features, labels, scores="spread").order[0]
      'F5-9'
    """
    if name in _KINDS or name in plugins(GROUP):
        raise ValueError(f"a score named {name!r} is registered already; choose another name.")
    _KINDS[name] = ScoreKind(
        name, kernel, meaning or name, bounds=bounds, higher_is_better=higher_is_better, source=source,
        undefined=undefined, reads=reads, labelled=labelled,
    )  # fmt: skip
    return _KINDS[name]


def available_scores() -> dict[str, ScoreKind]:
    """Every score, by name: those of nrjax, registered ones, those of plug-ins that can be loaded.

    Examples:
      >>> list(nrjax.available_scores())[:3]
      ['silhouette', 'probe', 'knn']
    """
    kinds = dict(_KINDS)
    for name in plugins(GROUP):
        if name not in kinds:
            with contextlib.suppress(ValueError):  # which `check_scores` says where the score is asked for
                kinds[name] = _kind_of_plugin(name)
    return kinds


def _kind_of_plugin(name: str) -> ScoreKind:
    """The score of a plug-in. Raises ValueError where it cannot be loaded, or is none of that name."""
    kind = load_plugin(GROUP, name)
    if not isinstance(kind, ScoreKind) or kind.name != name:
        what = f"a ScoreKind called {kind.name!r}" if isinstance(kind, ScoreKind) else type(kind).__name__
        raise ValueError(f"{describe(plugins(GROUP)[name])} must be a nrjax.ScoreKind called {name!r}; it is {what}.")
    return kind


def check_labelled(kinds: Sequence[ScoreKind], labels: object, n_clusters: object) -> int | None:
    """Clusters to look for where there are no labels, 0 to choose; None where there are. Raises ValueError."""
    if labels is not None:
        if n_clusters is not None:
            raise ValueError("n_clusters is of samples without labels; leave it out, or the labels.")
        return None
    wrong = [kind.name for kind in kinds if kind.labelled and kind.reads != "scores"]
    if wrong:
        known = ", ".join(kind.name for kind in _KINDS.values() if not kind.labelled)
        raise ValueError(f"{', '.join(wrong)} need labels; without them there are {known}.")
    if n_clusters is None:
        return 0
    if isinstance(n_clusters, bool) or not isinstance(n_clusters, int) or n_clusters < 2:
        raise ValueError(f"n_clusters must be an integer of at least 2; got {n_clusters!r}.")
    return n_clusters


def check_scores(scores: str | Sequence[str], by: str | None) -> tuple[tuple[ScoreKind, ...], ScoreKind]:
    """The scores to compute and the one to order by (None: the first). Raises ValueError for a bad name."""
    names = (scores,) if isinstance(scores, str) else tuple(scores)
    known = {**_KINDS}
    for name in (*names, *(() if by is None else (by,))):
        if name not in known and isinstance(name, str) and name in plugins(GROUP):
            known[name] = _kind_of_plugin(name)
        if name not in known:
            listed = ", ".join(dict.fromkeys((*_KINDS, *plugins(GROUP))))
            raise ValueError(f"scores must be of {listed}; got {name!r}. See register_score for your own.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"scores must name at least one score and none twice; got {names!r}.")
    if by is not None and by not in names:
        raise ValueError(f"by must be one of the scores asked for, {', '.join(names)}; got {by!r}.")
    kinds = tuple(known[name] for name in names)
    read = [kind.name for kind in kinds if kind.reads != "scores"]
    if len(read) < min(2, len(names)):
        raise ValueError(f"mean_rank is the mean of places by at least two other scores; got scores={names!r}.")
    return kinds, known[by or names[0]]


def undefined(kind: ScoreKind, target: Target, shape: tuple[int, ...]) -> str | None:
    """Why a score means nothing for features of this shape; without the largest group where groups are left out."""
    samples = shape[0] if target.groups is None or not kind.leaves_out else target.fewest_left + 1
    return kind.undefined(samples, shape[1], target.counts)


def check_task(by: ScoreKind, target: Target) -> None:
    """Raises ValueError where the score to order by means nothing for the task."""
    kind = by.of(target)
    if kind.reads != "scores" and kind.labelled and target.task not in ("clusters", kind.task):
        raise ValueError(f"by must be a score of the labels' task; {by.name!r}: {kind.undefined(0, 0, target.counts)}.")
