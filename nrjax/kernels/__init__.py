"""Pure JAX kernels, written for one model: arrays in, arrays out, nothing checked.

They compose with `jit`, `vmap` and `shard_map`. The checked entries are `nrjax.pca`,
`nrjax.silhouette_samples`, `nrjax.silhouette_score` and `nrjax.score_batch`. On CPU those also keep OpenBLAS on one
thread, which halves the time of `krylov`; who calls the kernels directly sets `OPENBLAS_NUM_THREADS=1`.
"""

from nrjax.kernels._certificate import MAX_ERROR, points_error
from nrjax.kernels._linalg import matmul
from nrjax.kernels._pca import Attempt, Projection, Solver, attempts, pca, resolve_solver
from nrjax.kernels._score import Score, ScoreSettings, score, score_models
from nrjax.kernels._silhouette import (
    LINEAR_DISTANCES,
    Definition,
    Distance,
    Method,
    silhouette_samples,
    silhouette_score,
)

__all__ = [
    "LINEAR_DISTANCES",
    "MAX_ERROR",
    "Attempt",
    "Definition",
    "Distance",
    "Method",
    "Projection",
    "Score",
    "ScoreSettings",
    "Solver",
    "attempts",
    "matmul",
    "pca",
    "points_error",
    "resolve_solver",
    "score",
    "score_models",
    "silhouette_samples",
    "silhouette_score",
]
