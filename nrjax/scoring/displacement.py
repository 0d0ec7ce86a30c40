"""Points displaced as far as their components may be off: how far a score moves then says how certain it is."""

import functools
from types import ModuleType

import numpy as np

from nrjax._utils.arrays import OneKind
from nrjax.kernels import ScoreSettings
from nrjax.kernels.silhouette import is_linear

DRAWS, SAFETY = 4, 2  # displacements that are tried, and how much larger they are than the error
LINE_DRAWS = 32  # on a line a cosine is a sign: the score jumps where one sample changes sides, so all are displaced
LINEAR_ROWS, PAIRED_ROWS = 1024, 512  # samples that are displaced


@functools.cache
def displaced_rows(settings: ScoreSettings, samples: int) -> np.ndarray | slice:
    """Rows that are looked at, always the same; at random, because labels may repeat at even distances."""
    linear = is_linear(settings.distance, settings.method)
    most = LINEAR_ROWS if linear else PAIRED_ROWS
    if samples <= most or (linear and settings.n_components == 1):
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(samples, most, replace=False))


def displaced(xp: ModuleType, images: OneKind, tangents: OneKind, noise: OneKind) -> OneKind:
    """The points and what they are displaced to, `[1 + draws, rows, components]`.

        e_ui = SAFETY * (sum over j > k of  n_ij t_ij (C X v_j)_u  +  m_ui noise),   n, m normal

    Displacements of single samples cancel in the mean, those of whole classes do not. Where a score jumps, as it does
    with the signs of one component, the larger displacement shows it and a derivative would not.

    Args:
      xp: `numpy` or `jax.numpy`.
      images: `[rows, kept]`, the components first.
      tangents: `[components, kept - components]`, of the angles by which components may be turned.
      noise: of an image.
    """
    k, dtype = len(tangents), tangents.dtype
    points, others = images[:, :k], images[:, k : k + tangents.shape[1]]
    of_turns, of_points = (draws.astype(dtype) for draws in _normal(k, tangents.shape[1]))
    of_points = xp.tile(of_points, (1, -(-len(points) // LINEAR_ROWS), 1))[:, : len(points)]
    turned = xp.matmul(others, xp.swapaxes(of_turns * tangents, 1, 2))
    return xp.concatenate([points[None], points + SAFETY * (turned + noise * of_points)])


@functools.cache
def _normal(k: int, others: int) -> tuple[np.ndarray, np.ndarray]:
    """`[draws, components, others]`, and `[draws, rows, components]`, repeated where there are more rows."""
    draws, rng = DRAWS if k > 1 else LINE_DRAWS, np.random.default_rng(0)
    return rng.normal(size=(draws, k, others)), rng.normal(size=(draws, LINEAR_ROWS, k))
