"""How sure an order is: what every sample adds to every score, resampled for all models alike.

Near the samples at hand a score is linear in how often each of them counts, and its derivatives are the
samples' influences. Scores of resampled targets are then one matrix product for any number of models: every
resample counts a random half of the samples twice and the others not at all (the variance of half-samples is
that of the bootstrap), the same half for every model, so what models have in common cancels between them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.jax_config import neutral_config
from nrjax.kernels.linalg import matmul

LEVEL = 0.9  # of the intervals, and of the differences that tell two models apart
QUANTILE = 1.6448536  # of a normal distribution, at (1 + LEVEL) / 2
RESAMPLES = 4096
AT_ONCE = 128  # resamples held at a time
BIAS_NOISE = 0.45  # of a score's standard deviation, that its bias has; measured by benchmarks.trust.calibration
BIAS_ERROR = 0.4  # of a bias, by which all biases of a ranking may be off together; measured likewise
LEAST_BEHIND = 0.1  # standard deviations, below which a difference says nothing of its size
FEWEST = 20  # samples about which anything is said
FEWEST_GROUPS = 8  # of samples, where these belong together


class Confidence(NamedTuple):
    """Statements about one model of a ranking.

    Attributes:
      interval: in which its score lies with probability `LEVEL`.
      p_first: probability that its score is the highest.
      group: 1 for the models that cannot be told from the first, 2 for those below them, and so on.
      behind: by how much it is behind the one before, in standard deviations of that difference; 0 of the first.
    """

    interval: tuple[float, float]
    p_first: float
    group: int
    behind: float


def confidence(
    scores: np.ndarray, biases: np.ndarray, influences: np.ndarray, tie: float, *, learned: int = 0
) -> list[Confidence]:
    """Of every model, given in the ranking's order.

    Args:
      scores: `[models]`; higher is better.
      biases: `[models]`, of the scores.
      influences: `[models, units]`, units being samples or groups of them.
      tie: scores this close share the first place.
      learned: means that the scores learn from the units, such as those of classes: degrees of freedom less.
    """
    units = influences.shape[1]
    shifts = np.sqrt(units / max(units - learned, 1)) * resampled(np.zeros(len(scores)), influences)
    biases = shared_biases(biases, shifts.std(axis=0))
    drawn = scores - biases + shifts
    likely = shrunk(scores - biases, shifts)
    first = likely >= likely.max(axis=1, keepdims=True) - tie
    p_first = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    errors = np.random.default_rng(0).normal(size=(len(drawn), 1))  # the same for all models, so they cancel above
    low, high = np.quantile(drawn + BIAS_ERROR * np.abs(biases) * errors, tails, axis=0)
    leader, groups = 0, [1]
    for model in range(1, len(scores)):
        apart = np.quantile(drawn[:, leader] - drawn[:, model], tails[0]) > tie
        leader = model if apart else leader
        groups.append(groups[-1] + int(apart))
    gaps = drawn[:, :-1] - drawn[:, 1:]
    spread = gaps.std(axis=0)
    behind = [0.0, *np.divide(gaps.mean(axis=0), spread, where=spread > 0, out=np.zeros(len(scores) - 1))]
    return [
        Confidence((float(low[i]), float(high[i])), float(p_first[i]), int(groups[i]), float(behind[i]))
        for i in range(len(scores))
    ]


def samples_to_tell(samples: int, behind: float) -> int | None:
    """About how many samples tell two models apart that so many do not, if their difference stays as it is.

    Args:
      samples: that there are.
      behind: see `Confidence`.

    Returns:
      Their number with two digits; None where the difference is nothing beside its noise.
    """
    if behind < LEAST_BEHIND:
        return None
    needed = samples * (QUANTILE / behind) ** 2
    unit = 10 ** max(0, int(np.log10(needed)) - 1)
    return max(samples + 1, int(np.ceil(needed / unit)) * unit)


def shared_biases(biases: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Biases drawn towards their mean, as far as they differ by no more than their own noise does.

    Args:
      biases: `[models]`.
      errors: `[models]`, standard deviations of the scores, of which biases have a share.

    Source: the shrinkage of a random effects model, Efron and Morris 1975, doi:10.1080/01621459.1975.10479864.
    """
    spread = np.var(biases)
    kept = max(0.0, 1 - np.mean((BIAS_NOISE * errors) ** 2) / spread) if spread > 0 else 0.0
    return np.mean(biases) + kept * (biases - np.mean(biases))


def shrunk(scores: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """True scores `[resamples, models]`, as likely as they are if models differ as much as these do.

    The first of several models that are about as good has been lucky. Scores are drawn towards their mean, and what
    resampling does to their differences is made smaller, as far as the noise of the differences explains them; of
    three models or fewer that cannot be told.

    Args:
      scores: `[models]`.
      shifts: `[resamples, models]`, what resampling does to them.

    Source: the positive-part estimator of Efron and Morris 1975, doi:10.1080/01621459.1975.10479864.
    """
    apart = shifts - shifts.mean(axis=1, keepdims=True)
    models, spread = len(scores), np.sum((scores - scores.mean()) ** 2)
    noise = np.sum(apart.var(axis=0)) / max(models - 1, 1)
    kept = max(0.0, 1 - max(models - 3, 0) * noise / spread) if spread > 0 else 1.0
    return scores.mean() + kept * (scores - scores.mean()) + np.sqrt(kept) * apart


def interval_of_share(share: float, samples: float) -> tuple[float, float]:
    """In which a share of very many samples lies with probability `LEVEL`; below 1 where all samples are hits.

    Source: Wilson 1927, doi:10.2307/2276774.
    """
    squared = QUANTILE**2 / samples
    middle = (share + squared / 2) / (1 + squared)
    half = np.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    return float(middle - half), float(middle + half)


def interval_of_mean_share(shares: np.ndarray, samples: np.ndarray) -> tuple[float, float]:
    """The same of the mean of the shares of several classes, each of its own samples.

    Where a class has ten samples, the shares that are seen have a variance near 0 as often as not.

    Source: Zou and Donner 2008, doi:10.1002/sim.3095.
    """
    ends = np.array([interval_of_share(*of_class) for of_class in zip(shares, samples, strict=True)])
    mean, (below, above) = np.mean(shares), np.sqrt(np.sum((ends - shares[:, None]) ** 2, axis=0)) / len(shares)
    return float(mean - below), float(mean + above)


def possible_interval(
    interval: tuple[float, float], hits: tuple[float, float] | None, score: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Not narrower than that of a share of the samples, and within the bounds of what the score can be."""
    ends = [interval] if hits is None else [interval, hits]
    lowest, highest = min(bounds[0], score), max(bounds[1], score)
    low, high = np.clip([min(low for low, _ in ends), max(high for _, high in ends)], lowest, highest)
    return float(low), float(high)


def resampled(scores: Sequence[float] | np.ndarray, influences: np.ndarray) -> np.ndarray:
    """Scores of `RESAMPLES` targets like the one at hand, `[resamples, models]`; arguments as for `confidence`."""
    units = influences.shape[1]
    with neutral_config():
        shifts = jax.jit(_shifts)(jnp.asarray(influences / np.sqrt(units * (units - 1)), jnp.float32))
    return np.asarray(scores) + np.asarray(shifts, np.float64)


def _shifts(influences: jax.Array) -> jax.Array:
    """What each resample does to each score, `[resamples, models]`: sums of influences with random signs."""
    models, units = influences.shape
    words = -(-units // 32)

    def some(key: jax.Array) -> jax.Array:
        bits = jax.random.bits(key, (AT_ONCE, words), jnp.uint32)
        bits = (bits[:, :, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
        signs = 2 * bits.reshape(AT_ONCE, -1)[:, :units].astype(influences.dtype) - 1
        return matmul(signs, influences.T)

    keys = jax.random.split(jax.random.key(0), RESAMPLES // AT_ONCE)
    return jax.lax.map(some, keys).reshape(-1, models)
