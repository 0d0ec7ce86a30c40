"""The neuralRank score of models: components, then silhouettes of the samples on them."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nrjax._utils.arrays import Array
from nrjax._utils.memory import Staging, in_slices, models_that_fit
from nrjax.kernels import ScoreSettings
from nrjax.kernels.influence import Influence
from nrjax.scoring.array_features import ArrayFeatures
from nrjax.scoring.components import Components, exact_components, fits_float32, krylov_components, suits_krylov
from nrjax.scoring.compute import bucket_of, compute_context, one_by_one, padded_count, stack_models
from nrjax.scoring.operators import ROUNDED, Features
from nrjax.scoring.rounding import rounding_of, without_constants, working_dtype
from nrjax.scoring.silhouette_programs import (
    ROUNDING_SHARE,
    Silhouettes,
    Task,
    evaluate,
    influence_of_samples,
    sensitivity,
)

TIED = 0.01  # error of the subspace from which on the last component and the next are as good as tied


class Score(NamedTuple):
    """The neuralRank score of one model.

    Attributes:
      value: in [-1, 1]; higher is better.
      by_class: mean silhouette of every class.
      error: how far the value may be off.
      subspace_error: of the components, in [0, 1].
      variation: size of the centred features relative to the size of the features.
      solver: that gave the components.
      influence: of the samples, where that was asked for.
    """

    value: float
    by_class: np.ndarray
    error: float
    subspace_error: float
    variation: float
    solver: str
    influence: Influence | None = None

    def doubt(self, tolerance: float) -> str | None:
        """Why the value may be off by more than the tolerance, or None."""
        if self.error <= tolerance:
            return None
        if self.subspace_error >= TIED:
            return "which components lead is not determined, the last of them and the next are as good as tied"
        return f"the components are not certain, and the score may be off by {self.error:.1g}"


def score_arrays(arrays: Sequence[Array], task: Task, staging: Staging | None = None) -> list[Score]:
    """neuralRank scores of features `[samples, dims]` of one shape and type."""
    rounding = max(map(rounding_of, arrays))
    arrays = list(map(without_constants, arrays))

    def score_one(array: Array) -> Score:
        return score_features(ArrayFeatures(array, rounding=rounding, staging=staging), task)[0]

    samples, dims = arrays[0].shape[-2:]
    with compute_context():
        if one_by_one() or not iterates(arrays[0], task.settings):
            return [score_one(array) for array in arrays]
        shape = bucket_of(samples), bucket_of(dims)
        ids = np.pad(task.ids, (0, shape[0] - samples))
        mask = (np.arange(shape[0]) < samples).astype(np.float32)

        def score_together(piece: np.ndarray) -> list[Score | None]:
            stack = stack_models([arrays[i] for i in piece], shape, np.float32)
            weights = jnp.broadcast_to(mask, stack.shape[:2])
            together = dataclasses.replace(task, ids=np.broadcast_to(ids, stack.shape[:2]), weights=weights)
            return krylov_scores(ArrayFeatures(stack, weights, rounding=rounding), together)[: len(piece)]

        size = min(models_that_fit(4 * shape[0] * shape[1]), padded_count(len(arrays)))
        pieces = in_slices(score_together, np.arange(len(arrays)), size)
        scores = [score for _, of_piece in pieces for score in of_piece]
        return [score or score_one(array) for score, array in zip(scores, arrays, strict=True)]


def iterates(features: Array | Features, settings: ScoreSettings) -> bool:
    """Whether block Krylov iteration comes first: of features in float32 whose blocks are small beside them."""
    return (
        settings.solver in ("auto", "krylov") and working_dtype(features.dtype) == np.float32
        and suits_krylov(features.shape[-2], features.shape[-1], settings.n_components)
    )  # fmt: skip


def score_features(features: Features, task: Task) -> list[Score]:
    """neuralRank scores of one model or of stacked ones: by iteration, and what that cannot certify in float64."""
    by_iteration = krylov_scores(features, task) if iterates(features, task.settings) else []
    scores = [score for score in by_iteration if score is not None]
    if scores and len(scores) == len(by_iteration):
        return scores
    exact = exact_scores(features, task)
    return [score or other for score, other in zip(by_iteration or exact, exact, strict=True)]


def krylov_scores(features: Features, task: Task) -> list[Score | None]:
    """Scores from block Krylov iteration; None for a model whose score may be off by more than the tolerance."""
    if not fits_float32(features):
        return [None] * max(1, math.prod(features.models))
    settings = task.settings
    components = krylov_components(
        features, settings.n_components, functools.partial(sensitivity, task), settings.tolerance
    )
    if components is None:
        return [None] * max(1, math.prod(features.models))
    scores, silhouettes = _scores(components, "krylov", task)
    # Points as short as the rounding of the rows have no direction in float32.
    lost = np.atleast_1d(silhouettes.shortest <= ROUNDED * components.rounding)
    return [
        score if score.error <= settings.tolerance and not without_direction else None
        for score, without_direction in zip(scores, lost, strict=True)
    ]  # fmt: skip


def exact_scores(features: Features, task: Task) -> list[Score]:
    """Scores from components in float64."""
    settings = task.settings
    components = exact_components(
        features, settings.n_components, functools.partial(sensitivity, task), svd=settings.solver == "svd"
    )
    return _scores(components, "svd, float64" if components.by_svd else "gram, float64", task)[0]


def _scores(components: Components, solver: str, task: Task) -> tuple[list[Score], Silhouettes]:
    """The models of `components`, one by one, and their silhouettes."""
    silhouettes = evaluate(task, components.images)
    images = np.asarray(components.images) if task.influence else None
    errors = components.score_error + ROUNDING_SHARE * silhouettes.rounding

    def score(model: Any) -> Score:
        influence = None
        if images is not None and (solver != "krylov" or errors[model] <= task.settings.tolerance):
            influence = influence_of_samples(images[model], task)
        return Score(
            float(silhouettes.value[model]), silhouettes.by_class[model], float(errors[model]),
            float(components.error[model]), float(components.variation[model]), solver, influence,
        )  # fmt: skip

    return [score(model) for model in (range(len(errors)) if np.ndim(errors) else [()])], silhouettes
