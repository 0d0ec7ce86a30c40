"""Leading eigenvectors of a Gram matrix without the others: products with a block instead of a decomposition.

    repeat: V = T_d((2 G - a) / a) V,  then Rayleigh-Ritz on what it spans

The Chebyshev polynomial T_d is at most 1 on [0, a] and grows faster than any other above; `a` is the least Ritz
value of the block. It can grow so fast that the largest directions drown the others in rounding: those that are known
are taken out of G, and d is no larger than the rest allows. Models of a batch iterate together. Where that would take
longer than a decomposition, it is a decomposition.

Zhou, Saad, Tiago and Chelikowsky 2006, doi:10.1016/j.jcp.2006.03.017.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels._batch import better, of_any
from nrjax.kernels._linalg import matmul, orthonormal

EXTRA = 22  # directions in the block beyond those that have to be exact: the lower its last, the faster they converge
NARROWEST = 6  # blocks; below, a decomposition costs no more
FIRST, LONGEST = 4, 24  # products in the first filter, then twice as many in each, up to
AROUND = 4  # products take as long as what is between two filters
AFFORDED = 5  # rows a product: more products take longer than a decomposition


class _State(NamedTuple):
    """Between two filters.

    Attributes:
      vectors: of Ritz, as rows.
      values: theirs, descending.
      turned: how far those that have to be exact may be, 0 where that is rounding.
      products: with G, or what takes as long, so far.
      longest: filter that comes next.
      error: the largest of `turned`.
    """

    vectors: Float[Array, "block rows"]
    values: Float[Array, " block"]
    turned: Float[Array, " exact"]
    products: Int[Array, ""]
    longest: Int[Array, ""]
    error: Float[Array, ""]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def leading_vectors(gram: Float[Array, "rows rows"], n_exact: int, n_wanted: int) -> Float[Array, "rows wanted"]:
    """Orthonormal columns, descending.

    Args:
      gram: symmetric, of no negative eigenvalues.
      n_exact: static; so many span what the eigenvectors do, as far as the type resolves that.
      n_wanted: static; the others are approximations.
    """
    rows, width = len(gram), max(n_exact + EXTRA, n_wanted)
    if rows < NARROWEST * width:
        return _decomposed(gram, n_wanted)
    eps = float(jnp.finfo(gram.dtype).eps)
    enough = eps**0.7  # 1e-5 in float32, where rounding of the Gram matrix turns them as far

    def least(state: _State) -> Float[Array, ""]:
        return jnp.maximum(state.values[-1], eps * state.values[0])

    def growth(state: _State, value: Float[Array, ""]) -> Float[Array, ""]:
        """Logarithm of what one degree more multiplies a direction of this value by."""
        return jnp.maximum(jnp.arccosh(jnp.maximum(2 * value / least(state) - 1, 1)), 1e-3)

    def whole(block: Float[Array, "block rows"]) -> Float[Array, "block rows"]:
        """With random directions in place of those that were lost to rounding."""
        lost = ~jnp.any(block != 0, axis=1)
        filled = functools.partial(jnp.where, lost[:, None])
        return lax.cond(of_any(jnp.any(lost)), lambda: filled(orthonormal(random, block), block), lambda: block)

    def ritz(block: Float[Array, "block rows"], before: Float[Array, " exact"], products, longest) -> _State:
        block = whole(orthonormal(block))
        images = matmul(block, gram)
        values, rotation = jnp.linalg.eigh(matmul(images, block.T))
        values, rotation = values[::-1], rotation[:, ::-1].T
        vectors, images = matmul(rotation, block), matmul(rotation, images)
        residuals = images - values[:, None] * vectors
        lengths = jnp.linalg.norm(residuals[:n_exact], axis=1)
        gaps = jnp.maximum(values[:n_exact] - values[-1], eps * values[0])
        turned = lengths / gaps
        rounding = (lengths <= 4 * eps * values[0]) & (turned > before / 2)  # of the products; it gets no less
        turned = jnp.where(rounding | (lengths <= eps * values[0]), 0, turned)
        return _State(vectors, values, turned, products + AROUND, longest, jnp.max(turned))

    def missing(state: _State) -> Float[Array, ""]:
        """Products until the slowest is exact."""
        return jnp.log(jnp.maximum(state.error / enough, 1)) / growth(state, state.values[n_exact - 1])

    def filtered(state: _State) -> _State:
        known = jnp.pad(state.turned <= enough, (0, width - n_exact))
        top = jnp.maximum(jnp.max(jnp.where(known, 0, state.values)), least(state))
        room = 0.4 * math.log(1 / eps) / growth(state, top)  # below 1 / sqrt(eps), or `orthonormal` loses the others
        degree = jnp.clip(jnp.minimum(room, missing(state) + 1), 1, state.longest).astype(state.products.dtype)
        out, half = jnp.where(known[:, None], state.vectors, 0), least(state) / 2

        def shifted(block: Float[Array, "block rows"]) -> Float[Array, "block rows"]:
            images = matmul(block, gram)
            return (images - matmul(matmul(block, out.T) * state.values, out)) / half - block

        def term(_, carry):  # T_{d+1}(x) = 2 x T_d(x) - T_{d-1}(x), each divided by what it is at the top
            before, now, ratio = carry
            following = 1 / (2 * at_top - ratio)
            return now, following * (2 * shifted(now) - ratio * before), following

        at_top = top / half - 1
        begin = state.vectors, shifted(state.vectors) / at_top, 1 / at_top
        block = lax.fori_loop(1, degree, term, begin)[1]
        block = jnp.where(known[:, None], state.vectors, block)
        return ritz(block, state.turned, state.products + degree, jnp.minimum(2 * state.longest, LONGEST))

    def goes_on(state: _State) -> Bool[Array, ""]:
        return of_any(~(state.error <= enough) & (state.products + missing(state) < rows / AFFORDED))

    random = jax.random.normal(jax.random.key(0), (width, rows), gram.dtype)
    unknown = jnp.full(n_exact, jnp.inf, gram.dtype)
    state = ritz(matmul(orthonormal(random), gram), unknown, jnp.asarray(1), jnp.asarray(FIRST))
    state = lax.while_loop(goes_on, lambda state: better(filtered(state), state, enough), state)
    found = state.vectors[:n_wanted].T
    return lax.cond(of_any(~(state.error <= enough)), lambda: _decomposed(gram, n_wanted), lambda: found)


def _decomposed(gram: Float[Array, "rows rows"], n_wanted: int) -> Float[Array, "rows wanted"]:
    return jnp.linalg.eigh(gram)[1][:, ::-1][:, :n_wanted]


@leading_vectors.defjvp
def _derivative(n_exact: int, n_wanted: int, primals, tangents):
    """The derivatives know all eigenvectors."""
    return jax.jvp(lambda gram: _decomposed(gram, n_wanted), primals, tangents)
