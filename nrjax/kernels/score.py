"""The neuralRank score as pure functions: silhouette of the samples on their leading principal components."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.distances import Distance, class_sums
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.kernels.linalg import total
from nrjax.kernels.pca import Solver, pca
from nrjax.kernels.silhouette import Definition, Method, silhouette_samples


@dataclasses.dataclass(frozen=True)
class ScoreSettings:
    """What a score is made with; hashable, so static under jit. See `nrjax.rank_batch`.

    `solver` and `tolerance` are of `nrjax.rank_batch`. The pure functions take `gram` for everything but `svd`.
    """

    n_components: int = 10
    distance: Distance = "cosine"
    definition: Definition = "rousseeuw"
    solver: Solver = "auto"
    method: Method = "auto"
    block_size: int | None = None
    tolerance: float = TOLERANCE


class Score(NamedTuple):
    """Score of a model, or of several along a leading axis `models`.

    Attributes:
      value: in [-1, 1]; higher is better.
      by_class: mean silhouette of the samples of every class; 0 for a class without samples.
    """

    value: Float[Array, "*models"]
    by_class: Float[Array, "*models classes"]


@functools.partial(jax.jit, static_argnames=("n_classes", "settings", "axis_name"))
def score(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    mask: Bool[Array, " samples"] | None = None,
    axis_name: str | None = None,
) -> Score:
    """neuralRank score of one model, in [-1, 1]; higher is better. Algorithm 1 of the paper.

    Pure, in the type of the features, and with nothing that says how exact it is: `nrjax.rank_batch` is faster, checks
    its input and certifies its result.

    Args:
      features: finite outputs of one layer.
      labels: class ids in `0..n_classes-1`.
      n_classes: static.
      settings: static; `n_components` at most `min(samples, dims)`.
      mask: samples that count; None counts all.
      axis_name: inside `jax.shard_map`, the mesh axis that splits the samples.
    """
    solver = "svd" if settings.solver == "svd" else "gram"
    points = pca(features, settings.n_components, solver=solver, mask=mask, axis_name=axis_name).points
    weights = jnp.ones(len(features), features.dtype) if mask is None else mask.astype(features.dtype)
    values = silhouette_samples(
        points, labels, n_classes=n_classes, distance=settings.distance, definition=settings.definition,
        method=settings.method, block_size=settings.block_size, weights=None if mask is None else weights,
        axis_name=axis_name,
    )  # fmt: skip
    columns = jnp.stack([values * weights, weights], axis=1)
    sums = class_sums(columns, labels, n_classes, axis_name)
    value = total(jnp.sum(values * weights), axis_name) / total(jnp.sum(weights), axis_name)
    return Score(value, sums[:, 0] / jnp.maximum(sums[:, 1], 1))


@functools.partial(jax.jit, static_argnames=("n_classes", "settings"))
def score_models(
    features: Float[Array, "models samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
) -> Score:
    """`score` of every model, in one compiled call.

    Args:
      features: models stacked.
      labels: shared by the models.
      n_classes: static.
      settings: static.
    """
    return jax.vmap(functools.partial(score, labels=labels, n_classes=n_classes, settings=settings))(features)
