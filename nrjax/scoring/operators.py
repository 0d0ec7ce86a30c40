"""Features in the form that the solvers of `components` use: what is large, as a few small programs.

`array_features.ArrayFeatures` are in memory, `streaming.BatchedFeatures` are batches that do not fit.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jax.stages import Wrapped

from nrjax._utils.arrays import Array
from nrjax.kernels import krylov
from nrjax.kernels.linalg import centre, exponent_of, matmul, power_of_two, total

ROUNDED = 10  # times the rounding of a row: shorter images are zero, for a cosine would see a direction in rounding


class Gram(NamedTuple):
    """The smaller Gram matrix of centred features divided by a power of two, in float64.

    Attributes:
      matrix: `[..., dims, dims]`, or `[..., samples, samples]` where there are fewer samples.
      exponent: of the power of two.
      variation: size of the centred features relative to the size of the features.
    """

    matrix: np.ndarray
    exponent: np.ndarray
    variation: np.ndarray


class Features(Protocol):
    """What the solvers ask of features. Arrays have leading axes `models` where several are stacked."""

    models: tuple[int, ...]
    rounding: float  # relative, of the features as they came
    shape: tuple[int, ...]  # [..., samples, dims]
    dtype: np.dtype
    by_dims: bool  # whether the Gram matrix is [dims, dims]
    one_shape: bool  # whether programs are compiled for every shape of their arguments, and should see one
    most_steps: int  # of an iteration, after which a decomposition is faster

    def sampled(self) -> np.ndarray | None:
        """Some rows `[..., rows, dims]` without their mean; if not `by_dims` some columns `[columns, samples]`.

        None where they cannot be had.
        """
        ...

    @property
    def size(self) -> np.ndarray:
        """Root of the mean squared length of the samples, uncentred."""
        ...

    def multiply(self, block: Array) -> tuple[Array | None, Array]:
        """Images of the samples on the block, None if not `by_dims`, and products; see `krylov.multiply`."""
        ...

    def rotate(self, images: list[Array], rotation: np.ndarray) -> Array:
        """Images `[..., samples, rows]`, side by side, times `[..., rows, kept]`."""
        ...

    def gram(self) -> Gram:
        """See `Gram`."""
        ...

    def project(self, vectors: np.ndarray, values: np.ndarray, exponent: np.ndarray) -> Array:
        """Images of the samples on eigenvectors `[..., side, kept]` of `gram`; rows that are only rounding are zero."""
        ...

    def decompose(self, kept: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Images `[samples, kept]` and singular values of one model, divided as in `gram`, without squaring.

        None where they cannot be had.
        """
        ...


class Programs(NamedTuple):
    """Jitted functions of one model, of stacked models, or of models over a mesh."""

    multiply: Wrapped
    multiply_samples: Wrapped
    rotate: Wrapped
    gram: Wrapped
    project: Wrapped
    size: Wrapped
    map_models: Callable[..., Wrapped]  # makes such a function of any other


def wide_dtype() -> type[np.floating]:
    """float64, or float32 on TPUs, which have no float64."""
    return np.float32 if jax.default_backend() == "tpu" else np.float64


@functools.cache
def programs(stacked: bool, mesh: Mesh | None) -> Programs:
    """Programs for one model, for stacked models, or for models over a mesh."""
    by_models, by_samples = (
        axis if mesh is not None and axis in mesh.axis_names else None for axis in ("models", "samples")
    )

    def map_models(function: Callable[..., object], split: tuple[bool, ...], results: object) -> Wrapped:
        """`function(*arrays, axis_name=...)` of one model as a jitted function of many.

        `split` and `results` say which arguments and results have an axis of samples.
        """
        function = functools.partial(function, axis_name=by_samples)
        if not stacked:
            return jax.jit(function)
        mapped = jax.vmap(function)
        if mesh is None:
            return jax.jit(mapped)

        def local(*arrays: object) -> Any:
            return jax.tree.map(
                lambda splits, mine: mine if splits else everyones(mine, by_models), results, mapped(*arrays)
            )

        specs = {True: PartitionSpec(by_models, by_samples), False: PartitionSpec(by_models)}
        out_specs = jax.tree.map(lambda splits: specs[True] if splits else PartitionSpec(), results)
        in_specs = tuple(specs[splits] for splits in split)
        return jax.jit(jax.shard_map(local, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False))

    gram = functools.partial(_gram, wide=wide_dtype() == np.float64)
    return Programs(
        map_models(krylov.multiply, (True, False, True), (True, False)),
        jax.jit(krylov.multiply_samples),
        map_models(_rotate, (True, False), True),
        map_models(gram, (True, True), (False, False, False)),
        map_models(_project, (True, False, False, True), True),
        map_models(_size, (True, True), False),
        map_models,
    )  # fmt: skip


def everyones(mine: jax.Array, axis_name: str | None) -> jax.Array:
    """Results `[models, ...]` of all devices, put in their places by a sum: gloo's other collectives time out."""
    if axis_name is None:
        return mine
    room = jnp.zeros((len(mine) * lax.axis_size(axis_name), *mine.shape[1:]), mine.dtype)
    place = lax.axis_index(axis_name) * len(mine)
    return lax.psum(lax.dynamic_update_slice_in_dim(room, mine, place, axis=0), axis_name)


def _rotate(images: list[jax.Array], rotation: jax.Array, axis_name: str | None = None) -> jax.Array:
    return matmul(jnp.concatenate(images, axis=1), rotation)


def _scaled(features: jax.Array, wide: bool, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
    rows = jnp.asarray(features, jnp.float64 if wide else jnp.float32)
    exponent = exponent_of(rows, axis_name)
    return rows * power_of_two(-exponent, rows.dtype), exponent


def _gram(
    features: jax.Array, weights: jax.Array | None, *, wide: bool, axis_name: str | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    rows, exponent = _scaled(features, wide, axis_name)
    rows = rows if weights is None else rows * weights[:, None]
    centred = centre(rows, weights, axis_name)
    sums = total(jnp.stack([jnp.sum(centred * centred), jnp.sum(rows * rows)]), axis_name)
    variation = jnp.sqrt(sums[0] / jnp.where(sums[1] > 0, sums[1], 1))
    return total(matmul(centred.T, centred), axis_name), exponent, variation


def _project(
    features: jax.Array, vectors: jax.Array, exponent: jax.Array, weights: jax.Array | None,
    axis_name: str | None = None,
) -> jax.Array:  # fmt: skip
    rows = jnp.asarray(features, vectors.dtype) * power_of_two(-exponent, vectors.dtype)
    rows = rows if weights is None else rows * weights[:, None]
    centred = centre(rows, weights, axis_name)
    images = matmul(centred, vectors)
    lengths = jnp.sqrt(jnp.sum(rows * rows, axis=1)) + jnp.sqrt(jnp.sum((rows - centred) ** 2, axis=1))
    rounding = ROUNDED * jnp.finfo(images.dtype).eps * lengths
    return jnp.where((jnp.linalg.norm(images, axis=1) > rounding)[:, None], images, 0)


def _size(features: jax.Array, weights: jax.Array | None, axis_name: str | None = None) -> jax.Array:
    weights = jnp.ones(len(features), features.dtype) if weights is None else weights
    sums = jnp.stack([jnp.sum(jnp.sum(features * features, axis=1) * weights), jnp.sum(weights)])
    sums = total(sums, axis_name)
    return jnp.sqrt(sums[0] / sums[1])
