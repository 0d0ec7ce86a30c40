"""Features in the form that the solvers of `components` use: what is large, as a few small programs.

`ArrayFeatures` are one model `[samples, dims]`, or models of one shape stacked `[models, samples, dims]`, on one device
or split over a mesh. `streaming.BatchedFeatures` are batches that do not fit in memory.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from nrjax._utils.memory import Staging
from nrjax.kernels import krylov
from nrjax.kernels.linalg import centre, exponent_of, matmul, total

SAMPLED_ROWS = 256  # of which the first block is made
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
    dtype: Any
    by_dims: bool  # whether the Gram matrix is [dims, dims]

    def sampled(self) -> np.ndarray | None:
        """Some rows `[..., rows, dims]`; None where rows cannot be had."""
        ...

    @property
    def size(self) -> np.ndarray:
        """Root of the mean squared length of the samples, uncentred."""
        ...

    def multiply(self, block: Any) -> tuple[Any, Any]:
        """See `krylov.multiply`."""
        ...

    def rotate(self, images: Any, new: Any, turn: Any) -> Any:
        """`[images, new]` times `turn`."""
        ...

    def gram(self) -> Gram:
        """See `Gram`."""
        ...

    def project(self, vectors: np.ndarray, values: np.ndarray, exponent: np.ndarray) -> Any:
        """Images of the samples on eigenvectors `[..., side, kept]` of `gram`; rows that are only rounding are zero."""
        ...

    def centred(self) -> np.ndarray | None:
        """The centred features of one model in float64, divided as in `gram`; None where they cannot be had."""
        ...


class Programs(NamedTuple):
    """Jitted functions of one model, of stacked models, or of models over a mesh."""

    multiply: Callable[..., Any]
    rotate: Callable[..., Any]
    gram: Callable[..., Any]
    project: Callable[..., Any]
    size: Callable[..., Any]
    map_models: Callable[..., Any]  # makes such a function of any other


def wide_dtype() -> type[np.floating]:
    """float64, or float32 on TPUs, which have no float64."""
    return np.float32 if jax.default_backend() == "tpu" else np.float64


@functools.cache
def programs(stacked: bool, mesh: Mesh | None) -> Programs:
    """Programs for one model, for stacked models, or for models over a mesh."""
    by_models, by_samples = (
        axis if mesh is not None and axis in mesh.axis_names else None for axis in ("models", "samples")
    )

    def map_models(function: Callable[..., Any], split: tuple[bool, ...], results: Any):
        """`function(*arrays, axis_name=...)` of one model as a jitted function of many.

        `split` and `results` say which arguments and results have an axis of samples.
        """
        function = functools.partial(function, axis_name=by_samples)
        if not stacked:
            return jax.jit(function)
        mapped = jax.vmap(function)
        if mesh is None:
            return jax.jit(mapped)

        def local(*arrays: Any) -> Any:
            return jax.tree.map(
                lambda splits, mine: mine if splits else everyones(mine, by_models), results, mapped(*arrays)
            )

        specs = {True: PartitionSpec(by_models, by_samples), False: PartitionSpec(by_models)}
        out_specs = jax.tree.map(lambda splits: specs[True] if splits else PartitionSpec(), results)
        in_specs = tuple(specs[splits] for splits in split)
        return jax.jit(jax.shard_map(local, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False))

    # The Gram matrix of one model is the smaller one; of many it is that of the dims, for samples may be split.
    gram = functools.partial(_gram, by_dims=True, wide=wide_dtype() == np.float64)
    return Programs(
        map_models(krylov.multiply, (True, False, True), (True, False)),
        map_models(_rotate, (True, True, False), True),
        map_models(gram, (True, True), (False, False, False))
        if stacked else jax.jit(_gram, static_argnames=("by_dims", "wide")),
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


def _rotate(images: jax.Array, new: jax.Array, turn: jax.Array, axis_name: str | None = None) -> jax.Array:
    return matmul(jnp.concatenate([images, new], axis=1), turn)


def _scaled(features: jax.Array, wide: bool, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
    rows = features.astype(jnp.float64 if wide else jnp.float32)
    exponent = exponent_of(rows, axis_name)
    return rows * jnp.ldexp(jnp.ones((), rows.dtype), -exponent), exponent


def _gram(
    features: jax.Array, weights: jax.Array | None, *, by_dims: bool, wide: bool, axis_name: str | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    rows, exponent = _scaled(features, wide, axis_name)
    rows = rows if weights is None else rows * weights[:, None]
    centred = centre(rows, weights, axis_name)
    sums = total(jnp.stack([jnp.sum(centred * centred), jnp.sum(rows * rows)]), axis_name)
    variation = jnp.sqrt(sums[0] / jnp.where(sums[1] > 0, sums[1], 1))
    matrix = total(matmul(centred.T, centred), axis_name) if by_dims else matmul(centred, centred.T)
    return matrix, exponent, variation


def _project(
    features: jax.Array, vectors: jax.Array, exponent: jax.Array, weights: jax.Array | None,
    axis_name: str | None = None,
) -> jax.Array:  # fmt: skip
    rows = features.astype(vectors.dtype) * jnp.ldexp(jnp.ones((), vectors.dtype), -exponent)
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


class ArrayFeatures:
    """Features in memory.

    Args:
      array: `[samples, dims]` or `[models, samples, dims]`, finite, float32 or float64.
      weights: `[models, samples]`, 0 for samples that do not count; None counts all.
      mesh: devices that `array` is split over.
      rounding: relative, of the features as they came.
      staging: memory for a copy in float32, where one is needed.
    """

    def __init__(
        self, array: Any, weights: jax.Array | None = None, mesh: Mesh | None = None, *, rounding: float,
        staging: Staging | None = None,
    ):  # fmt: skip
        *models, samples, dims = self.shape = array.shape
        self.models, self.rounding, self.dtype = tuple(models), rounding, array.dtype
        self._array, self._weights, self._mesh, self._staging = array, weights, mesh, staging or Staging()
        split = mesh is not None and "samples" in mesh.axis_names
        self.by_dims = bool(models) or split or dims <= samples
        self._programs = programs(bool(models), mesh)

    @functools.cached_property
    def _narrow(self) -> jax.Array:
        """In float32. What that would round is made smaller first, by taking the mean off."""
        if isinstance(self._array, np.ndarray):
            return jax.device_put(self._staging(self._array, np.float32, centred=True))
        return self._array.astype(np.float32)

    def sampled(self) -> np.ndarray | None:
        if self._mesh is not None:
            return None
        step = max(1, self.shape[-2] // SAMPLED_ROWS)
        rows = np.asarray(self._narrow) if jax.default_backend() == "cpu" else self._narrow  # no program for a slice
        return np.asarray(rows[..., : step * SAMPLED_ROWS : step, :])

    @property
    def size(self) -> np.ndarray:
        return self._size

    @functools.cached_property
    def _size(self) -> np.ndarray:
        rows = self.sampled()
        if rows is None:
            return np.asarray(self._programs.size(self._narrow, self._weights), np.float64)
        return np.sqrt(np.mean(np.sum(np.square(rows, dtype=np.float64), axis=-1), axis=-1))

    def multiply(self, block: Any) -> tuple[Any, Any]:
        return self._programs.multiply(self._narrow, block, self._weights)

    def rotate(self, images: Any, new: Any, turn: Any) -> Any:
        return self._programs.rotate(images, new, turn)

    def gram(self) -> Gram:
        wide = wide_dtype() == np.float64
        options = {} if self.models else {"by_dims": self.by_dims, "wide": wide}
        with jax.enable_x64(wide):
            return Gram(*map(np.asarray, self._programs.gram(self._array, self._weights, **options)))

    def project(self, vectors: np.ndarray, values: np.ndarray, exponent: np.ndarray) -> Any:
        if self.by_dims:
            with jax.enable_x64(vectors.dtype == np.float64):
                return self._programs.project(self._array, vectors, exponent, self._weights)
        images, rows = vectors * values, np.ldexp(np.asarray(self._array, np.float64), -int(exponent))
        lengths = np.linalg.norm(rows, axis=1) + np.linalg.norm(rows.mean(axis=0))
        rounding = ROUNDED * np.finfo(images.dtype).eps * lengths
        return np.where((np.linalg.norm(images, axis=1) > rounding)[:, None], images, 0)

    def centred(self) -> np.ndarray | None:
        if self._mesh is not None or self.models:
            return None
        rows = np.asarray(self._array, np.float64)
        rows = np.ldexp(rows, -int(np.frexp(np.abs(rows).max())[1]))
        rows = rows - rows.mean(axis=0)
        return rows - rows.mean(axis=0)
