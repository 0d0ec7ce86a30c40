"""How well samples cluster without labels: spherical k-means on the components, and what speaks for its clusters.

    maximise  sum of cos(v_i, c(i))    over centres c and the assignment of samples to them

The score is the cosine silhouette of the clusters that are found; the other one, their stability, says whether two
halves of the samples find the same ones (adjusted Rand index of the assignments of all samples to either's centres).
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.linalg import exponent_of, matmul, units
from nrjax.kernels.pca import pca
from nrjax.kernels.silhouette import silhouette_samples

COMPONENTS = 10
STARTS, STEPS = 4, 25
CHOICES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32)  # of the number of clusters, where none is given
FEWEST = 5  # samples a cluster, on average, of a number that is chosen

Rows = Float[Array, "samples components"]
Centres = Float[Array, "clusters components"]


def clusters(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Cosine silhouette of the clusters of one model's samples, in [-1, 1]; higher is better.

    Args:
      features: finite.
      labels: not read.
      n_classes: number of clusters; 0 takes the number of `CHOICES` whose silhouette is highest.

    Source: Dhillon and Modha 2001, doi:10.1023/A:1007612920971; k-means++ starts, Arthur and Vassilvitskii 2007.
    """
    return _found(features, n_classes)[0]


def stability(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Adjusted Rand index of the clusters that two halves of the samples find: 1 the same, 0 as by chance.

    Arguments as for `clusters`. Source: Hubert and Arabie 1985, doi:10.1007/BF01908075.
    """
    return _found(features, n_classes)[1]


def cluster_ids(rows: Rows, n_clusters: int) -> Int[Array, " samples"]:
    """The cluster of every row of length 1."""
    return _nearest(rows, _centres(rows, jnp.asarray(n_clusters), n_clusters), jnp.asarray(n_clusters))


def _found(features: Float[Array, "samples dims"], n_clusters: int) -> tuple[Float[Array, ""], Float[Array, ""]]:
    samples, dims = features.shape
    # Samples in an order of their own, so that the same ones are drawn whatever order they come in.
    features = features[jnp.argsort(jnp.sum(features * jnp.cos(jnp.arange(dims, dtype=features.dtype)), axis=1))]
    scaled = features * jnp.ldexp(jnp.ones((), features.dtype), -exponent_of(features))  # points do not overflow
    points = pca(scaled, min(COMPONENTS, samples - 1, dims)).points
    rows, _ = units(points)
    choices = (n_clusters,) if n_clusters else tuple(k for k in CHOICES if k * FEWEST <= samples) or CHOICES[:1]
    judged = functools.partial(_judged, rows, most=max(choices))
    silhouettes, agreements = lax.map(judged, jnp.array(choices))  # one program for all numbers of clusters
    best = jnp.argmax(silhouettes)
    return silhouettes[best], agreements[best]


def _judged(rows: Rows, wanted: Int[Array, ""], *, most: int) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Silhouette and stability of so many clusters; there is room for `most`."""
    ids = _nearest(rows, _centres(rows, wanted, most), wanted)
    each = silhouette_samples(rows, ids, n_classes=most)
    silhouette = jnp.mean(jnp.where(jnp.isfinite(each), each, 0))  # where all are one cluster there is no other
    mixed = jax.random.permutation(jax.random.key(1), jnp.arange(len(rows), dtype=jnp.int32))
    halves = mixed[: len(rows) // 2], mixed[len(rows) // 2 :]
    one, other = (_nearest(rows, _centres(rows[half], wanted, most), wanted) for half in halves)
    return silhouette, adjusted_rand(one, other, most)


def _centres(rows: Rows, wanted: Int[Array, ""], most: int) -> Centres:
    """The best of several runs of spherical k-means."""

    def one(key: Array) -> tuple[Centres, Float[Array, ""]]:
        start = _start(rows, most, key)
        centres, _ = lax.scan(lambda so_far, _: (_moved(rows, so_far, wanted), None), start, None, STEPS)
        return centres, jnp.sum(jnp.max(_cosines(rows, centres, wanted), axis=1))

    centres, fits = jax.vmap(one)(jax.random.split(jax.random.key(0), STARTS))
    return centres[jnp.argmax(fits)]


def _start(rows: Rows, most: int, key: Array) -> Centres:
    """k-means++: each centre is a row, drawn by how far it is from those before."""
    keys = jax.random.split(key, most)
    first = rows[jax.random.randint(keys[0], (), 0, len(rows), jnp.int32)]

    def draw(far: Float[Array, " samples"], key: Array) -> tuple[Float[Array, " samples"], Float[Array, " components"]]:
        chance = jnp.where(jnp.sum(far) > 0, far, 1)
        centre = rows[jax.random.categorical(key, jnp.log(chance))]
        return jnp.minimum(far, jnp.maximum(1 - matmul(rows, centre), 0)), centre

    _, others = lax.scan(draw, jnp.maximum(1 - matmul(rows, first), 0), keys[1:])
    return jnp.concatenate([first[None], others])


def _moved(rows: Rows, centres: Centres, wanted: Int[Array, ""]) -> Centres:
    """One step: the direction of each cluster's sum; a cluster without samples stays where it is."""
    sums = jax.ops.segment_sum(rows, _nearest(rows, centres, wanted), len(centres))
    directions, is_zero = units(sums)
    return jnp.where(is_zero[:, None] > 0, centres, directions)


def _nearest(rows: Rows, centres: Centres, wanted: Int[Array, ""]) -> Int[Array, " samples"]:
    return jnp.argmax(_cosines(rows, centres, wanted), axis=1).astype(jnp.int32)


def _cosines(rows: Rows, centres: Centres, wanted: Int[Array, ""]) -> Float[Array, "samples clusters"]:
    """Of rows with centres; those beyond the number that is wanted are never near."""
    return jnp.where(jnp.arange(len(centres)) < wanted, matmul(rows, centres.T), -jnp.inf)


def adjusted_rand(one: Int[Array, " samples"], other: Int[Array, " samples"], n_clusters: int) -> Float[Array, ""]:
    """Of two assignments of the same samples."""
    size = n_clusters * n_clusters
    table = jnp.zeros(size, jnp.float32).at[one * n_clusters + other].add(1).reshape(n_clusters, n_clusters)

    def pairs(counts: Array) -> Array:
        return jnp.sum(counts * (counts - 1) / 2)

    together, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = len(one) * (len(one) - 1) / 2
    by_chance, most = rows * columns / everything, (rows + columns) / 2
    return jnp.where(most > by_chance, (together - by_chance) / (most - by_chance), 1.0)
