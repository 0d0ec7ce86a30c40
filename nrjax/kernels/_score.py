"""The neuralRank score: silhouette of the samples on their leading principal components."""

import dataclasses
import functools
from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._pca import Solver, pca
from nrjax.kernels._silhouette import Definition, Distance, Method, Sampling, silhouette_sampling, silhouette_score


@dataclasses.dataclass(frozen=True)
class ScoreSettings:
    """What a score is made with; hashable, so static under jit. See `pca` and `silhouette_samples`."""

    n_components: int = 10
    distance: Distance = "cosine"
    definition: Definition = "rousseeuw"
    solver: Solver = "auto"
    method: Method = "auto"
    block_size: int | None = None


class Score(NamedTuple):
    """Score of a model, or of several along a leading axis `models`.

    Attributes:
      value: in [-1, 1]; higher is better.
      error: of the points, see `Projection`; above `MAX_ERROR` take a safer solver.
      sampling: how the score follows from which samples were drawn, where that was asked for.
    """

    value: Float[Array, "*models"]
    error: Float[Array, "*models"]
    sampling: Sampling | None = None


@functools.partial(jax.jit, static_argnames=("n_classes", "settings", "sampling", "axis_name"))
def score(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    sampling: bool = False,
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
) -> Score:
    """neuralRank score of one model, in [-1, 1]; higher is better. Algorithm 1 of the paper.

    Args:
      features: finite outputs of one layer.
      labels: class ids in `0..n_classes-1`.
      n_classes: static.
      settings: static; `n_components` at most `min(samples, dims)`.
      sampling: static; whether to return that too. It takes the components as given.
      mask: samples that count; None counts all.
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples.
    """
    projection = pca(features, settings.n_components, solver=settings.solver, mask=mask, axis_name=axis_name)
    options = {
        "n_classes": n_classes, "distance": settings.distance, "definition": settings.definition,
        "method": settings.method, "block_size": settings.block_size,
    }  # fmt: skip
    weights = None if mask is None else mask.astype(features.dtype)
    value = silhouette_score(projection.points, labels, weights=weights, axis_name=axis_name, **options)
    drawn = silhouette_sampling(projection.points, labels, **options) if sampling else None
    return Score(value, projection.error, drawn)


@functools.partial(jax.jit, static_argnames=("n_classes", "settings", "sampling"))
def score_models(
    features: Float[Array, "models samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    sampling: bool = False,
) -> Score:
    """`score` of every model, in one compiled call.

    Args:
      features: models stacked.
      labels: shared by the models.
      n_classes: static.
      settings: static.
      sampling: static.
    """
    one = functools.partial(score, labels=labels, n_classes=n_classes, settings=settings, sampling=sampling)
    return jax.vmap(one)(features)
