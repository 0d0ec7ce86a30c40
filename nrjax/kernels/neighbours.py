"""The nearest neighbours of every sample, one sample or its group left out, and what rounding leaves open of them.

Cosine distance is half the squared difference of unit vectors. A product of all with all, around their mean, so
that nearly parallel rows keep their digits, gives a few more candidates than needed, in float32 (`gram`) or in the
features' own type (`svd`); the differences to these are then squared one by one. Where more samples than the
candidates are as near as the last neighbour, `svd` counts them all by the product.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.linalg import map_blocks, matmul, units
from nrjax.kernels.ridge import Groups
from nrjax.kernels.spectrum import Factorisation, scaled, varying

NEIGHBOURS = 5
CANDIDATES = 16
KNN_ROWS = 256  # compared with all samples at once
NEARLY = 16  # times the rounding of a distance
Metric = Literal["cosine", "euclidean"]


class Neighbours(NamedTuple):
    """Of one sample.

    Attributes:
      seen: places of the candidates,
      nearer: those of them that are nearer than the last neighbour,
      tied: and those that are as far, which share the votes that are left.
      all_nearer: the same of all samples, where candidates may have been missed.
      all_tied: and this.
      is_missed: whether they may.
      is_blurred: whether some of all samples are beyond it by little more than rounding.
    """

    seen: Int[Array, " candidates"]
    nearer: Bool[Array, " candidates"]
    tied: Bool[Array, " candidates"]
    all_nearer: Bool[Array, " samples"]
    all_tied: Bool[Array, " samples"]
    is_missed: Bool[Array, ""]
    is_blurred: Bool[Array, ""]


def of_every_sample(
    features: Float[Array, "samples dims"],
    judged: Callable[[Int[Array, ""], Neighbours], tuple[Array, Array]],
    solver: Factorisation,
    groups: Groups | None,
    metric: Metric = "cosine",
    k: int = NEIGHBOURS,
) -> tuple[Array, Array]:
    """What `judged` says of every sample, from its place and its neighbours."""
    samples = len(features)
    if metric == "cosine":
        rows, is_zero = units(features)
    else:
        rows, is_zero = scaled(varying(features)), jnp.zeros(samples, features.dtype)
    around = (rows - jnp.mean(rows, axis=0)).astype(jnp.float32 if solver == "gram" else rows.dtype)
    squares = jnp.sum(around * around, axis=1)
    eps, coarse = jnp.finfo(features.dtype).eps, jnp.finfo(around.dtype).eps
    candidates = min(max(CANDIDATES, 2 * k), samples - 1)

    def of(place: Int[Array, ""]) -> tuple[Array, Array]:
        far = squares[place] + squares - 2 * matmul(around, around[place])
        far = jnp.where((is_zero > 0) | (is_zero[place] > 0), 2, far).at[place].set(jnp.inf)
        others, is_own = samples - 1, None
        if groups is not None:
            is_own = groups.ids == groups.ids[place]
            far, others = jnp.where(is_own, jnp.inf, far), samples - jnp.sum(is_own)
        seen = lax.top_k(-far, candidates)[1]
        differences = rows[seen] - rows[place]
        distances = jnp.sum(differences * differences, axis=1)
        distances = jnp.where((is_zero[seen] > 0) | (is_zero[place] > 0), 2, distances)
        if is_own is not None:
            distances = jnp.where(is_own[seen], jnp.inf, distances)
        fifth = jnp.sort(distances)[k - 1]
        margin = 4 * eps * (fifth + jnp.sqrt(fifth))
        last = jnp.max(jnp.where(jnp.isfinite(far[seen]), far[seen], -jnp.inf))
        blur = 4 * coarse * (squares[place] + jnp.max(squares))
        is_missed = (last - blur <= fifth + margin) & (candidates < others)
        gaps = jnp.abs(far - fifth)
        is_blurred = jnp.any((gaps > blur) & (gaps <= NEARLY * blur))
        return judged(place, Neighbours(
            seen, distances < fifth - margin, jnp.abs(distances - fifth) <= margin, far < fifth - blur,
            gaps <= blur, is_missed, is_blurred,
        ))  # fmt: skip

    return map_blocks(of, jnp.arange(samples), KNN_ROWS)
