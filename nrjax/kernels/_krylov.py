"""Leading components by block Krylov iteration: a few reads of the features instead of a Gram matrix.

    Q_0 = leading directions of a sample of the rows
    repeat: Y = X Q',  rotate all blocks by Rayleigh-Ritz,  Q = orth(residuals of the leading pairs)

The residuals of Ritz pairs span the next Krylov block, so what certifies the result is also what the next
step needs; they also say when to stop, and when that is too far away. What the points are used for is asked when they
are good enough for most uses (`feels`), and iteration goes on where that is not enough. Only the leading Ritz vectors
are kept from step to step (thick restart).

The features are neither copied nor centred: `X' C Y` needs no more than a centred Y (C the centring matrix).
Blocks are rows `[block, dims]`: on CPU `X Q'` and `Y' X` in this layout cost one read each, transposed
ones up to five.

Musco and Musco 2015, arXiv:1504.05477; Wu and Simon 2000, doi:10.1137/S0895479898334605.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._batch import better, of_any
from nrjax.kernels._certificate import error_of_points
from nrjax.kernels._felt import Doubt, doubt
from nrjax.kernels._linalg import centre, devices_along, exponent_of, largest, matmul, orthonormal, total

EXTRA, EXTRA_LATER = 22, 6  # directions beyond n_components in the first block, and in those after it
KEPT = 2  # later blocks that are kept beside the size of the first
NARROWEST = 12  # of the features, times n_components + 14: below, `gram` is faster
MOST_STEPS = 8  # then `gram` is faster
SAMPLE = 16  # the first block comes from one row in so many,
MOST_SAMPLED = 1024  # but from no more than these
SAMPLE_STEPS = 2
RANDOM = 4  # directions of the first block that are random: what the sample has no trace of is found, too


Feels = Callable[[Float[Array, "samples components"], Doubt], Float[Array, ""]]


class Found(NamedTuple):
    """Of the components: what a `Projection` has, divided by a power of two, and what its use feels of its error."""

    points: Float[Array, "samples components"]
    values: Float[Array, " components"]
    error: Float[Array, ""]
    variation: Float[Array, ""]
    felt: Float[Array, ""]


class _Pairs(NamedTuple):
    """Ritz vectors as rows, and their images `C X v` as columns; largest first."""

    vectors: Float[Array, "found dims"]
    images: Float[Array, "samples found"]


def fits(shape: tuple[int, ...], n_components: int) -> bool:
    """Whether the blocks are small beside the features, so that iterating is worth it."""
    return NARROWEST * (n_components + 14) <= min(shape)


class _State(NamedTuple):
    """Between two steps: pairs, their residuals, how far points may be off, and how fast that falls."""

    steps: Int[Array, ""]
    pairs: _Pairs
    residuals: Float[Array, "later dims"]
    error: Float[Array, ""]
    rate: Float[Array, ""]


def krylov(
    features: Float[Array, "samples dims"], n_components: int, weights: Float[Array, " samples"],
    axis_name: str | None, max_error: float, finished: Callable[..., Float[Array, "samples components"]], feels: Feels,
) -> tuple[Found, Float[Array, "samples known"], Int[Array, ""]]:  # fmt: skip
    """What was found, the samples' images on more directions, and the exponent of two by which both were divided.

    `fits` must hold.

    Args:
      features: and the next three: see `pca`.
      n_components: static.
      weights: of the samples.
      axis_name: of a mesh.
      max_error: of the points, and of what their use feels, at which it is content.
      finished: the points, from them, the longest row and the variation: without what is rounding.
      feels: what the use of the points feels, as a share of them.
    """
    width, later = n_components + EXTRA, n_components + EXTRA_LATER
    local, enough = len(features), jnp.asarray(max_error, features.dtype)
    devices = devices_along(axis_name)
    sampled = min(local, max(MOST_SAMPLED // devices, 1), max(local // SAMPLE, 4 * width // devices))
    rows, kept = (x[:: local // sampled][:sampled] for x in (features, weights))
    exponent = exponent_of(rows, axis_name)
    scale = jnp.ldexp(jnp.ones((), features.dtype), -exponent)
    lengths = jnp.sum((scale * rows) ** 2, axis=1)  # of a few rows: enough to know what their rounding is
    longest = jnp.sqrt(largest(jnp.max(lengths), axis_name))
    count = jnp.maximum(total(jnp.sum(weights), axis_name) / total(jnp.sum(kept), axis_name), 1)
    size = jnp.sqrt(count * total(jnp.sum(lengths * kept), axis_name))

    def image(block: Float[Array, "width dims"]) -> Float[Array, "samples width"]:
        return centre(scale * matmul(features, block.T), weights, axis_name)

    def grown(pairs: _Pairs, block: Float[Array, "width dims"], keep: int) -> _Pairs:
        """The leading `keep` Ritz pairs of what is spanned with one more block."""
        vectors = jnp.concatenate([pairs.vectors, block])
        images = jnp.concatenate([pairs.images, image(block)], axis=1)
        rotation = jnp.linalg.eigh(total(matmul(images.T, images), axis_name))[1][:, ::-1][:, :keep]
        return _Pairs(matmul(rotation.T, vectors), matmul(images, rotation))

    def squares_of(pairs: _Pairs) -> Float[Array, " found"]:
        return total(jnp.sum(pairs.images**2, axis=0), axis_name)

    def residuals_of(pairs: _Pairs, squares: Float[Array, " found"]) -> Float[Array, "later dims"]:
        """Of the leading pairs."""
        multiplied = total(scale * matmul(pairs.images[:, :later].T, features), axis_name)
        return multiplied - squares[:later, None] * pairs.vectors[:later]

    def step(pairs: _Pairs, residuals: Float[Array, "later dims"], keep: int):
        """One block more: the pairs, their residuals, and how far the points may be off."""
        pairs = grown(pairs, orthonormal(residuals, pairs.vectors), keep)
        squares = squares_of(pairs)
        residuals = residuals_of(pairs, squares)
        points = pairs.images[:, :n_components]
        error = error_of_points(points, squares, residuals, pairs.vectors, n_components, weights, axis_name)
        return pairs, residuals, error

    def next_step(state: _State) -> _State:
        found = step(state.pairs, state.residuals, width + KEPT * later)
        rate = found[-1] / state.error
        pairs, residuals, error = better(found, (state.pairs, state.residuals, state.error), enough)
        return _State(state.steps + 1, pairs, residuals, error, rate)

    def goes_on(state: _State, goal: Float[Array, ""]) -> Bool[Array, ""]:
        # twice as fast as in the last step it would get there in time
        hopeless = state.error * jnp.minimum(state.rate, 1) ** (2 * (MOST_STEPS - state.steps)) > goal
        return of_any((state.steps < MOST_STEPS) & ~(state.error <= goal) & ~hopeless)

    def result(state: _State) -> Found:
        squares = squares_of(state.pairs)
        values = jnp.sqrt(squares[:n_components])
        variation = jnp.linalg.norm(values) / jnp.maximum(size, jnp.finfo(features.dtype).tiny)
        points = finished(state.pairs.images[:, :n_components], longest, variation)
        left = doubt(state.pairs.images, squares, state.residuals, state.pairs.vectors, n_components, axis_name)
        return Found(points, values, state.error, variation, feels(points, left))

    def judged(carry):
        """Steps until the points are good enough, and what their use feels then; it grows as the points' error."""
        state, goal, *_ = carry
        state = lax.while_loop(lambda state: goes_on(state, goal), next_step, state)
        found = result(state)
        more = (state.error <= goal) & (found.felt > max_error)
        goal = jnp.where(more, jnp.minimum(state.error, goal) * max_error / (2 * found.felt), goal)
        return state, goal, found, goes_on(state, goal)  # by the goal that it had it goes on no longer

    first = _start(rows, kept, scale, width, axis_name)
    pairs = grown(_Pairs(first[:0], jnp.zeros((local, 0), features.dtype)), first, width)
    pairs, residuals, error = step(pairs, residuals_of(pairs, squares_of(pairs)), width + later)  # one at least
    spare = (KEPT - 1) * later
    pairs = _Pairs(jnp.pad(pairs.vectors, ((0, spare), (0, 0))), jnp.pad(pairs.images, ((0, 0), (0, spare))))
    start = _State(jnp.asarray(1), pairs, residuals, error, jnp.zeros_like(error))
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(result, start))
    carry = (start, jnp.full_like(error, max_error), nothing, jnp.asarray(True))
    state, _, found, _ = lax.while_loop(lambda carry: carry[-1], judged, carry)
    return found, state.pairs.images[:, :width], exponent


def _start(
    rows: Float[Array, "sampled dims"],
    weights: Float[Array, " sampled"],
    scale: Float[Array, ""],
    width: int,
    axis_name: str | None,
) -> Float[Array, "width dims"]:
    """Directions of most variance in a few rows, by subspace iteration, and a few random ones."""
    random = jax.random.normal(jax.random.key(0), (width, rows.shape[1]), rows.dtype)
    block = random[RANDOM:]
    for _ in range(1 + SAMPLE_STEPS):
        images = centre(scale * matmul(rows, block.T), weights, axis_name)
        block = orthonormal(total(scale * matmul(images.T, rows), axis_name), passes=1)
    return orthonormal(jnp.concatenate([block, random[:RANDOM]]))
