"""Leading principal components by block Krylov iteration: the parts of one step.

    Q = block,   Y = C X Q',   P = Y' X,   Rayleigh-Ritz on the kept vectors and Q,   Q = orth(residuals)

`multiply` is the only program that knows the width of the features. It reads them twice and is written in JAX. The rest
is small. `expand` and what follows it take `numpy` or `jax.numpy` as their first argument: NumPy in float64 on a CPU
and for TPUs, JAX under `jit` and `enable_x64` on GPUs. Leading axes are models.

The residuals of the leading Ritz pairs span the next Krylov block, so the same numbers certify the result and continue
the iteration. The leading `2 * width` Ritz pairs are kept from step to step (thick restart). Features are not centred:
`X' C Y` with the centring matrix C needs a centred Y only. Blocks are stored as rows, `[width, dims]`, because
`X Q'` and `Y' X` then cost one read of the features each on a CPU, and the transposed forms up to five.

Sources: Musco and Musco 2015, arXiv:1504.05477; Wu and Simon 2000, doi:10.1137/S0895479898334605.
"""

from types import ModuleType
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from nrjax.kernels.error_bounds import subspace_error
from nrjax.kernels.linalg import centre, matmul, total

EXTRA = 6  # vectors in a block beyond n_components


class RitzPairs(NamedTuple):
    """Orthonormal approximations of the leading eigenvectors of A = X' C X, as rows; zero rows where there are none."""

    vectors: Any  # [..., kept, dims]
    products: Any  # [..., kept, dims], A times every vector
    squares: Any  # [..., kept], Ritz values, descending


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


def no_pairs(xp: ModuleType, models: tuple[int, ...], width: int, dims: int) -> RitzPairs:
    """Pairs of zeros, to start from."""
    return RitzPairs(xp.zeros((*models, 2 * width, dims)), xp.zeros((*models, 2 * width, dims)),
                     xp.zeros((*models, 2 * width)))  # fmt: skip


def expand(xp: ModuleType, pairs: RitzPairs, block: Any, products: Any) -> tuple[RitzPairs, Any]:
    """Rayleigh-Ritz on the kept vectors and one block more.

    Returns:
      The leading pairs, and the matrix `[..., kept + width, kept]` that turns `[images of the pairs, images of the
      block]` into images of the new pairs.
    """
    kept = pairs.vectors.shape[-2]
    # The block is orthonormal only as far as float32 goes; what it lacks is made up for here, exactly.
    overlap = block @ _t(pairs.vectors)
    block, products = block - overlap @ pairs.vectors, products - overlap @ pairs.products
    squares, axes = xp.linalg.eigh(block @ _t(block))
    present = squares > 1e-6
    scale = _t(axes) * xp.where(present, 1 / xp.sqrt(xp.where(present, squares, 1)), 0)[..., None]
    block, products = scale @ block, scale @ products
    coupling = pairs.products @ _t(block)
    corner = block @ _t(products)
    diagonal = pairs.squares[..., None] * xp.eye(kept)
    rows = [xp.concatenate([diagonal, coupling], axis=-1), xp.concatenate([_t(coupling), corner], axis=-1)]
    matrix = xp.concatenate(rows, axis=-2)
    values, rotation = xp.linalg.eigh((matrix + _t(matrix)) / 2)
    values, rotation = values[..., ::-1][..., :kept], rotation[..., ::-1][..., :kept]
    of_pairs, of_block = rotation[..., :kept, :], rotation[..., kept:, :]
    vectors = _t(of_pairs) @ pairs.vectors + _t(of_block) @ block
    multiplied = _t(of_pairs) @ pairs.products + _t(of_block) @ products
    of_block = _t(scale) @ of_block
    turn = xp.concatenate([of_pairs - _t(overlap) @ of_block, of_block], axis=-2)
    return RitzPairs(vectors, multiplied, xp.maximum(values, 0)), turn


def residuals(xp: ModuleType, pairs: RitzPairs, n_components: int, width: int) -> tuple[Any, Any, Any]:
    """The next block, `[..., width, dims]`, and `subspace_error` of the leading components."""
    outside = pairs.products[..., :width, :] - pairs.squares[..., :width, None] * pairs.vectors[..., :width, :]
    inside = outside @ _t(pairs.vectors)
    outside = outside - inside @ pairs.vectors
    gram = outside @ _t(outside)
    return orthonormal(xp, outside), *subspace_error(xp, pairs.squares, gram, inside, n_components)


def orthonormal(xp: ModuleType, rows: Any) -> Any:
    """An orthonormal basis of the rows, as far as their condition allows it; directions they do not have are short."""
    lengths = xp.sqrt(xp.sum(rows * rows, axis=-1, keepdims=True))
    rows = rows / xp.where(lengths > 0, lengths, 1)
    squares, axes = xp.linalg.eigh(rows @ _t(rows))
    return _t(axes / xp.sqrt(xp.maximum(squares, 1e-12))[..., None, :]) @ rows


def _t(matrices: Any) -> Any:
    """Every matrix transposed."""
    return matrices.swapaxes(-1, -2)
