"""Pure JAX kernels, written for one model: arrays in, arrays out, nothing checked.

They compose with `jit`, `vmap` and `shard_map`. The checked entries are `nrjax.pca`,
`nrjax.silhouette_samples`, `nrjax.silhouette_score` and `nrjax.score_batch`.
"""

from nrjax.kernels._pca import SOLVERS, Projection, Solver, pca
from nrjax.kernels._score import ScoreSettings, score, score_models
from nrjax.kernels._silhouette import (
    DEFINITIONS,
    DISTANCES,
    LINEAR_DISTANCES,
    METHODS,
    Definition,
    Distance,
    Method,
    silhouette_samples,
    silhouette_score,
)

__all__ = [
    "DEFINITIONS",
    "DISTANCES",
    "LINEAR_DISTANCES",
    "METHODS",
    "SOLVERS",
    "Definition",
    "Distance",
    "Method",
    "Projection",
    "ScoreSettings",
    "Solver",
    "pca",
    "score",
    "score_models",
    "silhouette_samples",
    "silhouette_score",
]
