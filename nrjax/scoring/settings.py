"""What a user asks for, checked: settings of the silhouette, and labels for it."""

from typing import Any, get_args

import numpy as np

from nrjax.kernels import Definition, Distance, Method, ScoreSettings, Solver
from nrjax.kernels.error_bounds import LARGEST_TOLERANCE, SMALLEST_TOLERANCE, TOLERANCE
from nrjax.kernels.silhouette import LINEAR_DISTANCES
from nrjax.labels import as_label_array, encode
from nrjax.target_tasks import are_collections

NO_SILHOUETTE = "Numbers and several labels have no silhouette: rank_batch(features, labels, task=...) scores them."


def check_settings(
    n_components: int = 10,
    distance: Distance = "cosine",
    definition: Definition = "rousseeuw",
    solver: Solver = "auto",
    method: Method = "auto",
    block_size: int | None = None,
    tolerance: float = TOLERANCE,
) -> ScoreSettings:
    """Settings that the kernels accept. Raises TypeError or ValueError with the valid options."""
    for name, value, valid in (
        ("distance", distance, get_args(Distance)),
        ("definition", definition, get_args(Definition)),
        ("solver", solver, get_args(Solver)),
        ("method", method, get_args(Method)),
    ):
        if value not in valid:
            raise ValueError(f"{name} must be one of {', '.join(valid)}; got {value!r}.")
    if method == "linear" and distance not in LINEAR_DISTANCES:
        raise ValueError(
            f"method 'linear' has a closed form for {' and '.join(LINEAR_DISTANCES)} only; "
            f"got distance {distance!r}. Use method='blockwise' or 'auto'."
        )
    if block_size is not None:
        block_size = _positive("block_size", block_size)
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
        raise TypeError(f"tolerance must be a number, the largest error of a score; got {type(tolerance).__name__}.")
    if not SMALLEST_TOLERANCE <= tolerance <= LARGEST_TOLERANCE:
        raise ValueError(f"tolerance must be from {SMALLEST_TOLERANCE:g} to {LARGEST_TOLERANCE:g}; got {tolerance!r}.")
    n_components = _positive("n_components", n_components)
    return ScoreSettings(n_components, distance, definition, solver, method, block_size, float(tolerance))


def encode_labels(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Dense class ids `0..classes-1`, int32 `[samples]`, and the label of each id: `nrjax.labels.encode`.

    Raises:
      ValueError: labels that are missing or cannot be told apart; not 2 <= classes <= samples - 1.
      TypeError: labels that are no sequence.
    """
    try:
        ids, classes = encode(labels)
    except ValueError as error:
        if are_collections(labels) or as_label_array(labels).dtype.kind == "f" or np.ndim(labels) > 1:
            raise ValueError(f"{error} {NO_SILHOUETTE}") from error
        raise
    if not 2 <= len(classes) <= len(ids) - 1:
        raise ValueError(
            f"labels must have at least 2 classes and fewer classes than samples; "
            f"got {len(classes)} classes in {len(ids)} samples."
        )
    return ids, classes


def components_of(settings: ScoreSettings, shape: tuple[int, ...]) -> int:
    """Components there are: `n_components`, at most `min(samples - 1, dims)`."""
    samples, dims = shape
    return min(settings.n_components, samples - 1, dims)


def _positive(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}.")
    return int(value)
