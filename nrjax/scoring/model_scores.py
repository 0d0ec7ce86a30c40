"""What to compute, and the scores of one model."""

import dataclasses

import numpy as np

from nrjax.kernels import ScoreSettings
from nrjax.scoring.scores import ScoreKind


@dataclasses.dataclass(frozen=True)
class Request:
    """What to compute: the scores, the one to order by, and whether to say how sure that order is."""

    settings: ScoreSettings
    scores: tuple[ScoreKind, ...]
    by: ScoreKind
    confidence: bool = False


@dataclasses.dataclass
class ModelScores:
    """The scores of one model.

    Attributes:
      dims: width of its features.
      values: score by name, those that mean something.
      missing: reason by name, for the others.
      uncertain: by name, why a score may be off by more than it promises.
      by_class: by name, of scores that are a mean over the samples, the mean over those of every class.
      confused: by name, of classifiers, the pairs that they confuse most: class, taken for, samples.
      n_components: used by the silhouette.
      solver: that gave them in the end.
      influences: by name, of samples or of groups of samples on the score to order by and on `probe`, if confidence
        was asked for.
      hits: by name, of scores with influences that are a share of the samples, or of those of each class, its
        interval; see `interval_of_share`.
      bias: of the score to order by, relative to that of many more samples; 0 where it is not known.
      raised: names of the scores that are missing because something failed, and might not another time.
    """

    dims: int
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    uncertain: dict[str, str] = dataclasses.field(default_factory=dict)
    by_class: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    confused: dict[str, list[tuple[int, int, int]]] = dataclasses.field(default_factory=dict)
    n_components: int | None = None
    solver: str | None = None
    influences: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    hits: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    bias: float = 0.0
    raised: set[str] = dataclasses.field(default_factory=set)

    def add(self, name: str, value: float, by_class: np.ndarray | None = None) -> None:
        """Takes a value, unless it is no finite number."""
        if np.isfinite(value):
            self.values[name] = value
            if by_class is not None:
                self.by_class[name] = by_class
        else:
            self.missing[name] = f"its value is {value}"
