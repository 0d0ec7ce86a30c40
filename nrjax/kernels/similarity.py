"""How similar the two halves of pairs are, held against numbers: correlations of cosines, without any training.

Features of a pair are `[u, v, abs(u - v), u * v]`; its similarity is u · v / (|u| |v|), 0 where one of them is zero.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nrjax.kernels.agreement import correlation, mean_of_used
from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import units

PARTS = 4  # of the features of a pair
TIED = 4096  # times the rounding of the working type: cosines on one such step are equal
OFF = 4  # times the rounding of the features: that a cosine may be off by


def similarities(features: Float[Array, "samples dims"]) -> Float[Array, " samples"]:
    """Cosine of the halves of every pair, `dims / 4` numbers each, on steps of `TIED` roundings; in [-1, 1]."""
    width = features.shape[1] // PARTS
    first, second = (units(half)[0] for half in (features[:, :width], features[:, width : 2 * width]))
    step = TIED * float(jnp.finfo(features.dtype).eps)
    return jnp.round(jnp.sum(first * second, axis=1) / step) * step


def estimate_similarity(
    features: Float[Array, "samples dims"], numbers: Float[Array, "samples outputs"], *, rounding: float, **_
) -> Estimate:
    """Spearman's correlation of `similarities` with the numbers, and how far pairs of nearly equal cosines move it.

    Source: `scipy.stats.spearmanr`.
    """
    from jax.scipy.stats import rankdata  # with 60 modules, which other scores do without

    cosines = similarities(features)
    ranks = rankdata(cosines)[:, None].astype(features.dtype)
    of_numbers = rankdata(numbers, axis=0).astype(features.dtype)
    used = jnp.any(numbers != numbers[0], axis=0)
    values, _ = correlation(jnp.broadcast_to(ranks, numbers.shape), of_numbers, used)
    rising, off = lax.sort(cosines), OFF * rounding
    close = _between(rising, cosines - off, cosines + off) - _between(rising, cosines, cosines)
    error = jnp.mean(close * jnp.abs(ranks[:, 0] - jnp.mean(ranks))) / jnp.maximum(jnp.var(ranks), 1)
    return Estimate(mean_of_used(values, used), error, by_output=jnp.where(used, values, jnp.nan))


def estimate_similarity_pearson(
    features: Float[Array, "samples dims"], numbers: Float[Array, "samples outputs"], *, rounding: float, **_
) -> Estimate:
    """Pearson's correlation of `similarities` with the numbers, and how far rounding moves it.

    Source: `scipy.stats.pearsonr`.
    """
    cosines = similarities(features)
    centred = numbers - jnp.mean(numbers, axis=0)
    used = jnp.any(numbers != numbers[0], axis=0)
    values, influences = correlation(jnp.broadcast_to(cosines[:, None], numbers.shape), centred, used)
    spread = jnp.std(cosines)
    error = jnp.where(spread > 0, OFF * rounding / jnp.where(spread > 0, spread, 1), 0)
    return Estimate(
        mean_of_used(values, used), error, by_output=jnp.where(used, values, jnp.nan), influences=influences
    )


def _between(
    rising: Float[Array, " samples"], low: Float[Array, " samples"], high: Float[Array, " samples"]
) -> Float[Array, " samples"]:
    """How many of sorted numbers are between two bounds, which are included."""
    return (jnp.searchsorted(rising, high, side="right") - jnp.searchsorted(rising, low, side="left")).astype(
        rising.dtype
    )


def similarity(features: Float[Array, "samples dims"], numbers: Float[Array, "samples outputs"]) -> Float[Array, ""]:
    """Spearman's correlation of the numbers with the cosine of the halves of pairs, in [-1, 1]; higher is better.

    Args:
      features: `[u, v, abs(u - v), u * v]` of every pair; the last two parts are not read.
      numbers: such as how similar people find the two. Of several outputs it is the mean.

    Source: `scipy.stats.spearmanr`; what benchmarks of semantic similarity report of sentence encoders.
    """
    return estimate_similarity(features, numbers, rounding=float(jnp.finfo(features.dtype).eps)).value
