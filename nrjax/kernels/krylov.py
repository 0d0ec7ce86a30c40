"""Leading principal components by block Krylov iteration: the parts of it.

    Q_1 = block,   P_i = A Q_i,   Q_(i+1) = orth(P_i - its part in Q_1 .. Q_i),   Rayleigh-Ritz on Q_1 .. Q_i

A is `X' C X`, or `C X X' C` where there are fewer samples than dims; C is the centring matrix. `multiply` and
`multiply_samples` are the only programs that know the shape of the features. They read them twice and are written in
JAX. The rest is small and takes `numpy` or `jax.numpy` as its first argument: NumPy in float64 on a CPU and for TPUs,
JAX under `jit` and `enable_x64` on GPUs. Leading axes are models.

The residuals of the leading Ritz pairs say how far the result is off. Where the basis has grown too large, the leading
Ritz pairs take its place (thick restart). Features are not centred: `X' C Y` needs a centred Y only. Blocks are stored
as rows, because `X Q'` and `Y' X` then cost one read of the features each on a CPU, and the transposed forms up to
five.

Sources: Musco and Musco 2015, arXiv:1504.05477; Wu and Simon 2000, doi:10.1137/S0895479898334605.
"""

from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from nrjax._utils import arrays
from nrjax._utils.arrays import OneKind
from nrjax.kernels.error_bounds import subspace_error
from nrjax.kernels.linalg import centre, matmul, total

EXTRA = 6  # vectors in a block beyond n_components
ROUNDS = 2  # of making a block orthogonal to a basis in float32: each leaves 1e-7 of the part that was in the basis
SMALL_OVERLAP = 1e-4  # after which one round is enough
DEPENDENT = 1e-10  # squared length of a direction that rows of length one do not have


class Basis(NamedTuple):
    """Orthonormal rows, or rows of zeros, and what A makes of them."""

    vectors: arrays.Array  # [..., rows, side]
    products: arrays.Array  # [..., rows, side]
    matrix: arrays.Array  # [..., rows, rows], vectors times products: A within the basis


class RitzPairs(NamedTuple):
    """Approximations of the leading eigenvectors of A."""

    basis: Basis  # [..., kept, side]
    squares: arrays.Array  # [..., kept], Ritz values, descending
    rotation: arrays.Array  # [..., rows, kept], by which they came of the rows of the basis before


def block_width(n_components: int) -> int:
    """Vectors in a block."""
    return n_components + EXTRA


def multiply(
    features: Float[Array, "samples dims"], block: Float[Array, "width dims"],
    weights: Float[Array, " samples"] | None = None, axis_name: str | None = None,
) -> tuple[Float[Array, "samples width"], Float[Array, "width dims"]]:  # fmt: skip
    """Centred images of the samples on the rows of a block, and A times every row; A = X' C X."""
    images = centre(matmul(features, block.T), weights, axis_name)
    return images, total(matmul(images.T, features), axis_name)


def multiply_samples(
    features: Float[Array, "samples dims"], block: Float[Array, "width samples"]
) -> Float[Array, "samples width"]:
    """A times every row of a block, as columns; A = C X X' C."""
    block = block - jnp.mean(block, axis=1, keepdims=True)
    # Transposed within the same program, the product takes twice as long.
    directions = lax.optimization_barrier(matmul(block, features))
    return centre(matmul(features, directions.T), None, None)


def no_rows(models: tuple[int, ...], rows: int, side: int) -> Basis:
    """A basis of so many rows of zeros."""
    vectors = np.zeros((*models, rows, side))
    return Basis(vectors, vectors, np.zeros((*models, rows, rows)))


def extend(xp: ModuleType, basis: Basis, block: arrays.Array, products: arrays.Array) -> tuple[Basis, arrays.Array]:
    """The basis with one block more, and the block `[..., width, side]` that comes next."""
    vectors = xp.concatenate([basis.vectors, block], axis=-2)
    # Of the products with earlier vectors those of the later ones are taken: they contain less of the leading
    # components, so rounding has cost them less.
    overlap = products @ _t(vectors)
    rows = basis.vectors.shape[-2]
    upper = xp.concatenate([basis.matrix, _t(overlap[..., :rows])], axis=-1)
    matrix = xp.concatenate([upper, overlap], axis=-2)
    following = products - overlap @ vectors
    for _ in range(ROUNDS):
        following = orthonormal(xp, following)
        overlap = following @ _t(vectors)
        following = following - overlap @ vectors
        if xp is np and np.max(np.abs(overlap)) < SMALL_OVERLAP:
            break
    return Basis(vectors, xp.concatenate([basis.products, products], axis=-2), matrix), following


def ritz_pairs(xp: ModuleType, basis: Basis, kept: int) -> RitzPairs:
    """The leading Ritz pairs of a basis of at least `kept` rows."""
    values, rotation = xp.linalg.eigh((basis.matrix + _t(basis.matrix)) / 2)
    values, rotation = xp.maximum(values[..., ::-1][..., :kept], 0), rotation[..., ::-1][..., :kept]
    turn = _t(rotation)
    pairs = Basis(turn @ basis.vectors, turn @ basis.products, values[..., None] * xp.eye(kept))
    return RitzPairs(pairs, values, rotation)


def residuals(xp: ModuleType, pairs: RitzPairs, n_components: int, width: int) -> tuple[Any, arrays.Array]:
    """`subspace_error` of the leading components."""
    vectors, products, _ = pairs.basis
    outside = products[..., :width, :] - pairs.squares[..., :width, None] * vectors[..., :width, :]
    inside = outside @ _t(vectors)
    outside = outside - inside @ vectors
    return subspace_error(xp, pairs.squares, outside @ _t(outside), inside, n_components)


def orthonormal(xp: ModuleType, rows: OneKind) -> OneKind:
    """A basis of the rows, as orthonormal as their condition allows; rows of zeros for directions they do not have."""
    lengths = xp.sqrt(xp.sum(rows * rows, axis=-1, keepdims=True))
    unit = rows / xp.where(lengths > 0, lengths, 1)
    squares, axes = xp.linalg.eigh(unit @ _t(unit))
    present = squares > DEPENDENT
    scale = xp.where(present, 1 / xp.sqrt(xp.where(present, squares, 1)), 0)
    return _t(axes * scale[..., None, :]) @ unit


def _t(matrices: arrays.Array) -> arrays.Array:
    """Every matrix transposed."""
    return matrices.swapaxes(-1, -2)
