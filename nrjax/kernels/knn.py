"""Accuracy of the nearest neighbours, one sample left out."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

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
    """`knn`, and the share of samples whose vote rounding could turn: their fifth and sixth are as good as tied.

    Cosine distance is half the squared difference of unit vectors. A product of all with all, around their mean, so
    that nearly parallel rows keep their digits, finds a few more candidates than needed, in float32 (`gram`) or in the
    features' own type (`svd`); the differences to these are then squared one by one.
    """
    samples = len(features)
    rows, is_zero = units(features)
    around = (rows - jnp.mean(rows, axis=0)).astype(jnp.float32 if solver == "gram" else rows.dtype)
    squares = jnp.sum(around * around, axis=1)
    eps, coarse = jnp.finfo(features.dtype).eps, jnp.finfo(around.dtype).eps
    count = min(NEIGHBOURS + 1, samples - 1)
    candidates = min(CANDIDATES, samples - 1)

    def judged(place: Int[Array, ""]) -> tuple[Int[Array, ""], Float[Array, ""]]:
        far = squares[place] + squares - 2 * matmul(around, around[place])
        far = jnp.where((is_zero > 0) | (is_zero[place] > 0), 2, far).at[place].set(jnp.inf)
        seen = lax.top_k(-far, candidates)[1]
        seen = jnp.sort(seen)  # the first of equals first
        differences = rows[seen] - rows[place]
        distances = jnp.sum(differences * differences, axis=1)
        distances = jnp.where((is_zero[seen] > 0) | (is_zero[place] > 0), 2, distances)
        order = jnp.argsort(distances)[:count]
        nearest, near = seen[order], distances[order]
        own = labels[place]
        votes = jnp.sum(jax.nn.one_hot(labels[nearest[:NEIGHBOURS]], n_classes, dtype=jnp.int32), axis=0)
        named = jnp.argmax(votes)
        if count == NEIGHBOURS:  # all there are
            return named, jnp.zeros((), features.dtype)
        tied = near[-1] - near[-2] <= 4 * eps * (near[-1] + jnp.sqrt(near[-1]))
        last = jnp.max(jnp.where(jnp.isfinite(far[seen]), far[seen], -jnp.inf))
        missed = (last - 4 * coarse * (squares[place] + jnp.max(squares)) <= near[-1]) & (candidates < samples - 1)
        others = jnp.max(jnp.where(jnp.arange(n_classes) == own, -1, votes))
        apart = jnp.abs(votes[own] - others) > 2  # one neighbour for another turns no such vote
        alike = labels[nearest[-1]] == labels[nearest[-2]]
        return named, ((tied & ~apart & ~alike) | (missed & ~apart)).astype(features.dtype)

    named, unsure = map_blocks(judged, jnp.arange(samples), KNN_ROWS)
    return Estimate((named == labels).astype(features.dtype), jnp.mean(unsure), named)


def knn(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample by the vote of its 5 nearest others; the mean is the accuracy.

    Cosine distance; a zero row is at distance 1 from every other. Equal votes go to the smaller class id.
    A sample is left out by its place, so a duplicate of it votes.

    Source: `KNeighborsClassifier(5, metric="cosine")` of scikit-learn, fitted without the sample.
    """
    return estimate_knn(features, labels, n_classes=n_classes).value
