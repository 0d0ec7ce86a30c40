"""The neuralRank score: silhouette of the samples on their leading principal components."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._certificate import TOLERANCE, as_share, joint_error, largest_error
from nrjax.kernels._class_distances import Distance
from nrjax.kernels._felt import Doubt, felt
from nrjax.kernels._linalg import total
from nrjax.kernels._pca import Solver, scaled_pca
from nrjax.kernels._sampling import Sampling, silhouette_sampling
from nrjax.kernels._silhouette import Definition, Method, silhouette_estimate


@dataclasses.dataclass(frozen=True)
class ScoreSettings:
    """What a score is made with; hashable, so static under jit. See `pca` and `silhouette_samples`.

    `tolerance` is how far the score may be off.
    """

    n_components: int = 10
    distance: Distance = "cosine"
    definition: Definition = "rousseeuw"
    solver: Solver = "auto"
    method: Method = "auto"
    block_size: int | None = None
    tolerance: float = TOLERANCE

    @property
    def max_error(self) -> float:
        """Up to which a `Score`'s error is small enough."""
        return largest_error(self.tolerance)


class Score(NamedTuple):
    """Score of a model, or of several along a leading axis `models`.

    Attributes:
      value: in [-1, 1]; higher is better.
      error: of the points, see `Projection`, joined with what the score feels of it and with that of the silhouettes'
        own arithmetic; above the settings' `max_error` take a safer solver.
      variation: of the features, see `Scaled`.
      depth: singular value of the last component beside that of the first.
      by_class: mean silhouette of the samples of every class; 0 for a class without samples.
      sampling: how the score follows from which samples were drawn, where that was asked for.
    """

    value: Float[Array, "*models"]
    error: Float[Array, "*models"]
    variation: Float[Array, "*models"]
    depth: Float[Array, "*models"]
    by_class: Float[Array, "*models classes"]
    sampling: Sampling | None = None


@functools.partial(jax.jit, static_argnames=("n_classes", "settings", "sampling", "axis_name", "rounding"))
def score(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    sampling: bool = False,
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
    rounding: float | None = None,
) -> Score:
    """neuralRank score of one model, in [-1, 1]; higher is better. Algorithm 1 of the paper.

    Args:
      features: finite outputs of one layer.
      labels: class ids in `0..n_classes-1`.
      n_classes: static.
      settings: static; `n_components` at most `min(samples, dims)`.
      sampling: static; whether to return that too.
      mask: samples that count; None counts all.
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples.
      rounding: see `pca`.
    """
    options = {
        "n_classes": n_classes, "distance": settings.distance, "definition": settings.definition,
        "method": settings.method, "block_size": settings.block_size,
    }  # fmt: skip
    weights = jnp.ones(len(features), features.dtype) if mask is None else mask.astype(features.dtype)

    def feels(points: Float[Array, "samples components"], doubt: Doubt) -> Float[Array, ""]:
        return as_share(felt(points, labels, doubt, weights=weights, axis_name=axis_name, **options))

    projection, _, variation, moved, others = scaled_pca(
        features, settings.n_components, solver=settings.solver, mask=mask, axis_name=axis_name, rounding=rounding,
        max_error=settings.max_error, feels=feels,
    )  # fmt: skip
    given = None if mask is None else weights
    found = silhouette_estimate(projection.points, labels, weights=given, axis_name=axis_name, **options)
    values = found.value
    value = total(jnp.sum(values * weights), axis_name) / total(jnp.sum(weights), axis_name)
    sums, counts = (
        total(jax.ops.segment_sum(some, labels, n_classes), axis_name) for some in (values * weights, weights)
    )
    by_class = sums / jnp.maximum(counts, 1)
    drawn = silhouette_sampling(projection.points, labels, others=others, **options) if sampling else None
    error = joint_error(projection.error, moved, found.error)
    singular = projection.singular_values
    depth = singular[-1] / jnp.maximum(singular[0], jnp.finfo(singular.dtype).tiny)
    return Score(value, error, variation, depth, by_class, drawn)


@functools.partial(jax.jit, static_argnames=("n_classes", "settings", "sampling", "rounding"))
def score_models(
    features: Float[Array, "models samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    sampling: bool = False,
    rounding: float | None = None,
) -> Score:
    """`score` of every model, in one compiled call.

    Args:
      features: models stacked.
      labels: shared by the models.
      n_classes: static.
      settings: static.
      sampling: static.
      rounding: static, see `pca`.
    """
    one = functools.partial(
        score, labels=labels, n_classes=n_classes, settings=settings, sampling=sampling, rounding=rounding
    )
    return jax.vmap(one)(features)
