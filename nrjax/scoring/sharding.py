"""Scores of models whose features are split over devices, of one process or of several.

Models need no communication. Samples do: whatever is summed over samples is summed over the devices that hold them
(`axis_name` of the kernels). Nothing else is sent, and features stay where they are.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nrjax._utils.arrays import Array
from nrjax._utils.memory import in_slices, models_that_fit
from nrjax.kernels import ScoreSettings
from nrjax.kernels.silhouette import LINEAR_DISTANCES
from nrjax.scoring.array_features import ArrayFeatures
from nrjax.scoring.compute import compute_context
from nrjax.scoring.operators import everyones
from nrjax.scoring.rounding import working_dtype
from nrjax.scoring.silhouette_programs import Task
from nrjax.scoring.silhouettes import score_features

AXES = ("models", "samples")


def check_mesh(mesh: object, settings: ScoreSettings) -> None:
    """Raises unless the mesh has axes we know and the settings can be computed on it."""
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh must be a jax.sharding.Mesh; got {type(mesh).__name__}.")
    if not mesh.axis_names or set(mesh.axis_names) - set(AXES):
        raise ValueError(f"mesh must have axes named {' or '.join(AXES)}, or both; got {mesh.axis_names}.")
    if "samples" in mesh.axis_names and (settings.solver == "svd" or settings.method == "blockwise"):
        raise ValueError(
            f"samples cannot be split over devices with solver {settings.solver!r} and method {settings.method!r}; "
            "use 'auto' for both."
        )
    if "samples" in mesh.axis_names and settings.distance not in LINEAR_DISTANCES:
        raise ValueError(
            f"samples can be split over devices for distance {' and '.join(LINEAR_DISTANCES)}; "
            f"got {settings.distance!r}."
        )


def spec(mesh: Mesh) -> PartitionSpec:
    """How features `[models, samples, dims]` lie on the mesh."""
    return PartitionSpec(*(axis if axis in mesh.axis_names else None for axis in AXES), None)


def score_on_mesh(features: Array, ids: np.ndarray, n_classes: int, settings: ScoreSettings, mesh: Mesh) -> np.ndarray:
    """Scores of `[models, samples, dims]`, the same on every process.

    Every process runs the same loop on the same sums, so they agree on when it ends. Of a NumPy array as many models go
    at once as fit the devices.

    Args:
      features: a NumPy array, the same on every process, or a `jax.Array` over the devices of `mesh`.
      ids: class of every sample, on every process.
      n_classes: how many there are.
      settings: checked, also by `check_mesh`.
      mesh: the devices.

    Raises:
      ValueError: features that are not finite.
    """
    if isinstance(features, jax.Array):
        return _score_together(features, ids, n_classes, settings, mesh, 0)
    bytes_per_device = features[0].nbytes // mesh.shape.get("samples", 1)
    size = models_that_fit(bytes_per_device) * mesh.shape.get("models", 1)
    if jax.process_count() > 1:  # which must agree on every piece
        from jax.experimental import multihost_utils

        size = int(multihost_utils.process_allgather(np.array(size)).min())
        scores = [
            _score_together(features[start : start + size], ids, n_classes, settings, mesh, start)
            for start in range(0, len(features), size)
        ]
        return np.concatenate(scores)

    def run(piece: np.ndarray) -> np.ndarray:
        return _score_together(features[piece[0] : piece[-1] + 1], ids, n_classes, settings, mesh, int(piece[0]))

    return np.concatenate([scores for _, scores in in_slices(run, np.arange(len(features)), size)])


def _score_together(
    features: Array, ids: np.ndarray, n_classes: int, settings: ScoreSettings, mesh: Mesh, first: int
) -> np.ndarray:
    """Scores of models that are on the devices at once; `first` is the number of the first one."""
    models = len(features)
    with compute_context():
        placed, weights, labels = _placed(features, ids, mesh)
        broken = np.flatnonzero(np.asarray(_not_finite(placed, mesh))[:models])
        if len(broken):
            raise ValueError(
                f"Model {first + broken[0]}: features must be finite ({len(broken)} of {models} models have others)."
            )
        rounding = float(np.finfo(placed.dtype).eps)
        on_mesh = ArrayFeatures(placed, weights, mesh, rounding=rounding)
        scores = score_features(on_mesh, Task(labels, n_classes, settings, weights=weights, mesh=mesh))
    return np.array([score.value for score in scores[:models]])


def _placed(features: Array, ids: np.ndarray, mesh: Mesh) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Features, weights and labels on the mesh; filled up with a copy of a model and samples that do not count."""
    models, samples, _ = features.shape
    spare_models, spare_samples = (
        -n % mesh.shape.get(axis, 1) for n, axis in zip((models, samples), AXES, strict=True)
    )
    if isinstance(features, jax.Array) and not features.is_fully_addressable and (spare_models or spare_samples):
        raise ValueError(
            f"features of shape {features.shape} over several processes must divide evenly over a mesh of "
            f"{dict(mesh.shape)}; repeat {spare_models} models and leave out {samples % mesh.shape.get('samples', 1)} "
            "samples before they are placed."
        )
    if spare_models or spare_samples:
        features = np.asarray(features)
        features = np.concatenate([features, features[-1:].repeat(spare_models, axis=0)])
        features = np.pad(features, ((0, 0), (0, spare_samples), (0, 0)))
    dtype = working_dtype(features.dtype)
    if isinstance(features, np.ndarray) and features.dtype.itemsize > np.dtype(dtype).itemsize:
        features = features - features[:, :samples].mean(axis=1, keepdims=True)  # before it is rounded
    features = features.astype(dtype, copy=False)
    by_samples = PartitionSpec(*spec(mesh)[:2])
    shape = models + spare_models, samples + spare_samples
    mask = np.broadcast_to((np.arange(shape[1]) < samples).astype(np.float32), shape)
    labels = np.broadcast_to(np.pad(ids, (0, spare_samples)), shape)
    if isinstance(features, jax.Array):
        placed = jax.device_put(features, NamedSharding(mesh, spec(mesh)))
    else:
        placed = _place(features, mesh, spec(mesh))
    return placed, _place(mask, mesh, by_samples), _place(labels, mesh, by_samples)


def _place(array: np.ndarray, mesh: Mesh, how: PartitionSpec) -> jax.Array:
    """An array that every process has whole; each device gets its part."""
    return jax.make_array_from_callback(array.shape, NamedSharding(mesh, how), lambda part: array[part])


@functools.partial(jax.jit, static_argnames="mesh")
def _not_finite(features: jax.Array, mesh: Mesh) -> jax.Array:
    """How many values of each model are not finite."""
    by_models, by_samples, _ = spec(mesh)

    def local(part: jax.Array) -> jax.Array:
        count = jnp.sum(~jnp.isfinite(part), axis=(1, 2))
        return everyones(count if by_samples is None else lax.psum(count, by_samples), by_models)

    return jax.shard_map(local, mesh=mesh, in_specs=spec(mesh), out_specs=PartitionSpec(), check_vma=False)(features)
