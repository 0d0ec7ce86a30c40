"""The variance of accuracies of leaving one out, beside that of the hits alone: what samples decide for each other.

    python -m benchmarks.trust.calibration.teaching [--draws 120] [--a-class N ...]

Ratios of the variance over fresh samples to p (1 - p) / samples, of eight kinds of classes, and in brackets what nrjax
has instead, `ScoreKind.teaching`; a few minutes on two cores. That of `probe` fades with the number of samples and is
larger where the error is, that of `knn` does not.
"""

import click
import numpy as np

import nrjax
from nrjax.scoring.confidence import FEWEST

KINDS = [  # classes, dims, distance of class means
    (2, 24, 1.2), (5, 24, 2.0), (10, 24, 3.0), (5, 24, 1.5), (2, 24, 2.0), (5, 24, 2.5), (10, 200, 3.0), (5, 200, 1.5),
]  # fmt: skip
AT_ONCE = 10  # draws in one ranking


@click.command(help=__doc__)
@click.option("--draws", type=click.IntRange(min=2), default=120, show_default=True, help="Of every kind.")
@click.option("--a-class", type=click.IntRange(min=3), multiple=True, default=(3, 5, 10, 20, 50, 200),
              show_default=True, help="Samples of every class.")  # fmt: skip
def main(draws: int, a_class: tuple[int, ...]) -> None:
    """The command."""
    for size in a_class:
        for score in ("probe", "knn"):
            ratios = [_ratios(score, size, draws, i) for i, kind in enumerate(KINDS) if size * kind[0] >= FEWEST]
            each = ", ".join(f"{measured:.2f} ({known:.2f})" for measured, known in ratios)
            mean, known = np.mean(ratios, axis=0)
            click.echo(f"{score}, {size} samples a class: {mean:.2f} ({known:.2f}) in the mean; {each}")


def _ratios(score: str, a_class: int, draws: int, kind: int) -> tuple[float, float]:
    """As measured, and as `ScoreKind.teaching` has it."""
    rng, (classes, dims, distance) = np.random.default_rng(kind), KINDS[kind]
    means = rng.normal(size=(classes, dims)) * distance / dims**0.5
    sizes = np.ones(dims) if kind % 2 else np.linspace(1.6, 0.4, dims)
    labels, accuracies = np.repeat(np.arange(classes), a_class), []
    for _ in range(0, draws, AT_ONCE):
        noise = rng.normal(size=(AT_ONCE, len(labels), dims)) * sizes
        targets = {str(i): (means[labels] + noise[i]).astype(np.float32) for i in range(AT_ONCE)}
        accuracies += nrjax.rank_batch(targets, labels, scores=score).scores.values()
    mean = float(np.mean(accuracies))
    teaching = nrjax.available_scores()[score].teaching
    assert teaching is not None
    known = teaching((1 - mean) / (1 - 1 / classes), len(labels))
    return float(np.var(accuracies, ddof=1)) / (mean * (1 - mean) / len(labels)), known


if __name__ == "__main__":
    main()
