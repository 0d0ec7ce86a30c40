"""The kernels behind the checked door, one model at a time: PCA, silhouettes, and what reads probabilities."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax.memory import Staging
from nrjax.scoring.checks import (
    check_features,
    check_probabilities,
    check_settings,
    components_of,
    encode_labels,
    rounding_of,
    working_dtype,
)
from nrjax.scoring.walk import conditions
from nrjax.switches import our_own


@our_own()
def pca(features: Any, n_components: int = 10, *, solver: kernels.Solver = "auto") -> kernels.Projection:
    """Coordinates of every sample on the leading principal components, and the singular values.

    Args:
      features: `[samples, dims]`, finite real numbers; NumPy, JAX, or anything with `__array__` or DLPack.
      n_components: at least 1; where there are fewer, `min(samples - 1, dims)`, that many come back.
      solver: `svd`, `gram`, `krylov` or `auto`, see `nrjax.kernels.pca`. What cannot be
        certified is done again with `gram`, then with `gram` in float64.

    Returns:
      `Projection(points [samples, components], singular_values [components], error)`. Signs are arbitrary.

    Raises:
      ValueError: features of another shape or not finite; n_components below 1.
      TypeError: features that are no array; n_components that is no integer.

    Source: `sklearn.decomposition.PCA(n_components, svd_solver="full").fit_transform(features)`.
    """
    settings = check_settings(n_components=n_components, solver=solver)
    array = check_features("features", features)
    components = components_of(settings, array.shape)
    projection = None
    for attempt in kernels.attempts(settings.solver, array.shape, components, working_dtype(array.dtype)):
        with conditions(attempt.dtype):
            ready = Staging()(np.asarray(array), attempt.dtype, centred=True)
            projection = kernels.pca(
                jnp.asarray(ready), components, solver=attempt.solver, rounding=rounding_of(array)
            )  # fmt: skip
        if float(projection.error) <= kernels.MAX_ERROR:
            break
    assert projection is not None  # there is always an attempt
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x), working_dtype(array.dtype)), projection)


@our_own()
def silhouette_samples(
    points: Any,
    labels: Any,
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

    Source: Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7; `sklearn.metrics.silhouette_samples`.
    """
    settings = check_settings(distance=distance, definition=definition, method=method, block_size=block_size)
    ids, classes = encode_labels(labels)
    array = check_features("points", points, len(ids))
    working = working_dtype(array.dtype)
    begin = np.float64 if rounding_of(array) < np.finfo(np.float32).eps else working
    found = None
    for dtype in dict.fromkeys((begin, working if jax.default_backend() == "tpu" else np.float64)):
        with conditions(dtype):
            found = kernels.silhouette_estimate(
                jnp.asarray(array, dtype), jnp.asarray(ids), n_classes=len(classes), distance=settings.distance,
                definition=settings.definition, method=settings.method, block_size=settings.block_size, each=True,
            )  # fmt: skip
        if float(found.error) <= kernels.MAX_ROUNDING:
            break
    assert found is not None  # there is always an attempt
    return jnp.asarray(np.asarray(found.value), working)


def silhouette_score(points: Any, labels: Any, **options: Any) -> float:
    """Mean silhouette over all samples, in [-1, 1]; higher is better.

    Args:
      points: `[samples, dims]`.
      labels: one per sample.
      options: as for `silhouette_samples`, which says what is raised.

    Source: `sklearn.metrics.silhouette_score(points, labels, metric=distance)`.
    """
    return float(np.asarray(silhouette_samples(points, labels, **options)).mean(dtype=np.float64))


def leep(probabilities: Any, labels: Any) -> float:
    """LEEP, at most 0; higher is better: log likelihood of the labels given the model's own classes.

    Args:
      probabilities: `[samples, source_classes]` of the model's own classes; rows sum to 1.
      labels: one per sample, of any type.

    Raises:
      ValueError: what are no probabilities, or labels that do not fit them.

    Source: Nguyen et al. 2020, arXiv:2002.12462.
    """
    return _of_probabilities(kernels.leep, probabilities, labels)


def nce(probabilities: Any, labels: Any) -> float:
    """Negative conditional entropy of the labels, in [-log classes, 0]; higher is better.

    Args:
      probabilities: `[samples, source_classes]`, of which the largest of every row counts.
      labels: one per sample, of any type.

    Raises:
      ValueError: what are no probabilities, or labels that do not fit them.

    Source: Tran et al. 2019, arXiv:1908.08142.
    """
    return _of_probabilities(kernels.nce, probabilities, labels)


def _of_probabilities(kernel: Any, probabilities: Any, labels: Any) -> float:
    ids, classes = encode_labels(labels)
    array = check_probabilities("probabilities", probabilities, len(ids))
    dtype = working_dtype(array.dtype) if jax.default_backend() == "tpu" else np.float64
    with conditions(dtype):
        return float(kernel(jnp.asarray(array, dtype), jnp.asarray(ids), n_classes=len(classes)))
