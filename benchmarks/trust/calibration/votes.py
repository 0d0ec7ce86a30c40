"""The variance of accuracies of leaving one out, beside that of the hits alone: what samples decide for each other.

    python -m benchmarks.trust.calibration.votes [--draws 60] [--samples N ...]

Ratios of the variance over fresh samples to p (1 - p) / samples, of eight kinds of classes; a few minutes on two cores.
The one of `knn` does not depend on the number of samples: 1.4 to 1.6 in the mean. `TEACHING` in
nrjax/scoring/built_in_scores.py is the upper end.
"""

import click
import numpy as np

import nrjax

KINDS = [  # classes, dims, distance of class means
    (2, 24, 1.2), (5, 24, 2.0), (10, 24, 3.0), (5, 24, 1.5), (2, 24, 2.0), (5, 24, 2.5), (10, 200, 3.0), (5, 200, 1.5),
]  # fmt: skip


@click.command(help=__doc__)
@click.option("--draws", type=click.IntRange(min=2), default=60, show_default=True, help="Of every kind.")
@click.option("--samples", type=click.IntRange(min=20), multiple=True, default=(250, 1000, 4000), show_default=True)
def main(draws: int, samples: tuple[int, ...]) -> None:
    """The command."""
    for size in samples:
        for score in ("knn", "probe"):
            ratios = [_ratio(score, size, draws, kind) for kind in range(len(KINDS))]
            each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            click.echo(f"{score} of {size:,} samples: {np.mean(ratios):.2f} in the mean ({each})")


def _ratio(score: str, size: int, draws: int, kind: int) -> float:
    rng, (classes, dims, distance) = np.random.default_rng(kind), KINDS[kind]
    means = rng.normal(size=(classes, dims)) * distance / dims**0.5
    sizes = np.ones(dims) if kind % 2 else np.linspace(1.6, 0.4, dims)
    accuracies = []
    for _ in range(draws):
        labels = rng.integers(0, classes, size)
        features = (means[labels] + rng.normal(size=(size, dims)) * sizes).astype(np.float32)
        accuracies.append(nrjax.rank_batch({"model": features}, labels, scores=score).scores["model"])
    mean = float(np.mean(accuracies))
    return float(np.var(accuracies, ddof=1)) / (mean * (1 - mean) / size)


if __name__ == "__main__":
    main()
