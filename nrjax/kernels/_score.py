"""The neuralRank score: silhouette of the samples on their leading principal components."""

import dataclasses
import functools
from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._pca import Solver, pca
from nrjax.kernels._silhouette import Definition, Distance, Method, silhouette_score


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
      error: of the principal subspace, see `Projection`; above `KRYLOV_ERROR` score again with `gram`.
    """

    value: Float[Array, "*models"]
    error: Float[Array, "*models"]


@functools.partial(jax.jit, static_argnames=("n_classes", "settings"))
def score(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    mask: Bool[Array, " samples"] | None = None,
) -> Score:
    """neuralRank score of one model, in [-1, 1]; higher is better. Algorithm 1 of the paper.

    Args:
      features: finite outputs of one layer.
      labels: class ids in `0..n_classes-1`.
      n_classes: static.
      settings: static; `n_components` at most `min(samples, dims)`.
      mask: samples that count; None counts all.
    """
    projection = pca(features, settings.n_components, solver=settings.solver, mask=mask)
    value = silhouette_score(
        projection.points, labels, n_classes=n_classes, mask=mask, distance=settings.distance,
        definition=settings.definition, method=settings.method, block_size=settings.block_size,
    )  # fmt: skip
    return Score(value, projection.error)


@functools.partial(jax.jit, static_argnames=("n_classes", "settings", "one_by_one"))
def score_models(
    features: Float[Array, "models samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    settings: ScoreSettings = ScoreSettings(),
    one_by_one: bool = False,
) -> Score:
    """`score` of every model, in one compiled call.

    Args:
      features: models stacked.
      labels: shared by the models.
      n_classes: static.
      settings: static.
      one_by_one: static; walk the models with `lax.map` instead of `vmap`.
    """
    one = functools.partial(score, labels=labels, n_classes=n_classes, settings=settings)
    return lax.map(one, features) if one_by_one else jax.vmap(one)(features)
