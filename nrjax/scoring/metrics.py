"""The kernels behind the checked door, one model at a time: PCA, silhouettes, and what reads probabilities."""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax._utils.arrays import AnyArray, Array
from nrjax._utils.jax_config import neutral_config
from nrjax.kernels.silhouette import is_linear, silhouettes_and_rounding
from nrjax.labels import check_same_order
from nrjax.scoring.array_features import ArrayFeatures
from nrjax.scoring.checks import check_features, check_probabilities
from nrjax.scoring.components import exact_components, fits_float32, krylov_components
from nrjax.scoring.compute import compute_context
from nrjax.scoring.operators import wide_dtype
from nrjax.scoring.rounding import rounding_of, without_constants, without_subnormals, working_dtype
from nrjax.scoring.settings import check_settings, components_of, encode_labels
from nrjax.scoring.silhouette_programs import PAIRS_UP_TO
from nrjax.scoring.silhouettes import iterates

POINT_ERROR = 1e-5  # that the silhouette of a point may have
PROJECTION_ERROR = 3e-5  # of the subspace of a projection


@neutral_config()
def pca(features: AnyArray, n_components: int = 10, *, solver: kernels.Solver = "auto") -> kernels.Projection:
    """Coordinates of every sample on the leading principal components, and the singular values.

    Args:
      features: `[samples, dims]`, finite real numbers; NumPy, JAX, or anything with `__array__` or DLPack.
      n_components: at least 1; where there are fewer, `min(samples - 1, dims)`, that many come back.
      solver: `krylov`, `gram`, `svd` or `auto`, as for `rank_batch`.

    Returns:
      `Projection(points [samples, components], singular_values [components], error)`. Signs are arbitrary.

    Raises:
      ValueError: features of another shape or not finite; n_components below 1.
      TypeError: features that are no array; n_components that is no integer.

    Examples:
      >>> projection = nrjax.pca(features["F10"], n_components=10)
      >>> projection.points.shape, projection.singular_values.shape
      ((1000, 10), (10,))

    Source: `sklearn.decomposition.PCA(n_components, svd_solver="full").fit_transform(features)`.
    """
    settings = check_settings(n_components=n_components, solver=solver)
    array = check_features("features", features)
    return _project(array, dataclasses.replace(settings, n_components=components_of(settings, array.shape)))


@neutral_config()
def silhouette_samples(
    points: AnyArray,
    labels: Iterable[object],
    *,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    method: kernels.Method = "auto",
    block_size: int | None = None,
) -> jax.Array:
    """Silhouette of every sample, in [-1, 1]; higher is better.

    Args:
      points: `[samples, dims]`, finite real numbers.
      labels: one per sample, of any type; 2 to `samples - 1` classes.
      distance: `cosine`, `euclidean` or `sqeuclidean`.
      definition: `rousseeuw`, or `centroid` (Eq. 4 of the paper: distance to the nearest other centroid).
      method: `linear` (closed form; cosine and sqeuclidean), `blockwise` (all pairs, bounded memory), `auto`.
      block_size: rows at once; None chooses.

    Returns:
      `[samples]`. A sample alone in its class gets 0.

    Raises:
      ValueError: shapes that do not match, values that are not finite, too few or too many classes.

    Examples:
      >>> values = nrjax.silhouette_samples(nrjax.pca(features["F10"]).points, labels)
      >>> values.shape, int(labels[np.argmin(values)])
      ((1000,), 2)

    Source: Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7; `sklearn.metrics.silhouette_samples`.
    """
    settings = check_settings(distance=distance, definition=definition, method=method, block_size=block_size)
    check_same_order(points, labels)
    ids, classes = encode_labels(labels)
    array = check_features("points", points, len(ids))
    values = _silhouettes_of_points(array, ids, len(classes), settings)
    return jnp.asarray(values, working_dtype(array.dtype))


def silhouette_score(
    points: AnyArray,
    labels: Iterable[object],
    *,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    method: kernels.Method = "auto",
    block_size: int | None = None,
) -> float:
    """Mean silhouette over all samples, in [-1, 1]; higher is better.

    Args:
      points: `[samples, dims]`.
      labels: one per sample.
      distance: as for `silhouette_samples`, which says what is raised; and so are the rest.
      definition: `rousseeuw` or `centroid`.
      method: `linear`, `blockwise` or `auto`.
      block_size: rows at once.

    Examples:
      >>> round(nrjax.silhouette_score(nrjax.pca(features["F10"]).points, labels), 2)
      0.49

    Source: `sklearn.metrics.silhouette_score(points, labels, metric=distance)`.
    """
    values = silhouette_samples(
        points, labels, distance=distance, definition=definition, method=method, block_size=block_size
    )
    return float(np.asarray(values).mean(dtype=np.float64))


def leep(probabilities: AnyArray, labels: Iterable[object]) -> float:
    """LEEP, at most 0; higher is better: log likelihood of the labels given the model's own classes.

    Args:
      probabilities: `[samples, source_classes]` of the model's own classes; rows sum to 1.
      labels: one per sample, of any type.

    Raises:
      ValueError: what are no probabilities, or labels that do not fit them.

    Examples:
      >>> probabilities = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]
      >>> round(nrjax.leep(probabilities, ["cat", "cat", "dog", "dog"]), 3)
      -0.343

    Source: Nguyen et al. 2020, arXiv:2002.12462.
    """
    return _of_probabilities(kernels.leep, probabilities, labels)


def nce(probabilities: AnyArray, labels: Iterable[object]) -> float:
    """Negative conditional entropy of the labels, in [-log classes, 0]; higher is better.

    Args:
      probabilities: `[samples, source_classes]`, of which the largest of every row counts.
      labels: one per sample, of any type.

    Raises:
      ValueError: what are no probabilities, or labels that do not fit them.

    Examples:
      >>> probabilities = [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]
      >>> round(nrjax.nce(probabilities, ["cat", "cat", "dog", "dog"]), 3)
      -0.477

    Source: Tran et al. 2019, arXiv:1908.08142.
    """
    return _of_probabilities(kernels.nce, probabilities, labels)


def _of_probabilities(kernel: Callable[..., jax.Array], probabilities: AnyArray, labels: Iterable[object]) -> float:
    check_same_order(probabilities, labels)
    ids, classes = encode_labels(labels)
    array = check_probabilities("probabilities", probabilities, len(ids))
    dtype = working_dtype(array.dtype) if jax.default_backend() == "tpu" else np.float64
    with compute_context(dtype):
        return float(kernel(jnp.asarray(array, dtype), jnp.asarray(ids), n_classes=len(classes)))


def _project(array: Array, settings: kernels.ScoreSettings) -> kernels.Projection:
    """Principal components of one model's features, and the error of their subspace."""
    features = ArrayFeatures(without_constants(array), rounding=rounding_of(array))
    with compute_context():
        components = None
        if iterates(array, settings) and fits_float32(features):
            components = krylov_components(features, settings.n_components, None, PROJECTION_ERROR)
        if components is None:
            components = exact_components(features, settings.n_components, None, svd=settings.solver == "svd")
        points, values = np.asarray(components.images), np.asarray(components.singular_values)
    points, values = (x[..., : settings.n_components].astype(np.float64) for x in (points, values))
    dtype = working_dtype(array.dtype)
    return kernels.Projection(
        jnp.asarray(np.ldexp(points, components.exponent), dtype),
        jnp.asarray(np.ldexp(values, components.exponent), dtype), jnp.asarray(components.error, dtype),
    )  # fmt: skip


def _silhouettes_of_points(
    points: Array, ids: np.ndarray, n_classes: int, settings: kernels.ScoreSettings
) -> np.ndarray:
    """Silhouette of every sample; from all pairs where class sums are not exact enough."""
    points, linear = without_subnormals(points), is_linear(settings.distance, settings.method)
    dtype = wide_dtype() if linear or rounding_of(points) < np.finfo(np.float32).eps else np.float32
    methods = ("linear", "blockwise") if linear and settings.method == "auto" else (settings.method,)
    values = None
    for method in methods:
        with compute_context(dtype):
            values, errors = _silhouettes_and_rounding(
                jnp.asarray(points, dtype), jnp.asarray(ids), n_classes=n_classes, distance=settings.distance,
                definition=settings.definition, method=method, block_size=settings.block_size,
            )  # fmt: skip
        if not np.max(np.asarray(errors)) > POINT_ERROR or len(ids) > PAIRS_UP_TO:
            break
    return np.asarray(values)


_silhouettes_and_rounding = jax.jit(
    silhouettes_and_rounding, static_argnames=("n_classes", "distance", "definition", "method", "block_size")
)
