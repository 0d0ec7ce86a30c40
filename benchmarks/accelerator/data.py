"""Features to score, made on the device: classes in a spectrum like a trained layer's, and a harder one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nrjax.kernels import ScoreSettings
from nrjax.scoring.array_features import ArrayFeatures
from nrjax.scoring.rounding import rounding_of
from nrjax.scoring.silhouette_programs import Task

CLASSES = 10
SAMPLES, DIMS = 10_000, 1_024
DECAY = {"trained": 1.0, "slow": 0.5}  # singular values fall as 1 / i ** so much


@functools.lru_cache(maxsize=1)
def features(
    models: int, samples: int = SAMPLES, dims: int = DIMS, spectrum: str = "trained"
) -> tuple[jax.Array, np.ndarray]:
    """`[models, samples, dims]` on the device, and labels."""
    labels = np.random.default_rng(0).integers(0, CLASSES, samples).astype(np.int32)

    @jax.jit
    def made(key: jax.Array) -> jax.Array:
        middles, noise = jax.random.split(key)
        rows = jax.random.normal(middles, (models, CLASSES, dims))[:, labels]
        rows = rows + jax.random.normal(noise, (models, samples, dims))
        return rows / jnp.arange(1, dims + 1) ** DECAY[spectrum] + 0.3  # an offset, as after a ReLU

    return jax.block_until_ready(made(jax.random.key(0))), labels


def to_score(array: jax.Array, labels: np.ndarray, tolerance: float) -> tuple[ArrayFeatures, Task]:
    """What `krylov_scores` and `exact_scores` take, of one model or of stacked ones."""
    ids = np.broadcast_to(labels, array.shape[:-1])
    return ArrayFeatures(array, rounding=rounding_of(array)), Task(ids, CLASSES, ScoreSettings(tolerance=tolerance))
