"""Pure JAX kernels, written for one model: arrays in, arrays out, nothing checked.

They compose with `jit`, `vmap`, `grad` and `shard_map`. The checked entries are `nrjax.rank_batch`,
`nrjax.score_batch`, `nrjax.pca`, `nrjax.silhouette_samples` and `nrjax.silhouette_score`, which are also faster
and say how exact they are.
"""

from nrjax.kernels.clusters import clusters, stability
from nrjax.kernels.distances import Distance
from nrjax.kernels.gbc import gbc
from nrjax.kernels.h_score import h_score, regularized_h_score
from nrjax.kernels.knn import balanced_knn, knn
from nrjax.kernels.leep import leep, nce
from nrjax.kernels.linear_mse import linear_mse
from nrjax.kernels.logme import logme
from nrjax.kernels.pca import Projection, Solver, pca
from nrjax.kernels.probe import average_precision, balanced_probe, probe
from nrjax.kernels.score import Score, ScoreSettings, score, score_models
from nrjax.kernels.silhouette import Definition, Method, silhouette_samples, silhouette_score
from nrjax.kernels.similarity import similarity
from nrjax.kernels.transrate import transrate

__all__ = [
    "Definition",
    "Distance",
    "Method",
    "Projection",
    "Score",
    "ScoreSettings",
    "Solver",
    "average_precision",
    "balanced_knn",
    "balanced_probe",
    "clusters",
    "gbc",
    "h_score",
    "knn",
    "leep",
    "linear_mse",
    "logme",
    "nce",
    "pca",
    "probe",
    "regularized_h_score",
    "score",
    "score_models",
    "silhouette_samples",
    "silhouette_score",
    "similarity",
    "stability",
    "transrate",
]
