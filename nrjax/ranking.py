"""From arrays to an order: `rank_batch` and `score_batch`."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from nrjax import kernels
from nrjax.batch import (
    check_features,
    check_settings,
    check_shape,
    check_stack,
    components_of,
    each_checked,
    encode_labels,
    named_models,
    working_dtype,
)
from nrjax.mesh import check_mesh, score_on_mesh
from nrjax.result import Ranking
from nrjax.scoring import Scorer, score_stack


def rank_batch(
    features: Mapping[str, Any] | Any,
    labels: Any,
    *,
    n_components: int = 10,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    solver: kernels.Solver = "auto",
    method: kernels.Method = "auto",
    block_size: int | None = None,
) -> Ranking:
    """Ranks models by the neuralRank score of their features; best first.

    Args:
      features: model name to features `[samples, dims]` (widths may differ), or one array
        `[models, samples, dims]` whose models are then called "0", "1", ... NumPy, JAX, or anything
        with `__array__` or DLPack; integers and low-precision floats are computed in float32. A mapping
        is read one model at a time, so it may compute features on access.
      labels: one per sample, of any type.
      n_components: principal components kept; a model that has fewer uses those, and the result says so.
      distance: of the silhouette: `cosine` (the paper's), `euclidean` or `sqeuclidean`.
      definition: `rousseeuw` (the paper's tables) or `centroid` (its Eq. 4).
      solver: of the PCA: `auto`, `svd`, `gram` or `krylov`, see `nrjax.kernels.pca`. Where `krylov` cannot
        certify its result the model is scored with `gram`, and where `gram` cannot in float32 (the last
        component kept and the next are as good as tied) with `gram` in float64; the result says so.
      method: of the silhouette: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.

    Returns:
      A `Ranking`. Models whose features cannot be scored are listed in it, last, with the reason. A
      model's score does not depend on the other models.

    Raises:
      ValueError: labels or settings that fit no model, an empty mapping, or no model that can be scored.
      TypeError: a setting or a model name of the wrong type.

    Source: Algorithm 1 of the neuralRank paper; `PCA(n_components)` then
    `silhouette_score(metric="cosine")` of scikit-learn.
    """
    settings = check_settings(n_components, distance, definition, solver, method, block_size)
    ids, classes = encode_labels(labels)
    models = named_models(features)
    scorer = Scorer(ids, len(classes), settings)
    failed: dict[str, str] = {}
    for name, checked in each_checked(models, len(ids)):
        if isinstance(checked, str):
            failed[name] = checked
        else:
            scorer.add(name, checked)
    scored = scorer.finish()
    if not scored:
        raise ValueError(f"None of the models could be scored. {_by_reason(failed)}")
    made_with = {
        **dataclasses.asdict(settings), "samples": len(ids), "classes": len(classes), "backend": jax.default_backend(),
    }  # fmt: skip
    return Ranking.of([scored[name] for name in models if name in scored], failed, made_with)


def _by_reason(failed: Mapping[str, str]) -> str:
    """Every reason once, with the models it holds for."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in failed.items():
        names[reason].append(name)
    return " ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())


def score_batch(
    features: Any,
    labels: Any,
    *,
    n_components: int = 10,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    solver: kernels.Solver = "auto",
    method: kernels.Method = "auto",
    block_size: int | None = None,
    mesh: Mesh | None = None,
) -> jax.Array:
    """neuralRank scores of stacked models, by one compiled program; each in [-1, 1], higher is better.

    Args:
      features: `[models, samples, dims]`.
      labels: one per sample, of any type, shared by the models.
      n_components: principal components kept, or `min(samples - 1, dims)` where there are fewer.
      distance: as for `rank_batch`, and so are the rest.
      definition: `rousseeuw` or `centroid`.
      solver: `auto`, `svd`, `gram` or `krylov`.
      method: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.
      mesh: devices to split the work over, of this process or of several: a `jax.sharding.Mesh` with axes
        `models`, `samples` or both. Features are then a NumPy array that every process has, or a `jax.Array`
        over the mesh, which stays where it is; labels are whole on every process.

    Returns:
      `[models]`; on a mesh the same on every process.

    Raises:
      ValueError: any model that cannot be scored (`rank_batch` would list it and go on), or settings that
        cannot be computed on a mesh.
    """
    settings = check_settings(n_components, distance, definition, solver, method, block_size)
    ids, classes = encode_labels(labels)
    if mesh is not None:
        check_mesh(mesh, settings)
        if not isinstance(features, jax.Array):
            features = check_stack(features)
        check_shape(features, len(ids))
        settings = dataclasses.replace(settings, n_components=components_of(settings, features.shape[1:]))
        scores = score_on_mesh(features, ids, len(classes), settings, mesh)
        return jnp.asarray(scores, working_dtype(features.dtype))
    stacked = check_stack(features)
    checked = [check_features(f"Model {i}", model, len(ids)) for i, model in enumerate(stacked)]
    stacked = stacked.astype(checked[0].dtype, copy=False)
    settings = dataclasses.replace(settings, n_components=components_of(settings, stacked.shape[1:]))
    scores, _ = score_stack(stacked, ids, len(classes), settings)
    return jnp.asarray(scores, stacked.dtype)
