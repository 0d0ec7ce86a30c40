"""Silhouettes of images of the samples, and how far they move when the images do: programs that know no width."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.stages import Wrapped
from jax.typing import DTypeLike

from nrjax._utils.arrays import Array
from nrjax.kernels import ScoreSettings
from nrjax.kernels.distances import class_sums
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.kernels.influence import Influence, silhouette_influence
from nrjax.kernels.silhouette import is_linear, silhouette_score, silhouettes_and_rounding
from nrjax.scoring import host_silhouettes
from nrjax.scoring.components import OTHERS
from nrjax.scoring.displacement import displaced, displaced_rows
from nrjax.scoring.operators import programs, wide_dtype

ROUNDING_SHARE = 0.1  # of what rounding may do to every silhouette reaches their mean
PAIRS_UP_TO = 20_000  # samples of which all distances are formed where class sums are not exact enough
HOST_ENTRIES = 1 << 18  # samples x classes, of which NumPy takes a few milliseconds


@dataclasses.dataclass(frozen=True)
class Task:
    """What features are scored by.

    Attributes:
      ids: class ids of the samples; of stacked models `[models, samples]`.
      n_classes: of the labels.
      settings: with at most `min(samples - 1, dims)` components.
      influence: whether to say what the samples contribute.
      weights: see `ArrayFeatures`.
      mesh: that the features are split over.
    """

    ids: Array
    n_classes: int
    settings: ScoreSettings
    influence: bool = False
    weights: jax.Array | None = None
    mesh: Mesh | None = None


class Silhouettes(NamedTuple):
    """What is computed from images of the samples, for every model.

    Attributes:
      value: mean silhouette.
      by_class: mean over the samples of every class; 0 for a class without samples.
      rounding: how far rounding may move a silhouette, on average.
      shortest: length of the shortest point.
    """

    value: np.ndarray
    by_class: np.ndarray
    rounding: np.ndarray
    shortest: np.ndarray


def is_wide(dtype: DTypeLike, settings: ScoreSettings) -> bool:
    """Whether silhouettes are computed in float64: where that costs little, or where the images are."""
    linear = is_linear(settings.distance, settings.method)
    return wide_dtype() == np.float64 and (linear or dtype == np.float64)


def on_host(task: Task, settings: ScoreSettings, images: Array | jax.ShapeDtypeStruct) -> bool:
    """Whether NumPy computes silhouettes, so that nothing has to be compiled: on a CPU, of few samples and classes."""
    is_plain = task.mesh is None and task.weights is None and len(images.shape) == 2
    return (
        jax.default_backend() == "cpu" and is_plain and settings.definition == "rousseeuw"
        and is_linear(settings.distance, settings.method) and images.shape[0] * task.n_classes <= HOST_ENTRIES
    )  # fmt: skip


def evaluate(task: Task, images: Array) -> Silhouettes:
    """Silhouettes from images; from all pairs where class sums are not exact enough."""
    settings = task.settings

    def run(settings: ScoreSettings) -> Silhouettes:
        if on_host(task, settings, images):
            return Silhouettes(
                *host_silhouettes.evaluate(np.asarray(images), np.asarray(task.ids), task.n_classes, settings)
            )
        wide = is_wide(images.dtype, settings)
        program = program_of(silhouettes_of_model, images.ndim > 2, task.mesh, task.n_classes, reduced(settings), wide)
        with jax.enable_x64(wide):
            return Silhouettes(*map(np.asarray, program(images, task.ids, task.weights)))

    silhouettes = run(settings)
    rounded = np.any(ROUNDING_SHARE * silhouettes.rounding > settings.tolerance)
    linear = settings.method == "auto" and is_linear(settings.distance, settings.method)
    if rounded and linear and images.dtype == np.float64 and images.ndim == 2 and len(images) <= PAIRS_UP_TO:
        return run(dataclasses.replace(settings, method="blockwise"))
    return silhouettes


def sensitivity(task: Task, images: Array, tangents: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """How far the score of some rows may move, with components turned by `tangents` and images off by `noise`."""
    settings, wide = task.settings, is_wide(images.dtype, task.settings)
    rows = displaced_rows(settings, task.ids.shape[-1]) if task.mesh is None else slice(None)
    if jax.default_backend() == "cpu" and task.mesh is None:
        images = np.asarray(images)
    images = images[..., rows, :]
    ids, weights = (None if x is None else x[..., rows] for x in (task.ids, task.weights))
    if on_host(task, settings, images):
        return np.asarray(
            host_silhouettes.largest_move(
                np.asarray(images), np.asarray(ids), task.n_classes, settings, tangents, noise
            )
        )
    program = program_of(largest_move, images.ndim > 2, task.mesh, task.n_classes, reduced(settings), wide)
    dtype = np.float64 if wide else np.float32
    with jax.enable_x64(wide or images.dtype == np.float64):
        return np.asarray(program(images, ids, weights, tangents.astype(dtype), noise.astype(dtype)), np.float64)


def reduced(settings: ScoreSettings) -> ScoreSettings:
    """Settings without those that the program of silhouettes does not depend on."""
    return dataclasses.replace(settings, solver="auto", tolerance=TOLERANCE)


@functools.cache
def program_of(
    function: Callable[..., object], stacked: bool, mesh: Mesh | None, n_classes: int, settings: ScoreSettings,
    wide: bool,
) -> Wrapped:  # fmt: skip
    """`silhouettes_of_model` or `largest_move`, jitted for models that lie as these."""
    map_models = programs(stacked, mesh).map_models
    partial = functools.partial(function, n_classes=n_classes, settings=settings, wide=wide)
    if function is largest_move:
        return map_models(partial, (True, True, True, False, False), False)
    return map_models(partial, (True, True, True), (False, False, False, False))


def largest_move(
    images: jax.Array, ids: jax.Array, weights: jax.Array | None, tangents: jax.Array, noise: jax.Array, *,
    n_classes: int, settings: ScoreSettings, wide: bool, axis_name: str | None = None,
) -> jax.Array:  # fmt: skip
    """How far the score of one model moves at most when its points are displaced; see `displaced`."""
    images, ids = jnp.asarray(images, tangents.dtype), jnp.asarray(ids)

    def score(points: jax.Array) -> jax.Array:
        return silhouette_score(
            points, ids, n_classes=n_classes, distance=settings.distance, definition=settings.definition,
            method=settings.method, block_size=settings.block_size, axis_name=axis_name,
            weights=None if weights is None else weights.astype(points.dtype),
        )  # fmt: skip

    with jax.default_matmul_precision("highest"):
        scores = jax.vmap(score)(displaced(jnp, images, tangents, noise))
    return jnp.max(jnp.abs(scores[1:] - scores[0]))


def silhouettes_of_model(
    images: jax.Array, ids: jax.Array, weights: jax.Array | None, *, n_classes: int, settings: ScoreSettings,
    wide: bool, axis_name: str | None = None,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """`Silhouettes` of one model."""
    point_rounding = float(jnp.finfo(images.dtype).eps)
    points = jnp.asarray(images[:, : settings.n_components], jnp.float64 if wide else jnp.float32)
    ids = jnp.asarray(ids)
    weights = jnp.ones(len(points), points.dtype) if weights is None else weights.astype(points.dtype)
    values, rounding = silhouettes_and_rounding(
        points, ids, n_classes=n_classes, distance=settings.distance, definition=settings.definition,
        method=settings.method, block_size=settings.block_size, weights=weights, axis_name=axis_name,
        point_rounding=point_rounding,
    )  # fmt: skip
    columns = jnp.stack([values * weights, rounding * weights, weights], axis=1)
    sums = class_sums(columns, ids, n_classes, axis_name)
    means = jnp.sum(sums[:, :2], axis=0) / jnp.sum(sums[:, 2])
    lengths = jnp.where(weights > 0, jnp.max(jnp.abs(points), axis=1), jnp.inf)
    shortest = jnp.min(lengths)
    shortest = shortest if axis_name is None else jax.lax.pmin(shortest, axis_name)
    return means[0], sums[:, 0] / jnp.maximum(sums[:, 2], 1), means[1], shortest


def influence_of_samples(images: Array, task: Task) -> Influence:
    """Of one model's images, without the samples that do not count."""
    ids = task.ids if task.ids.ndim == 1 else task.ids[0]
    samples = len(ids) if task.weights is None else int(np.sum(np.asarray(task.weights)[0]))
    images, ids = np.asarray(images, np.float32)[:samples], np.asarray(ids)[:samples]
    k, settings = task.settings.n_components, task.settings
    influence = silhouette_influence(
        jnp.asarray(images[:, :k]), jnp.asarray(ids), n_classes=task.n_classes,
        others=jnp.asarray(images[:, k : k + OTHERS]), distance=settings.distance,
        definition=settings.definition, method=settings.method, block_size=settings.block_size,
    )  # fmt: skip
    return jax.tree.map(np.asarray, influence)
