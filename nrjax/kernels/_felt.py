"""How much a score moves with what its points may be off by.

A share of the points that is off says little of the score: displacements of single samples cancel in its mean, those of
whole classes do not, and the closer classes lie the more they count. So displacements as large as they may be are
drawn, of some samples, and the score's derivative along each says how far it would move:

    e = sum over j of  n_ij towards_ij C X v_j  +  outside,    n_ij normal
    felt = SAFETY sqrt(mean of (D score . e)^2)

What no pair spans is drawn as if it lay like the pairs at the largest square that may be there, and is as large.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nrjax.kernels._certificate import Turned, turned
from nrjax.kernels._linalg import devices_along, matmul, total
from nrjax.kernels._silhouette import is_linear, silhouette_estimate

LINEAR_SAMPLES, SAMPLES = 1024, 512  # that are looked at; all pairs of them where silhouettes need that
DRAWS, SAFETY = 4, 4
LAST = 4  # of the judged pairs stand for what is outside


class Doubt(NamedTuple):
    """Where points may be displaced to: images `C X v` of pairs beside the components, and how far towards each."""

    images: Float[Array, "some others"]
    tangents: Float[Array, "components others"]


def some_of(rows, axis_name: str | None, most: int = LINEAR_SAMPLES):
    """As many rows as are looked at, always the same; at random, for labels may repeat at even distances."""
    count = max(most // devices_along(axis_name), 1)
    return rows if len(rows) <= count else rows[np.random.default_rng(0).choice(len(rows), count, replace=False)]


def doubt(
    images: Float[Array, "samples known"],
    squares: Float[Array, " found"],
    residuals: Float[Array, "judged width"],
    vectors: Float[Array, "found width"],
    n_components: int,
    axis_name: str | None = None,
) -> Doubt:
    """Of Ritz pairs and the images of the leading ones; see `turned`. What lies in other pairs counts as outside."""
    others = some_of(images, axis_name)[:, n_components : len(squares)]
    if len(squares) <= n_components:  # all there are: nothing lies outside
        return Doubt(others, jnp.zeros((n_components, 0), images.dtype))
    turns: Turned = turned(squares, residuals, vectors, n_components)
    end = min(len(residuals), len(squares) - 1) + 1  # behind that of `mu`
    start = max(end - LAST, n_components)
    near = squares[start:end]
    scale = jnp.sqrt(turns.mu / jnp.where(near > 0, near, 1) / len(near))
    outside = (turns.outside[:, None] * scale) ** 2
    tangents = (turns.towards**2).at[:, start - n_components : end - n_components].add(outside)
    return Doubt(others, jnp.sqrt(tangents)[:, : others.shape[1]])


def drawn(shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers, always the same."""
    return np.random.default_rng(0).normal(size=shape)


def felt(
    points: Float[Array, "samples components"], labels: Int[Array, " samples"], doubt: Doubt, *, distance: str,
    weights: Float[Array, " samples"], axis_name: str | None = None, **options,
) -> Float[Array, ""]:  # fmt: skip
    """What the mean silhouette may be off by, where the points are off as in `doubt`; options of `silhouette_score`."""
    most = LINEAR_SAMPLES if is_linear(distance, options.get("method", "auto")) else SAMPLES
    points, labels, weights = (some_of(some_of(x, axis_name), axis_name, most) for x in (points, labels, weights))
    others = some_of(doubt.images, axis_name, most)
    normal = jnp.asarray(drawn((DRAWS, *doubt.tangents.shape)), points.dtype)  # numbers compile faster than a generator
    displacements = matmul(others, jnp.swapaxes(normal * doubt.tangents, 1, 2))

    def mean(points: Float[Array, "some components"]) -> Float[Array, ""]:
        found = silhouette_estimate(
            points, labels, distance=distance, weights=weights, axis_name=axis_name, careful=False, **options
        )
        sums = total(jnp.stack([jnp.sum(found.value * weights), jnp.sum(weights)]), axis_name)
        return sums[0] / sums[1]

    moved = jax.vmap(lambda displacement: jax.jvp(mean, (points,), (displacement,))[1])(displacements)
    return SAFETY * jnp.sqrt(jnp.mean(moved**2))
