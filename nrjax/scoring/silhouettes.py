"""The neuralRank score of models: components, then silhouettes of the samples on them."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nrjax.kernels import Projection, ScoreSettings
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.kernels.influence import Influence, silhouette_influence
from nrjax.kernels.krylov import block_width
from nrjax.kernels.linalg import one_hot, total
from nrjax.kernels.silhouette import is_linear, silhouette_score, silhouettes_and_rounding
from nrjax.memory import Staging, in_slices, models_that_fit
from nrjax.scoring.checks import rounding_of, working_dtype
from nrjax.scoring.components import (
    OTHERS,
    Components,
    exact_components,
    fits_float32,
    krylov_components,
    suits_krylov,
)
from nrjax.scoring.compute import bucket_of, compile_context, compute_context, one_by_one, padded_count, stack_models
from nrjax.scoring.operators import ROUNDED, ArrayFeatures, Features, programs, wide_dtype

ROUNDING_SHARE = 0.1  # of what rounding may do to every silhouette reaches their mean
DRAWS, SAFETY = 4, 4  # displacements that are tried, and how much larger they are than the error
LINE_DRAWS = 32  # on a line a cosine is a sign: the score jumps where one sample changes sides, so all are displaced
LINEAR_ROWS, PAIRED_ROWS = 1024, 512  # samples that are displaced
PAIRS_UP_TO = 20_000  # samples of which all distances are formed where class sums are not exact enough
POINT_ERROR = 1e-5  # that the silhouette of a point may have
PROJECTION_ERROR = 3e-5  # of the subspace of a projection
TIED = 0.01  # error of the subspace from which on the last component and the next are as good as tied


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


class Score(NamedTuple):
    """The neuralRank score of one model.

    Attributes:
      value: in [-1, 1]; higher is better.
      by_class: mean silhouette of every class.
      error: how far the value may be off.
      subspace_error: of the components, in [0, 1].
      variation: size of the centred features relative to the size of the features.
      solver: that gave the components.
      influence: of the samples, where that was asked for.
    """

    value: float
    by_class: np.ndarray
    error: float
    subspace_error: float
    variation: float
    solver: str
    influence: Influence | None = None

    def doubt(self, tolerance: float) -> str | None:
        """Why the value may be off by more than the tolerance, or None."""
        if self.error <= tolerance:
            return None
        if self.subspace_error >= TIED:
            return "which components lead is not determined, the last of them and the next are as good as tied"
        return f"the components are not certain, and the score may be off by {self.error:.1g}"


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

    ids: Any
    n_classes: int
    settings: ScoreSettings
    influence: bool = False
    weights: jax.Array | None = None
    mesh: Mesh | None = None


def score_arrays(arrays: Sequence[Any], task: Task, staging: Staging | None = None) -> list[Score]:
    """neuralRank scores of features `[samples, dims]` of one shape and type."""
    rounding = max(map(rounding_of, arrays))

    def score_one(array: Any) -> Score:
        return score_features(ArrayFeatures(array, rounding=rounding, staging=staging), task)[0]

    samples, dims = arrays[0].shape
    with compute_context():
        if one_by_one() or not _iterates(arrays[0], task.settings):
            return [score_one(array) for array in arrays]
        shape = bucket_of(samples), bucket_of(dims)
        ids = np.pad(task.ids, (0, shape[0] - samples))
        mask = (np.arange(shape[0]) < samples).astype(np.float32)

        def score_together(piece: np.ndarray) -> list[Score | None]:
            stack = stack_models([arrays[i] for i in piece], shape, np.float32)
            weights = jnp.broadcast_to(mask, stack.shape[:2])
            together = dataclasses.replace(task, ids=np.broadcast_to(ids, stack.shape[:2]), weights=weights)
            return krylov_scores(ArrayFeatures(stack, weights, rounding=rounding), together)[: len(piece)]

        size = min(models_that_fit(4 * shape[0] * shape[1]), padded_count(len(arrays)))
        pieces = in_slices(score_together, np.arange(len(arrays)), size)
        scores = [score for _, of_piece in pieces for score in of_piece]
        return [score or score_one(array) for score, array in zip(scores, arrays, strict=True)]


def compilations(shape: tuple[int, int], task: Task) -> dict[Any, Callable[[], None]]:
    """What compiles the programs that features `[samples, dims]` in float32 are scored with first, by a key."""
    (samples, dims), settings = shape, task.settings
    width, by_dims, wide = block_width(settings.n_components), dims <= samples, wide_dtype()
    kept = min(settings.n_components + OTHERS, samples, dims)
    narrow_array = functools.partial(jax.ShapeDtypeStruct, dtype=np.float32)
    wide_array = functools.partial(jax.ShapeDtypeStruct, dtype=wide)
    ids = jax.ShapeDtypeStruct((samples,), np.int32)
    of_one = programs(False, None)

    def compiles(dtype: Any, program: Any, *arguments: Any, **options: Any) -> Callable[[], None]:
        def run() -> None:
            with compile_context(dtype):
                program.lower(*arguments, **options).compile()

        return run

    def evaluation(images: jax.ShapeDtypeStruct) -> dict[Any, Callable[[], None]]:
        is_wide, some = _is_wide(images, settings), np.zeros(samples)[_some_rows(settings, samples)].shape
        program, moved = (
            _program(function, False, None, task.n_classes, _reduced(settings), is_wide)
            for function in (_silhouettes, _moved)
        )
        dtype = np.float64 if is_wide else np.float32
        displaced = jax.ShapeDtypeStruct((*some, images.shape[1]), images.dtype)
        tangents = jax.ShapeDtypeStruct((settings.n_components, images.shape[1] - settings.n_components), dtype)
        some_ids = jax.ShapeDtypeStruct(some, np.int32)
        return {
            ("silhouettes", images.shape, images.dtype): compiles(dtype, program, images, ids, None),
            ("moved", images.shape, images.dtype): compiles(
                dtype, moved, displaced, some_ids, None, tangents, jax.ShapeDtypeStruct((), dtype)
            ),
        }

    features, images = narrow_array((samples, dims)), narrow_array((samples, 2 * width))
    if settings.solver in ("auto", "krylov") and suits_krylov(samples, dims, settings.n_components):
        return {
            ("multiply", shape, width): compiles(np.float32, of_one.multiply, features, narrow_array((width, dims)), None),
            ("rotate", samples, width): compiles(
                np.float32, of_one.rotate, images, narrow_array((samples, width)), narrow_array((3 * width, 2 * width))
            ),
            **evaluation(images),
        }  # fmt: skip
    exact = {
        ("gram", shape): compiles(wide, of_one.gram, features, None, by_dims=by_dims, wide=wide == np.float64),
        **evaluation(wide_array((samples, kept))),
    }
    if by_dims:
        exponent = jax.ShapeDtypeStruct((), np.int32)
        exact["project", shape, kept] = compiles(
            wide, of_one.project, features, wide_array((dims, kept)), exponent, None
        )
    return exact


def _iterates(features: Any, settings: ScoreSettings) -> bool:
    """Whether block Krylov iteration comes first: of features in float32 whose blocks are small beside them."""
    return (
        settings.solver in ("auto", "krylov") and working_dtype(features.dtype) == np.float32
        and suits_krylov(*features.shape[-2:], settings.n_components)
    )  # fmt: skip


def score_features(features: Features, task: Task) -> list[Score]:
    """neuralRank scores of one model or of stacked ones: by iteration, and what that cannot certify in float64."""
    scores = krylov_scores(features, task) if _iterates(features, task.settings) else [None]
    if None not in scores:
        return scores
    exact = exact_scores(features, task)
    return [score or other for score, other in zip(scores, exact, strict=True)] if len(scores) == len(exact) else exact


def krylov_scores(features: Features, task: Task) -> list[Score | None]:
    """Scores from block Krylov iteration; None for a model whose score may be off by more than the tolerance."""
    if not fits_float32(features):
        return [None] * max(1, math.prod(features.models))
    settings = task.settings
    sensitivity = functools.partial(_sensitivity, task)
    components = krylov_components(features, settings.n_components, sensitivity, settings.tolerance)
    scores, silhouettes = _scores(components, "krylov", task)
    # Points as short as the rounding of the rows have no direction in float32.
    lost = np.atleast_1d(silhouettes.shortest <= ROUNDED * np.finfo(np.float32).eps * features.size)
    return [
        score if score.error <= settings.tolerance and not without_direction else None
        for score, without_direction in zip(scores, lost, strict=True)
    ]  # fmt: skip


def exact_scores(features: Features, task: Task) -> list[Score]:
    """Scores from components in float64."""
    settings, sensitivity = task.settings, functools.partial(_sensitivity, task)
    components = exact_components(features, settings.n_components, sensitivity, svd=settings.solver == "svd")
    return _scores(components, "svd, float64" if components.by_svd else "gram, float64", task)[0]


def _scores(components: Components, solver: str, task: Task) -> tuple[list[Score], Silhouettes]:
    """The models of `components`, one by one, and their silhouettes."""
    silhouettes = _evaluate(task, components.images)
    images = np.asarray(components.images) if task.influence else None
    errors = components.score_error + ROUNDING_SHARE * silhouettes.rounding

    def score(model: Any) -> Score:
        needed = images is not None and (solver != "krylov" or errors[model] <= task.settings.tolerance)
        influence = _influence(images[model], task) if needed else None
        return Score(
            float(silhouettes.value[model]), silhouettes.by_class[model], float(errors[model]),
            float(components.error[model]), float(components.variation[model]), solver, influence,
        )  # fmt: skip

    return [score(model) for model in (range(len(errors)) if np.ndim(errors) else [()])], silhouettes


def _influence(images: Any, task: Task) -> Influence:
    ids = task.ids if task.ids.ndim == 1 else task.ids[0]
    samples = len(ids) if task.weights is None else int(np.sum(np.asarray(task.weights)[0]))
    images, ids = np.asarray(images, np.float32)[:samples], np.asarray(ids)[:samples]
    k, settings = task.settings.n_components, task.settings
    influence = silhouette_influence(
        images[:, :k], ids, n_classes=task.n_classes, others=images[:, k : k + OTHERS], distance=settings.distance,
        definition=settings.definition, method=settings.method, block_size=settings.block_size,
    )  # fmt: skip
    return jax.tree.map(np.asarray, influence)


def _is_wide(images: Any, settings: ScoreSettings) -> bool:
    """Whether silhouettes are computed in float64: where that costs little, or where the images are."""
    linear = is_linear(settings.distance, settings.method)
    return wide_dtype() == np.float64 and (linear or images.dtype == np.float64)


def _evaluate(task: Task, images: Any) -> Silhouettes:
    """Silhouettes from images; from all pairs where class sums are not exact enough."""
    settings = task.settings

    def run(settings: ScoreSettings) -> Silhouettes:
        wide = _is_wide(images, settings)
        program = _program(_silhouettes, images.ndim > 2, task.mesh, task.n_classes, _reduced(settings), wide)
        with jax.enable_x64(wide):
            return Silhouettes(*map(np.asarray, program(images, task.ids, task.weights)))

    silhouettes = run(settings)
    rounded = np.any(ROUNDING_SHARE * silhouettes.rounding > settings.tolerance)
    linear = settings.method == "auto" and is_linear(settings.distance, settings.method)
    if rounded and linear and images.dtype == np.float64 and images.ndim == 2 and len(images) <= PAIRS_UP_TO:
        return run(dataclasses.replace(settings, method="blockwise"))
    return silhouettes


def _sensitivity(task: Task, images: Any, tangents: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """How far the score may move where components are turned by `tangents` and images are off by `noise`; of some rows."""
    wide = _is_wide(images, task.settings)
    program = _program(_moved, images.ndim > 2, task.mesh, task.n_classes, _reduced(task.settings), wide)
    rows = _some_rows(task.settings, task.ids.shape[-1]) if task.mesh is None else slice(None)
    if jax.default_backend() == "cpu" and task.mesh is None:
        images = np.asarray(images)
    with jax.enable_x64(wide or images.dtype == np.float64):
        ids, weights = (None if x is None else x[..., rows] for x in (task.ids, task.weights))
        dtype = np.float64 if wide else np.float32
        return np.asarray(program(images[..., rows, :], ids, weights, tangents.astype(dtype), noise.astype(dtype)), np.float64)


@functools.cache
def _some_rows(settings: ScoreSettings, samples: int) -> np.ndarray | slice:
    """Rows that are looked at, always the same; at random, because labels may repeat at even distances."""
    linear = is_linear(settings.distance, settings.method)
    most = LINEAR_ROWS if linear else PAIRED_ROWS
    return slice(None) if samples <= most or (linear and settings.n_components == 1) else np.sort(np.random.default_rng(0).choice(samples, most, replace=False))


def _reduced(settings: ScoreSettings) -> ScoreSettings:
    """Settings without those that the program of silhouettes does not depend on."""
    return dataclasses.replace(settings, solver="auto", tolerance=TOLERANCE)


@functools.cache
def _program(
    function: Callable[..., Any], stacked: bool, mesh: Mesh | None, n_classes: int, settings: ScoreSettings, wide: bool
) -> Callable[..., Any]:
    """`_silhouettes` or `_moved`, jitted for models that lie as these."""
    function = functools.partial(function, n_classes=n_classes, settings=settings, wide=wide)
    if function.func is _moved:
        return programs(stacked, mesh).map_models(function, (True, True, True, False, False), False)
    return programs(stacked, mesh).map_models(function, (True, True, True), (False, False, False, False))


def _moved(
    images: jax.Array, ids: jax.Array, weights: jax.Array | None, tangents: jax.Array, noise: jax.Array, *,
    n_classes: int, settings: ScoreSettings, wide: bool, axis_name: str | None = None,
) -> jax.Array:  # fmt: skip
    """How far the score of one model moves at most when its points are displaced, a few times at random.

        e_ui = SAFETY * (sum over j > k of  n_ij t_ij (C X v_j)_u  +  m_ui noise),   n, m normal

    Displacements of single samples cancel in the mean, those of whole classes do not. Where a score jumps, as it does
    with the signs of one component, the larger displacement shows it and a derivative would not.
    """
    k = settings.n_components
    images = images.astype(tangents.dtype)
    points, others = images[:, :k], images[:, k : k + tangents.shape[1]]
    draws = DRAWS if k > 1 else LINE_DRAWS
    rng = np.random.default_rng(0)
    of_turns = rng.normal(size=(draws, *tangents.shape)).astype(tangents.dtype)
    of_points = rng.normal(size=(draws, LINEAR_ROWS, k)).astype(tangents.dtype)  # repeated where there are more rows
    of_points = jnp.tile(of_points, (1, -(-len(points) // LINEAR_ROWS), 1))[:, : len(points)]
    turned = jnp.matmul(others, jnp.swapaxes(of_turns * tangents, 1, 2), precision="highest")
    moved = points + SAFETY * (turned + noise * of_points)

    def score(points: jax.Array) -> jax.Array:
        return silhouette_score(
            points, ids, n_classes=n_classes, distance=settings.distance, definition=settings.definition,
            method=settings.method, block_size=settings.block_size, axis_name=axis_name,
            weights=None if weights is None else weights.astype(points.dtype),
        )  # fmt: skip

    scores = jax.vmap(score)(jnp.concatenate([points[None], moved]))
    return jnp.max(jnp.abs(scores[1:] - scores[0]))


def _silhouettes(
    images: jax.Array, ids: jax.Array, weights: jax.Array | None, *, n_classes: int, settings: ScoreSettings,
    wide: bool, axis_name: str | None = None,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """`Silhouettes` of one model."""
    point_rounding = float(jnp.finfo(images.dtype).eps)
    points = images[:, : settings.n_components].astype(jnp.float64 if wide else jnp.float32)
    weights = jnp.ones(len(points), points.dtype) if weights is None else weights.astype(points.dtype)
    values, rounding = silhouettes_and_rounding(
        points, ids, n_classes=n_classes, distance=settings.distance, definition=settings.definition,
        method=settings.method, block_size=settings.block_size, weights=weights, axis_name=axis_name,
        point_rounding=point_rounding,
    )  # fmt: skip
    columns = jnp.stack([values * weights, rounding * weights, weights], axis=1)
    sums = total(jnp.matmul(one_hot(ids, n_classes, columns.dtype).T, columns, precision="highest"), axis_name)
    means = jnp.sum(sums[:, :2], axis=0) / jnp.sum(sums[:, 2])
    lengths = jnp.where(weights > 0, jnp.max(jnp.abs(points), axis=1), jnp.inf)
    shortest = jnp.min(lengths)
    shortest = shortest if axis_name is None else jax.lax.pmin(shortest, axis_name)
    return means[0], sums[:, 0] / jnp.maximum(sums[:, 2], 1), means[1], shortest


def project(array: Any, settings: ScoreSettings) -> Projection:
    """Principal components of one model's features, and the error of their subspace."""
    features = ArrayFeatures(array, rounding=rounding_of(array))
    with compute_context():
        components = None
        if _iterates(array, settings) and fits_float32(features):
            components = krylov_components(features, settings.n_components, None, PROJECTION_ERROR)
        if components is None or not components.score_error <= PROJECTION_ERROR:
            components = exact_components(features, settings.n_components, None, svd=settings.solver == "svd")
        points, values = np.asarray(components.images), np.asarray(components.singular_values)
    points, values = (x[..., : settings.n_components].astype(np.float64) for x in (points, values))
    dtype = working_dtype(array.dtype)
    return Projection(
        jnp.asarray(np.ldexp(points, components.exponent), dtype),
        jnp.asarray(np.ldexp(values, components.exponent), dtype), jnp.asarray(components.error, dtype),
    )  # fmt: skip


def silhouettes_of_points(points: Any, ids: np.ndarray, n_classes: int, settings: ScoreSettings) -> np.ndarray:
    """Silhouette of every sample; from all pairs where class sums are not exact enough."""
    linear = is_linear(settings.distance, settings.method)
    dtype = wide_dtype() if linear or rounding_of(points) < np.finfo(np.float32).eps else np.float32
    methods = ("linear", "blockwise") if linear and settings.method == "auto" else (settings.method,)
    values = None
    for method in methods:
        with compute_context(dtype):
            values, errors = _silhouettes_of_points(
                jnp.asarray(points, dtype), jnp.asarray(ids), n_classes=n_classes, distance=settings.distance,
                definition=settings.definition, method=method, block_size=settings.block_size,
            )  # fmt: skip
        if not np.max(np.asarray(errors)) > POINT_ERROR or len(ids) > PAIRS_UP_TO:
            break
    return np.asarray(values)


_silhouettes_of_points = jax.jit(
    silhouettes_and_rounding, static_argnames=("n_classes", "distance", "definition", "method", "block_size")
)
