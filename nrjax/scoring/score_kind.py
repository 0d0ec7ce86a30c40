"""What a score is: its kernel, what it means, where it means nothing, and the same of other tasks."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal

import jax
import numpy as np

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.spectrum import Factorisation
from nrjax.results import ScoreMeaning
from nrjax.target_tasks import TaskName
from nrjax.targets import Target

Kernel = Callable[..., jax.Array]
WORDS = {"regression": "numbers", "multilabel": "several labels a sample", "classification": "classes"}
INSTEAD = {  # of a score that means nothing for a task
    "regression": "probe, knn, logme or linear_mse", "multilabel": "probe, knn or logme",
    "classification": "silhouette, probe, knn or logme",
}  # fmt: skip


def unbounded(classes: int) -> tuple[float, float]:
    """Any value."""
    return -math.inf, math.inf


def always(samples: int, dims: int, counts: np.ndarray) -> None:
    """Defined everywhere."""


@functools.cache
def never(labelled: bool, task: TaskName) -> Callable[[int, int, np.ndarray], str]:
    """Why a score means nothing for a task, and what to take."""
    needs = "it is not defined for" if labelled else "it reads no labels, and there are"
    or_else = ", or task='regression' where they are numbers" if labelled and task == "classification" else ""
    return lambda samples, dims, counts: f"{needs} {WORDS[task]}: take {INSTEAD[task]}{or_else}"


@dataclasses.dataclass(frozen=True)
class ScoreKind:
    """A score that models can be ranked by.

    Attributes:
      name: as in `rank_batch(scores=...)`.
      kernel: pure and traceable, `kernel(features [samples, dims], labels [samples], *, n_classes)`, labels
        being ids in `0..n_classes-1`. Returns a number, or `[samples]` numbers whose mean is the score.
      meaning: in a few words.
      bounds: function from the number of classes to its smallest and largest value.
      higher_is_better: its direction.
      source: DOI, arXiv or library call.
      undefined: function from samples, dims and class sizes to the reason why the score is not defined, or None.
      reads: `features`, those of `pairs` `[u, v, abs(u - v), u * v]`, `probabilities` of the model's own classes
        `[samples, source_classes]`, or the other `scores` asked for, of all models (`scoring.mean_rank`).
      estimate: the kernel that also says how far its value may be off, with `solver` and `rounding` as further
        options; None for a kernel that does not.
      tolerance: error up to which a value is certain,
      relative: of the value itself, or absolute.
      solvers: factorisations that `estimate` is tried with in float64, one after the other.
      begins_in_float32: whether it is tried in float32 first.
      scale_free: whether it is the same for features times any number.
      labelled: whether it reads the labels; the others are all there is where there are none.
      task: whose labels it takes; of numbers and of several labels they are `[samples, outputs]`.
      others: the same score of other tasks.
      leaves_out: whether it judges samples by the rest, without their group where there are groups; `estimate` then
        takes `groups`.
      chance: its value where features say nothing, from the shares of classes or labels; None where nobody knows.
      teaching: how many times the variance of the samples' values by themselves an accuracy has, as every sample also
        decides for others; from the error, that by chance being 1, and the number of samples. None where nobody knows.
      rarest_decides: whether rare classes count as much as others, so that their samples decide how sure it is.

    Examples:
      >>> probe = nrjax.available_scores()["probe"]
      >>> probe.meaning
      'accuracy of a linear probe, leaving one sample out'
      >>> probe.higher_is_better, probe.bounds(5)
      (True, (0, 1))
    """

    name: str
    kernel: Kernel
    meaning: str
    bounds: Callable[[int], tuple[float, float]] = unbounded
    higher_is_better: bool = True
    source: str = ""
    undefined: Callable[[int, int, np.ndarray], str | None] = always
    reads: Literal["features", "pairs", "probabilities", "scores"] = "features"
    estimate: Callable[..., Estimate] | None = None
    tolerance: float = math.inf
    relative: bool = False
    solvers: tuple[Factorisation, ...] = ("gram",)
    begins_in_float32: bool = False
    scale_free: bool = False
    labelled: bool = True
    task: TaskName = "classification"
    others: tuple["ScoreKind", ...] = ()
    leaves_out: bool = False
    chance: Callable[[np.ndarray], float] | None = None
    teaching: Callable[[float, int], float] | None = None
    rarest_decides: bool = False

    def of(self, target: Target) -> "ScoreKind":
        """The score of this target's task; one that is never defined, with the reason, where it has none."""
        if self.reads == "scores" or (target.task in ("classification", "clusters") and not self.labelled):
            return self
        for kind in (self, *self.others):
            if kind.labelled and (kind.task == target.task or target.task == "clusters"):
                return kind
        return dataclasses.replace(self, undefined=never(self.labelled, target.task))

    def certain(self, found: Estimate) -> bool:
        """Whether a value is as good as this score promises."""
        size = abs(float(np.mean(found.value))) if self.relative else 1.0
        return bool(found.error <= self.tolerance * size)

    @property
    def sign(self) -> int:
        """What turns its values into ones of which higher is better."""
        return 1 if self.higher_is_better else -1

    def about(self, n_classes: int) -> ScoreMeaning:
        """What it says of a target with so many classes."""
        low, high = (bound if math.isfinite(bound) else None for bound in self.bounds(n_classes))
        return ScoreMeaning(self.meaning, low, high, self.higher_is_better)
