"""From arrays to an order: `rank_batch` and `score_batch`."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax.batch import (
    check_features,
    check_settings,
    check_stack,
    components_of,
    each_checked,
    encode_labels,
    named_models,
    padded,
)
from nrjax.kernels import ScoreSettings
from nrjax.result import Ranking, ScoredModel

# Features held at once where models are scored as one batch; 1 GiB leaves room for copies on any accelerator.
BATCH_BYTES = 1 << 30


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
        certify its result the model is scored with `gram`, and the result says so.
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
    scorer = _Scorer(ids, len(classes), settings)
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
) -> jax.Array:
    """neuralRank scores of stacked models, in one compiled call; each in [-1, 1], higher is better.

    Args:
      features: `[models, samples, dims]`.
      labels: one per sample, of any type, shared by the models.
      n_components: principal components kept, or `min(samples - 1, dims)` where there are fewer.
      distance: as for `rank_batch`, and so are the rest.
      definition: `rousseeuw` or `centroid`.
      solver: `auto`, `svd`, `gram` or `krylov`.
      method: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.

    Returns:
      `[models]`.

    Raises:
      ValueError: any model that cannot be scored (`rank_batch` would list it and go on).
    """
    settings = check_settings(n_components, distance, definition, solver, method, block_size)
    ids, classes = encode_labels(labels)
    stacked = check_stack(features)
    checked = [check_features(f"Model {i}", model, len(ids)) for i, model in enumerate(stacked)]
    stacked = stacked.astype(checked[0].dtype, copy=False)
    settings = dataclasses.replace(settings, n_components=components_of(settings, stacked.shape[1:]))
    scores, _ = _score_stack(jnp.asarray(stacked), jnp.asarray(ids), len(classes), settings)
    return jnp.asarray(scores, stacked.dtype)


def _one_by_one() -> bool:
    """How models are walked, for every caller: one after another on CPU, as one batch on accelerators.

    On CPU one model keeps the cores busy, and `vmap` only costs memory (features, Gram matrices and
    eigenvectors of all models at once); on an accelerator one model does not fill the device.
    """
    return jax.default_backend() == "cpu"


def _score_stack(
    stack: jax.Array, ids: jax.Array, n_classes: int, settings: ScoreSettings
) -> tuple[np.ndarray, list[str]]:
    """Scores of `[models, samples, dims]`, and the solver of each; `gram` where Krylov cannot be certified."""
    solver = kernels.resolve_solver(settings.solver, stack.shape[1:], settings.n_components, stack.dtype)
    settings = dataclasses.replace(settings, solver=solver)
    if len(stack) == 1:
        result = jax.tree.map(lambda x: x[None], kernels.score(stack[0], ids, n_classes=n_classes, settings=settings))
    else:
        result = kernels.score_models(
            stack, ids, n_classes=n_classes, settings=settings, one_by_one=_one_by_one()
        )  # fmt: skip
    scores, solvers = np.array(result.value, np.float64), [solver] * len(stack)
    exact = dataclasses.replace(settings, solver="gram")
    for i in np.flatnonzero(~(np.asarray(result.error) <= kernels.KRYLOV_ERROR)):
        scores[i], solvers[i] = kernels.score(stack[i], ids, n_classes=n_classes, settings=exact).value, "gram"
    return scores, solvers


class _Scorer:
    """Scores models as they come; on accelerators it collects those of one shape into batches."""

    def __init__(self, ids: np.ndarray, n_classes: int, settings: ScoreSettings):
        self._ids, self._n_classes, self._settings = jnp.asarray(ids), n_classes, settings
        self._waiting: dict[tuple, list[tuple[str, Any, tuple[int, int]]]] = defaultdict(list)
        self._scored: dict[str, ScoredModel] = {}

    def add(self, name: str, features: Any) -> None:
        wide = padded(features)
        # Of the bucket's width, not the model's: components that a narrow model lacks are zero columns,
        # which change no cosine, and asking for fewer would compile again.
        settings = dataclasses.replace(self._settings, n_components=components_of(self._settings, wide.shape))
        key = (wide.shape, str(wide.dtype), settings)
        self._waiting[key].append((name, wide, features.shape))
        if _one_by_one() or len(self._waiting[key]) * wide.nbytes >= BATCH_BYTES:
            self._flush(key)

    def finish(self) -> dict[str, ScoredModel]:
        for key in list(self._waiting):
            self._flush(key)
        return self._scored

    def _flush(self, key: tuple) -> None:
        waiting, settings = self._waiting.pop(key), key[-1]
        models = [jnp.asarray(features) for _, features, _ in waiting]
        spare = (1 << (len(models) - 1).bit_length()) - len(models)  # few sizes, few compilations
        stack = models[0][None] if len(models) == 1 else jnp.stack(models + models[-1:] * spare)
        scores, solvers = _score_stack(stack, self._ids, self._n_classes, settings)
        for (name, _, shape), score, solver in zip(waiting, scores, solvers, strict=False):
            components = components_of(self._settings, shape)
            self._scored[name] = ScoredModel(name, float(score), shape[1], components, solver)
