"""How well samples cluster without labels: spherical k-means on the components, and what speaks for its clusters.

    maximise  sum of cos(v_i, c(i))    over centres c and the assignment of samples to them

`clusters` is the cosine silhouette of the clusters. `stability` says whether two halves of the samples lead to the same
ones: the adjusted Rand index of the assignments of all samples to either half's centres.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from nrjax.kernels.linalg import matmul, one_hot, or_one
from nrjax.kernels.pca import pca

COMPONENTS = 10
STARTS, STEPS = 6, 25
CHOICES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32)  # of the number of clusters, where none is given
FEWEST = 5  # samples a cluster, on average, of a number that is chosen

Rows = Float[Array, "samples components"]
Weights = Float[Array, " samples"]
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
    return _best(_unit_rows(features), n_classes)[0]


def stability(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Adjusted Rand index of the clusters that two halves of the samples lead to: 1 the same, 0 as by chance.

    Arguments as for `clusters`. Source: Hubert and Arabie 1985, doi:10.1007/BF01908075.
    """
    rows = _unit_rows(features)
    most = max(_choices(n_classes, len(rows)))
    wanted = jnp.array(n_classes) if n_classes else _best(rows, n_classes)[1]
    in_first = np.random.default_rng(1).permutation(len(rows)) < len(rows) // 2
    halves = jnp.array([in_first, ~in_first], rows.dtype)
    first, second = lax.map(lambda half: _assigned(rows, half, wanted, most), halves)
    return adjusted_rand(first, second, most)


def cluster_ids(rows: Rows, n_clusters: int) -> Int[Array, " samples"]:
    """The cluster of every row of length 1."""
    return _assigned(rows, jnp.ones(len(rows), rows.dtype), jnp.asarray(n_clusters), n_clusters)


def _unit_rows(features: Float[Array, "samples dims"]) -> Rows:
    """Samples on the leading components, of length 1, in an order of their own: starts do not depend on theirs."""
    samples, dims = features.shape
    features = features[jnp.argsort(jnp.sum(features * jnp.cos(jnp.arange(dims, dtype=features.dtype)), axis=1))]
    scaled = features / or_one(jnp.max(jnp.abs(features)))  # points do not overflow
    points = pca(scaled, min(COMPONENTS, samples - 1, dims)).points
    return points / or_one(_lengths(points))


def _choices(n_clusters: int, samples: int) -> tuple[int, ...]:
    """Numbers of clusters that are tried."""
    return (n_clusters,) if n_clusters else tuple(k for k in CHOICES if k * FEWEST <= samples) or CHOICES[:1]


def _best(rows: Rows, n_clusters: int) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The highest silhouette of all numbers of clusters, and the number."""
    choices = _choices(n_clusters, len(rows))
    most, every = max(choices), jnp.ones(len(rows), rows.dtype)

    def try_number(best: tuple[Array, Array], wanted: Int[Array, ""]) -> tuple[tuple[Array, Array], None]:
        silhouette = _silhouette(rows, _assigned(rows, every, wanted, most), most)
        return _better(best, (silhouette, wanted)), None

    start = jnp.array(-jnp.inf, rows.dtype), jnp.array(0)
    return lax.scan(try_number, start, jnp.array(choices))[0]  # one program for all numbers of clusters


def _silhouette(rows: Rows, ids: Int[Array, " samples"], most: int) -> Float[Array, ""]:
    """Mean cosine silhouette of rows of length 1 or 0, whose distances add up to sizes less cosines with sums."""
    own = one_hot(ids, most, rows.dtype)
    sizes, cosines = jnp.sum(own, axis=0), matmul(rows, matmul(own.T, rows).T)
    others = matmul(own, sizes) - 1
    a = (others - jnp.sum(own * cosines, axis=1) + jnp.sum(rows * rows, axis=1)) / or_one(others)
    b = jnp.min(jnp.where((own > 0) | (sizes == 0), jnp.inf, 1 - cosines / or_one(sizes)), axis=1)
    larger = jnp.maximum(a, b)  # infinite where all are one cluster
    return jnp.mean(jnp.where((others > 0) & (larger > 0) & (larger < jnp.inf), (b - a) / larger, 0))


@functools.partial(jax.jit, static_argnames="most")
def _assigned(rows: Rows, weights: Weights, wanted: Int[Array, ""], most: int) -> Int[Array, " samples"]:
    """The cluster of every row, of `wanted` ones with room for `most`, by the best of several runs of k-means."""

    def run(best: tuple[Array, Centres], chances: Float[Array, " clusters"]) -> tuple[tuple[Array, Centres], None]:
        def step(state: tuple[Array, Centres, Array]) -> tuple[Array, Centres, Array]:
            moved = _moved(rows, weights, state[1], wanted)
            return state[0] + 1, moved, jnp.any(moved != state[1])

        start = jnp.array(0), _start(rows, weights, chances), jnp.array(True)
        _, centres, _ = lax.while_loop(lambda state: state[2] & (state[0] < STEPS), step, start)
        fit = jnp.sum(weights * jnp.max(_cosines(rows, centres, wanted), axis=0))
        return _better(best, (fit, centres)), None

    chances = jnp.asarray(np.random.default_rng(0).random((STARTS, most)), rows.dtype)
    start = jnp.array(-jnp.inf, rows.dtype), jnp.zeros((most, rows.shape[1]), rows.dtype)
    (_, centres), _ = lax.scan(run, start, chances)
    return lax.argmax(_cosines(rows, centres, wanted), 0, jnp.int32)


def _better(best: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """The pair whose first is larger."""
    is_better = other[0] > best[0]
    return jnp.maximum(*(pair[0] for pair in (best, other))), lax.select(
        jnp.broadcast_to(is_better, best[1].shape), other[1], best[1]
    )


def _start(rows: Rows, weights: Weights, chances: Float[Array, " clusters"]) -> Centres:
    """k-means++: each centre is a row, drawn in proportion to how far it is from those before."""

    def draw(far: Weights, chance: Float[Array, ""]) -> tuple[Weights, Float[Array, " components"]]:
        heights = jnp.cumsum(jnp.where(jnp.sum(far) > 0, far, weights))
        place = jnp.sum(heights <= chance * heights[-1])
        centre = lax.dynamic_index_in_dim(rows, jnp.minimum(place, len(rows) - 1), keepdims=False)
        return jnp.minimum(far, weights * jnp.maximum(1 - matmul(rows, centre), 0)), centre

    return lax.scan(draw, 2 * weights, chances)[1]  # 2 is the largest distance


def _moved(rows: Rows, weights: Weights, centres: Centres, wanted: Int[Array, ""]) -> Centres:
    """One step: the direction of each cluster's sum; a cluster without samples stays where it is."""
    cosines = _cosines(rows, centres, wanted)
    is_nearest = cosines == jnp.max(cosines, axis=0)  # a zero row is as near to all, and moves none
    sums = matmul(is_nearest * weights, rows)
    lengths = _lengths(sums)
    return sums / or_one(lengths) + (lengths == 0).astype(rows.dtype) * centres


def _lengths(rows: Rows) -> Float[Array, "rows 1"]:
    return jnp.sqrt(jnp.sum(rows * rows, axis=1, keepdims=True))


def _cosines(rows: Rows, centres: Centres, wanted: Int[Array, ""]) -> Float[Array, "clusters samples"]:
    """Of centres with rows; those beyond the number that is wanted are never near."""
    return jnp.where(jnp.arange(len(centres))[:, None] < wanted, matmul(centres, rows.T), -jnp.inf)


def adjusted_rand(first: Int[Array, " samples"], second: Int[Array, " samples"], n_clusters: int) -> Float[Array, ""]:
    """Of two assignments of the same samples."""
    table = matmul(one_hot(first, n_clusters, jnp.float32).T, one_hot(second, n_clusters, jnp.float32))

    def pairs(counts: Array) -> Array:
        return (jnp.sum(counts * counts) - len(first)) / 2

    together, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = len(first) * (len(first) - 1) / 2
    by_chance, most = rows * columns / everything, (rows + columns) / 2
    return jnp.where(most > by_chance, (together - by_chance) / (most - by_chance), 1.0)
