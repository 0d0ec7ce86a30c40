"""Accuracy of the nearest neighbours, one sample left out."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels._linalg import matmul, units

NEIGHBOURS = 5
KNN_ROWS = 256  # compared with all samples at once


def knn(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample by the vote of its 5 nearest others; the mean is the accuracy.

    Cosine distance; a zero row is at distance 1 from every other. Equal votes go to the smaller class id.
    A sample is left out by its place, so a duplicate of it votes.

    Source: `KNeighborsClassifier(5, metric="cosine")` of scikit-learn, fitted without the sample.
    """
    samples = len(features)
    rows, _ = units(features)

    def hit(place: Int[Array, ""]) -> Float[Array, ""]:
        similar = matmul(rows, rows[place])
        nearest = lax.top_k(similar.at[place].set(-jnp.inf), NEIGHBOURS)[1]
        votes = jnp.sum(jax.nn.one_hot(labels[nearest], n_classes, dtype=features.dtype), axis=0)
        return (jnp.argmax(votes) == labels[place]).astype(features.dtype)

    return lax.map(hit, jnp.arange(samples), batch_size=min(KNN_ROWS, samples))
