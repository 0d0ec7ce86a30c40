"""What the search for a head shares in all frameworks: the name of a network's main output, and what a vector is.

The penultimate layer is what the head reads. The head is the innermost layer with a weight matrix that reads a vector
for every sample and whose output is the network's main output. The penultimate layer of a network without a head is
its main output.
"""

from collections.abc import Iterable, Sequence

MAIN_OUTPUTS = ("logits", "output", "outputs", "out", "predictions")  # of several outputs with names, the main one


def main_name(names: Iterable[str]) -> str | None:
    """The name of the main output among those of several outputs; None where none of them says so."""
    names = list(names)
    return next((name for name in MAIN_OUTPUTS if name in names), None)


def is_vector(sizes: Sequence[int | None]) -> bool:
    """Whether one sample of a tensor is a vector: it has one axis, or further axes of size one.

    Args:
      sizes: of the axes behind that of the samples; None where a size is not known.
    """
    return len(sizes) > 0 and sum(size != 1 for size in sizes) <= 1


def has_vectors(shape: Sequence[int], samples: int) -> bool:
    """Whether a tensor has a vector for every sample: `[samples, dims]`, or with further axes of size one."""
    return len(shape) >= 2 and shape[0] == samples and is_vector(shape[1:])
