"""Block Krylov iteration on features: what is kept between its steps. `kernels.krylov` has the mathematics."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.arrays import Array
from nrjax.kernels import krylov
from nrjax.scoring.operators import Features

Result = TypeVar("Result")

MOST_BLOCKS = 5  # beyond the Ritz pairs that are kept, before these take the place of the basis
SAMPLE_STEPS, RANDOM = 2, 2  # iterations on the sampled rows; random vectors in the first block


class KrylovIteration:
    """Approximations of the leading components of one model, or of stacked ones.

    Args:
      features: that are read.
      n_components: of them lead.

    Attributes:
      steps: so far; each reads the features twice.
    """

    def __init__(self, features: Features, n_components: int):
        self._features, self._n_components = features, n_components
        self._width = krylov.block_width(n_components)
        self._kept = 2 * self._width
        self._small = _small_problems()
        samples, dims = features.shape[-2:]
        side, rows = dims if features.by_dims else samples, 0
        self._most_rows = self._kept + MOST_BLOCKS * self._width
        self._images: list[Array] = []  # of the rows of the basis
        if features.one_shape:
            rows, self._most_rows = self._kept, self._kept + self._width
            self._images = [np.zeros((*features.models, samples, rows), np.float32)]
        self._basis = krylov.no_rows(features.models, rows, side)
        self._block = _first_block(features, self._width, side).astype(np.float32)
        self._pairs: krylov.RitzPairs | None = None
        self.steps = 0

    def step(self) -> bool:
        """One block more; False, and nothing done, where an entry of the features is too large for its square."""
        images, products = self._features.multiply(self._block)
        products = self._small.in_float64(products)
        if isinstance(products, np.ndarray) and not np.isfinite(products).all():
            return False
        self._basis, block = self._small.extend(self._basis, self._small.in_float64(self._block), products)
        if images is not None:
            self._images.append(images)
        self._block = block.astype(np.float32)
        self.steps += 1
        return True

    @property
    def is_full(self) -> bool:
        """Whether the basis has as many rows as it may, so that it is time for a look."""
        return self._basis.vectors.shape[-2] == self._most_rows

    def look(self) -> tuple[np.ndarray, np.ndarray]:
        """See `subspace_error`."""
        self._pairs = pairs = self._small.ritz_pairs(self._basis, self._kept)
        error, tangents = self._small.residuals(pairs, self._n_components, self._width)
        self.__dict__.pop("images", None)
        if self.is_full:
            self._images, self._basis = [self.images], pairs.basis
        return np.asarray(error, np.float64), np.asarray(tangents, np.float64)

    @functools.cached_property
    def images(self) -> Array:
        """Of the samples on the Ritz vectors, `[..., samples, kept]`, in float32."""
        assert self._pairs is not None
        if self._features.by_dims:
            return self._features.rotate(self._images, np.asarray(self._pairs.rotation, np.float32))
        values = np.sqrt(self._pairs.squares)[..., None]
        return np.ascontiguousarray((self._pairs.basis.products / np.where(values > 0, values, 1)).T, np.float32)

    @property
    def squares(self) -> np.ndarray:
        """Ritz values `[..., kept]` of the last look."""
        assert self._pairs is not None
        return np.asarray(self._pairs.squares, np.float64)

    @property
    def rounding(self) -> np.ndarray:
        """Of an image: that of a row, and where products are divided, as much more as the first is larger."""
        rounding = np.finfo(np.float32).eps * self._features.size
        if self._features.by_dims:
            return rounding
        last = self.squares[self._n_components - 1]
        return rounding * np.sqrt(self.squares[0] / last) if last > 0 else rounding


def _first_block(features: Features, width: int, side: int) -> np.ndarray:
    """Directions of most variance in a few rows, and random ones, which have a part in every direction."""
    random = np.random.default_rng(0).normal(size=(*features.models, width, side)).astype(np.float32)
    rows = features.sampled()
    if rows is None:
        return krylov.orthonormal(np, random.astype(np.float64))
    images = random
    for _ in range(SAMPLE_STEPS):
        images = np.linalg.qr(rows @ images.swapaxes(-1, -2))[0].swapaxes(-1, -2) @ rows
    # One after another, the largest first: a product's rounding is in proportion to what its vector contains.
    directions = np.linalg.svd(images.astype(np.float64), full_matrices=False)[2][..., : width - RANDOM, :]
    random = random[..., :RANDOM, :] - (random[..., :RANDOM, :] @ directions.swapaxes(-1, -2)) @ directions
    return np.concatenate([directions, krylov.orthonormal(np, random)], axis=-2)


class _SmallProblems(NamedTuple):
    """The functions of `krylov` without their first argument, and what makes an array theirs."""

    extend: Callable[[krylov.Basis, Array, Array], tuple[krylov.Basis, Array]]
    ritz_pairs: Callable[[krylov.Basis, int], krylov.RitzPairs]
    residuals: Callable[[krylov.RitzPairs, int, int], tuple[Any, Array]]
    in_float64: Callable[[Array], Array]


@functools.cache
def _small_problems() -> _SmallProblems:
    """NumPy in float64, or a batch on a GPU."""
    xp = np if jax.default_backend() in ("cpu", "tpu") else jnp
    extend = functools.partial(krylov.extend, xp)
    ritz_pairs = functools.partial(krylov.ritz_pairs, xp)
    residuals = functools.partial(krylov.residuals, xp)
    if xp is np:
        return _SmallProblems(extend, ritz_pairs, residuals, functools.partial(np.asarray, dtype=np.float64))
    return _SmallProblems(
        wide(jax.jit(extend)), wide(jax.jit(ritz_pairs, static_argnums=1)),
        wide(jax.jit(residuals, static_argnums=(1, 2))), wide(lambda array: jnp.asarray(array, jnp.float64)),
    )  # fmt: skip


def wide(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function under `enable_x64`, whose products of float32 would ask for full precision too."""

    @functools.wraps(function)
    def call(*arguments: object) -> Result:
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            return function(*arguments)

    return call
