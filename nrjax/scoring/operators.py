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
FIRST_STEPS, DIMS_PER_STEP = 4, 64  # so many steps of one model on a CPU cost as much as a decomposition
STACKED_STEPS = 60
SMALL_SIDE = 256  # of a Gram matrix, of which all eigenvectors cost no more than the leading ones
MAX_EXPONENT = 1000  # of a power of two whose inverse is a normal float64
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
    most_steps: int  # of an iteration, after which a decomposition is faster

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

    def decomposed(self, width: int) -> np.ndarray | None:
        """The leading eigenvectors of the Gram matrix in float32, as rows; None where they cannot be had cheaply."""
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

    gram = functools.partial(_gram, wide=wide_dtype() == np.float64)
    return Programs(
        map_models(krylov.multiply, (True, False, True), (True, False)),
        map_models(_rotate, (True, True, False), True),
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


def _rotate(images: jax.Array, new: jax.Array, turn: jax.Array, axis_name: str | None = None) -> jax.Array:
    return matmul(jnp.concatenate([images, new], axis=1), turn)


def _scaled(features: jax.Array, wide: bool, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
    rows = jnp.asarray(features, jnp.float64 if wide else jnp.float32)
    exponent = exponent_of(rows, axis_name)
    return rows * jnp.ldexp(jnp.ones((), rows.dtype), -exponent), exponent


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
    rows = jnp.asarray(features, vectors.dtype) * jnp.ldexp(jnp.ones((), vectors.dtype), -exponent)
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


def leading_eigenvectors(matrices: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of symmetric matrices, descending, and their eigenvectors as columns."""
    side = matrices.shape[-1]
    if side <= SMALL_SIDE:
        values, vectors = np.linalg.eigh(matrices)
    else:
        from scipy.linalg import eigh  # takes 0.2 s to import, and most rankings do without it

        pairs = [
            eigh(matrix, subset_by_index=(side - kept, side - 1), check_finite=False)
            for matrix in matrices.reshape(-1, side, side)
        ]
        values, vectors = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
        values, vectors = values.reshape(*matrices.shape[:-2], kept), vectors.reshape(*matrices.shape[:-1], kept)
    return values[..., ::-1][..., :kept], vectors[..., ::-1][..., :kept]


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
        # Of models on an accelerator a step costs little, and their decompositions run one after another on the host.
        self.most_steps = STACKED_STEPS if models else FIRST_STEPS + min(samples, dims) // DIMS_PER_STEP
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
        if self._mesh is not None:
            with jax.enable_x64(wide_dtype() == np.float64):
                return Gram(*map(np.asarray, self._programs.gram(self._array, self._weights)))
        lengths, centred = self._host.lengths, self._host.centred
        size = np.linalg.norm(lengths)
        variation = np.linalg.norm(centred) / size if size else 0.0
        matrix = centred.T @ centred if self.by_dims else centred @ centred.T
        return Gram(matrix, np.asarray(self._host.exponent), np.asarray(variation))

    def project(self, vectors: np.ndarray, values: np.ndarray, exponent: np.ndarray) -> Any:
        if self._mesh is not None:
            with jax.enable_x64(vectors.dtype == np.float64):
                return self._programs.project(self._array, vectors, exponent, self._weights)
        images = self._host.centred @ vectors if self.by_dims else vectors * values
        rounding = ROUNDED * np.finfo(images.dtype).eps * (self._host.lengths + self._host.offset)
        return np.where((np.linalg.norm(images, axis=1) > rounding)[:, None], images, 0)

    def decomposed(self, width: int) -> np.ndarray | None:
        if self._mesh is not None or self.models:
            return None
        rows = np.asarray(self._narrow)
        rows = rows - rows.mean(axis=0)
        vectors = leading_eigenvectors(rows.T @ rows if self.by_dims else rows @ rows.T, width)[1]
        return np.linalg.qr(vectors if self.by_dims else rows.T @ vectors)[0].T

    def centred(self) -> np.ndarray | None:
        return None if self._mesh is not None else self._host.centred

    @functools.cached_property
    def _host(self) -> "_Host":
        """One model in float64 NumPy, which needs no program and forms half of a Gram matrix only."""
        rows, exponent = np.ascontiguousarray(self._array, np.float64), 0
        if self.dtype == np.float64:  # squares of float32 are far from the largest and the smallest float64
            exponent = int(np.frexp(max(rows.max(), -rows.min()))[1])
            rows = rows * 2.0**-exponent if abs(exponent) < MAX_EXPONENT else np.ldexp(rows, -exponent)
        mean = rows.mean(axis=0)
        centred = rows - mean
        centred -= centred.mean(axis=0)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        return _Host(centred, lengths, float(np.linalg.norm(mean)), exponent)


class _Host(NamedTuple):
    centred: np.ndarray  # divided by 2^exponent, and so are the next two
    lengths: np.ndarray  # of the rows as they came
    offset: float  # length of the mean
    exponent: int
