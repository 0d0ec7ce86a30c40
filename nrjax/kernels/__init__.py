"""Pure JAX kernels, written for one model: arrays in, arrays out, nothing checked.

They compose with `jit`, `vmap` and `shard_map`. The checked entries are `nrjax.pca`,
`nrjax.silhouette_samples`, `nrjax.silhouette_score` and `nrjax.score_batch`. On CPU those also keep OpenBLAS on one
thread, which halves the time of `krylov`; who calls the kernels directly sets `OPENBLAS_NUM_THREADS=1`.
"""

from nrjax.kernels._certificate import (
    MAX_ERROR,
    MAX_ROUNDING,
    TOLERANCE,
    Estimate,
    as_share,
    error_of_points,
    joint_error,
    of_rounding,
    points_error,
)
from nrjax.kernels._class_distances import Distance
from nrjax.kernels._clusters import adjusted_rand, cluster_ids, clusters, stability
from nrjax.kernels._evidence import estimate_logme, logme
from nrjax.kernels._felt import doubt, felt
from nrjax.kernels._h_score import estimate_h_score, estimate_regularized_h_score, h_score, regularized_h_score
from nrjax.kernels._knn import NEIGHBOURS, estimate_knn, knn
from nrjax.kernels._leep import estimate_leep, estimate_nce, leep, nce
from nrjax.kernels._linalg import matmul
from nrjax.kernels._pca import NOISE, Attempt, Projection, Solver, attempts, pca, resolve_solver
from nrjax.kernels._probe import ALPHAS, Probe, estimate_probe, fit_probe, probe
from nrjax.kernels._sampling import Sampling, silhouette_sampling
from nrjax.kernels._score import Score, ScoreSettings, score, score_models
from nrjax.kernels._separation import estimate_gbc, estimate_transrate, gbc, transrate
from nrjax.kernels._silhouette import (
    LINEAR_DISTANCES,
    Definition,
    Method,
    silhouette_estimate,
    silhouette_samples,
    silhouette_score,
)
from nrjax.kernels._spectrum import Factorisation

__all__ = [
    "ALPHAS",
    "LINEAR_DISTANCES",
    "MAX_ERROR",
    "MAX_ROUNDING",
    "NEIGHBOURS",
    "NOISE",
    "TOLERANCE",
    "Attempt",
    "Definition",
    "Distance",
    "Estimate",
    "Factorisation",
    "Method",
    "Probe",
    "Projection",
    "Sampling",
    "Score",
    "ScoreSettings",
    "Solver",
    "adjusted_rand",
    "as_share",
    "attempts",
    "cluster_ids",
    "clusters",
    "doubt",
    "error_of_points",
    "estimate_gbc",
    "estimate_h_score",
    "estimate_knn",
    "estimate_leep",
    "estimate_logme",
    "estimate_nce",
    "estimate_probe",
    "estimate_regularized_h_score",
    "estimate_transrate",
    "felt",
    "fit_probe",
    "gbc",
    "h_score",
    "joint_error",
    "knn",
    "leep",
    "logme",
    "matmul",
    "nce",
    "of_rounding",
    "pca",
    "points_error",
    "probe",
    "regularized_h_score",
    "resolve_solver",
    "score",
    "score_models",
    "silhouette_estimate",
    "silhouette_samples",
    "silhouette_sampling",
    "silhouette_score",
    "stability",
    "transrate",
]
