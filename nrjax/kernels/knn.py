"""Accuracy of the nearest neighbours, one sample left out."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import map_blocks, matmul, units
from nrjax.kernels.spectrum import Factorisation

NEIGHBOURS = 5
CANDIDATES = 16
KNN_ROWS = 256  # compared with all samples at once


def estimate_knn(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    **_,
) -> Estimate:
    """`knn`, and the share of samples whose vote rounding could turn.

    Cosine distance is half the squared difference of unit vectors. A product of all with all, around their mean, so
    that nearly parallel rows keep their digits, gives a few more candidates than needed, in float32 (`gram`) or in the
    features' own type (`svd`); the differences to these are then squared one by one. Where more samples than the
    candidates are as near as the fifth, `svd` counts them all by the product.
    """
    samples = len(features)
    rows, is_zero = units(features)
    around = (rows - jnp.mean(rows, axis=0)).astype(jnp.float32 if solver == "gram" else rows.dtype)
    squares = jnp.sum(around * around, axis=1)
    eps, coarse = jnp.finfo(features.dtype).eps, jnp.finfo(around.dtype).eps
    candidates = min(CANDIDATES, samples - 1)
    is_exact = rows.dtype == jnp.float64  # what is tied there is tied in the features

    def judged(place: Int[Array, ""]) -> tuple[Int[Array, ""], Float[Array, ""]]:
        far = squares[place] + squares - 2 * matmul(around, around[place])
        far = jnp.where((is_zero > 0) | (is_zero[place] > 0), 2, far).at[place].set(jnp.inf)
        seen = lax.top_k(-far, candidates)[1]
        differences = rows[seen] - rows[place]
        distances = jnp.sum(differences * differences, axis=1)
        distances = jnp.where((is_zero[seen] > 0) | (is_zero[place] > 0), 2, distances)
        fifth = jnp.sort(distances)[NEIGHBOURS - 1]
        margin = 4 * eps * (fifth + jnp.sqrt(fifth))
        last = jnp.max(jnp.where(jnp.isfinite(far[seen]), far[seen], -jnp.inf))
        blur = 4 * coarse * (squares[place] + jnp.max(squares))
        is_missed = (last - blur <= fifth + margin) & (candidates < samples - 1)
        nearer = _counts(distances < fifth - margin, labels[seen], n_classes)
        tied = _counts(jnp.abs(distances - fifth) <= margin, labels[seen], n_classes)
        if solver == "svd":
            nearer = jnp.where(is_missed, _counts(far < fifth - blur, labels, n_classes), nearer)
            tied = jnp.where(is_missed, _counts(jnp.abs(far - fifth) <= blur, labels, n_classes), tied)
        free = NEIGHBOURS - jnp.sum(nearer)  # votes that those who are tied share
        named = jnp.argmax(nearer * jnp.sum(tied) + free * tied)
        if is_exact and solver == "svd":
            return named, jnp.zeros((), features.dtype)
        most = nearer + jnp.minimum(free, jnp.where(is_missed, free, tied))
        least = nearer + jnp.where(is_missed, 0, jnp.maximum(free - (jnp.sum(tied) - tied), 0))
        is_own = jnp.arange(n_classes) == labels[place]
        own_most, own_least = most[labels[place]], least[labels[place]]
        others_most, others_least = (jnp.max(jnp.where(is_own, -1, votes)) for votes in (most, least))
        is_sure = (own_least > others_most) | (others_least > own_most) | (jnp.sum(tied) == free) & ~is_missed
        return named, (~is_sure & (is_missed | (not is_exact))).astype(features.dtype)

    named, unsure = map_blocks(judged, jnp.arange(samples), KNN_ROWS)
    return Estimate((named == labels).astype(features.dtype), jnp.mean(unsure), named)


def _counts(chosen: Bool[Array, " some"], labels: Int[Array, " some"], n_classes: int) -> Int[Array, " classes"]:
    """How many of the chosen are of each class."""
    return jnp.sum(jax.nn.one_hot(labels, n_classes, dtype=jnp.int32) * chosen[:, None], axis=0)


def knn(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample by the vote of its 5 nearest others; the mean is the accuracy.

    Cosine distance; a zero row is at distance 1 from every other. Samples that are as far as the fifth share the votes
    that are left to them, so their order does not matter. Equal votes go to the smaller class id.
    A sample is left out by its place, so a duplicate of it votes.

    Source: `KNeighborsClassifier(5, metric="cosine")` of scikit-learn, fitted without the sample.
    """
    return estimate_knn(features, labels, n_classes=n_classes).value
