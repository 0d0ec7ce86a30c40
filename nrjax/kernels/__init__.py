"""Pure JAX kernels, written for one model: arrays in, arrays out, nothing checked.

They compose with `jit`, `vmap` and `shard_map`. The checked entries are `nrjax.pca`,
`nrjax.silhouette_samples`, `nrjax.silhouette_score` and `nrjax.score_batch`. On CPU those also keep OpenBLAS on one
thread, which halves the time of `krylov`; who calls the kernels directly sets `OPENBLAS_NUM_THREADS=1`.
"""

from nrjax.kernels._certificate import MAX_ERROR, points_error
from nrjax.kernels._evidence import logme
from nrjax.kernels._knn import NEIGHBOURS, knn
from nrjax.kernels._leep import leep, nce
from nrjax.kernels._linalg import matmul
from nrjax.kernels._pca import Attempt, Projection, Solver, attempts, pca, resolve_solver
from nrjax.kernels._probe import ALPHAS, Probe, fit_probe, probe
from nrjax.kernels._score import Score, ScoreSettings, score, score_models
from nrjax.kernels._separation import gbc, h_score, regularized_h_score, transrate
from nrjax.kernels._silhouette import (
    LINEAR_DISTANCES,
    Definition,
    Distance,
    Method,
    Sampling,
    silhouette_samples,
    silhouette_sampling,
    silhouette_score,
)

__all__ = [
    "ALPHAS",
    "LINEAR_DISTANCES",
    "MAX_ERROR",
    "NEIGHBOURS",
    "Attempt",
    "Definition",
    "Distance",
    "Method",
    "Probe",
    "Projection",
    "Sampling",
    "Score",
    "ScoreSettings",
    "Solver",
    "attempts",
    "fit_probe",
    "gbc",
    "h_score",
    "knn",
    "leep",
    "logme",
    "matmul",
    "nce",
    "pca",
    "points_error",
    "probe",
    "regularized_h_score",
    "resolve_solver",
    "score",
    "score_models",
    "silhouette_samples",
    "silhouette_sampling",
    "silhouette_score",
    "transrate",
]
