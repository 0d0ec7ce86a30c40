"""The one checked door: what comes in is validated here, once, and made ready for the kernels.

Inside `jit` nothing can be checked: a label out of range would not fail, it would score something else.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.messages import reason_of
from nrjax.kernels import Definition, Distance, Method, ScoreSettings, Solver
from nrjax.kernels.error_bounds import LARGEST_TOLERANCE, SMALLEST_TOLERANCE, TOLERANCE
from nrjax.kernels.silhouette import LINEAR_DISTANCES
from nrjax.labels import as_label_array, encode
from nrjax.scoring.arrays import Array, as_array
from nrjax.target_tasks import are_collections

FEW_ROWS = 16  # that show what numbers there are
NO_SILHOUETTE = "Numbers and several labels have no silhouette: rank_batch(features, labels, task=...) scores them."
LARGEST_WITH_FRACTION = 2.0**22  # above it float32 holds halves or whole numbers only


def check_settings(
    n_components: Any = 10,
    distance: Any = "cosine",
    definition: Any = "rousseeuw",
    solver: Any = "auto",
    method: Any = "auto",
    block_size: Any = None,
    tolerance: Any = TOLERANCE,
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


def check_features(who: str, features: Any, samples: int | None = None, *, at_least: int = 2) -> Array:
    """Finite real features `[samples, dims]`, still where they were (host or device).

    Floats of up to four bytes and integers of fewer become float32, all wider ones float64: nothing is rounded here.
    `working_dtype` says what they are computed in.

    Args:
      who: begins the error, such as `Model 'vit'`.
      features: NumPy, JAX, pandas, or anything with `__array__` or DLPack.
      samples: rows there must be; None takes any number.
      at_least: rows there must be then.
    """
    array = as_array(who, features)
    if array.ndim != 2 or array.shape[1] < 1:
        raise ValueError(
            f"{who}: expected features of shape ({samples or 'samples'}, dims), one row per label; "
            f"got {array.shape}. Flatten or pool other axes before ranking."
        )
    if samples is not None and len(array) != samples:
        raise ValueError(f"{who}: expected one row per label; got {len(array)} rows for {samples} labels.")
    if len(array) < at_least:
        raise ValueError(f"{who}: expected at least {at_least} samples; got {len(array)}.")
    if not is_real(array.dtype):
        raise ValueError(f"{who}: expected real numbers; got dtype {array.dtype}. Convert the features to float32.")
    array = _exactly(array)
    if not _all_finite(array):
        xp = np if isinstance(array, np.ndarray) else jnp
        rows = np.flatnonzero(~np.asarray(xp.isfinite(array).all(axis=1)))
        value = np.asarray(array[rows[0]])
        raise ValueError(
            f"{who}: features must be finite; row {rows[0]} has {value[~np.isfinite(value)][0]} "
            f"({len(rows)} of {len(array)} rows). Remove those samples for every model, or mend the model."
        )
    return array


def is_real(dtype: Any) -> bool:
    """Whether numbers of this type are real."""
    return bool(jnp.issubdtype(dtype, jnp.floating)) or np.dtype(dtype).kind in "iub"


def _exactly(array: Array) -> Array:
    """As float32 or float64, whichever holds every value (integers beyond 2**53 aside)."""
    wide = array.dtype.itemsize >= (8 if array.dtype.kind == "f" else 4) and array.dtype.kind in "iuf"
    wanted = np.float64 if wide else np.float32
    if array.dtype == wanted:
        return array
    if wide and not isinstance(array, np.ndarray) and not jax.config.jax_enable_x64:  # pyright: ignore
        array = np.asarray(array)
    with np.errstate(all="ignore"):
        return array.astype(wanted)


def _all_finite(array: Array) -> bool:
    """By one read where that is enough: anything that is not finite shows in the sum."""
    if not isinstance(array, np.ndarray):
        return bool(_finite(array))
    with np.errstate(all="ignore"):
        total = float(array.sum())
    return np.isfinite(total) or bool(np.isfinite(array).all())


@jax.jit  # one kernel instead of two, and nothing written between them
def _finite(array: jax.Array) -> jax.Array:
    return jnp.isfinite(array).all()


def rounding_of(array: Array) -> float:
    """What the features are rounded by, relative to their size.

    Float64 that came from float32 is no better than that. Whole numbers are exact.
    """
    if array.dtype == np.float64:
        few = np.asarray(array[:: max(1, len(array) // FEW_ROWS)])
        with np.errstate(all="ignore"):
            exact = not np.array_equal(few, few.astype(np.float32)) or (_are_whole(few) and _are_whole(array))
        return float(np.finfo(np.float64 if exact else np.float32).eps)
    return float(np.finfo(np.float32).eps)


def _are_whole(array: Array) -> bool:
    """Whether all are whole numbers, and some of them so small that float32 would hold a fraction too."""
    numbers = np.asarray(array)
    small = (numbers != 0) & (np.abs(numbers) < LARGEST_WITH_FRACTION)
    return bool(small.any()) and bool(np.array_equal(numbers, np.rint(numbers)))


def without_constants(array: Array) -> Array:
    """Features with 0 in place of what is the same for all samples, which no centred score sees.

    A column of large constants would make rounding look as large as what varies.
    """
    constant = np.asarray((array[:FEW_ROWS] == array[0]).all(axis=0) & (array[0] != 0))
    if constant.any():
        columns = np.flatnonzero(constant)
        columns = columns[np.asarray((array[:, columns] == array[0, columns]).all(axis=0))]
        if len(columns):
            array = np.array(array)
            array[:, columns] = 0
    return array


def without_subnormals(array: Array) -> Array:
    """Features times a power of two, where some rows hold numbers so small that XLA may take them for 0."""
    if isinstance(array, np.ndarray):
        sizes, limits = np.abs(array[:: max(1, len(array) // FEW_ROWS)]), np.finfo(np.float32)
        if np.any((sizes > 0) & (sizes < limits.tiny)):
            return np.ldexp(array, limits.maxexp - 2 - int(np.frexp(np.abs(array).max())[1]))
    return array


def check_probabilities(who: str, probabilities: Any, samples: int) -> Array:
    """Probabilities `[samples, source_classes]`: not negative, and rows that sum to 1, as well as their type can."""
    given = as_array(who, probabilities)
    narrow = jnp.issubdtype(given.dtype, jnp.floating) and given.dtype.itemsize < 4
    tolerance = max(1e-3, 4 * float(jnp.finfo(given.dtype).eps)) if narrow else 1e-3
    array = check_features(who, given, samples)
    sums = np.asarray(array.sum(axis=1))
    wrong = np.flatnonzero((np.asarray(array.min(axis=1)) < 0) | (np.abs(sums - 1) > tolerance))
    if len(wrong):
        raise ValueError(
            f"{who}: expected probabilities, rows that sum to 1 and have no negative entry; row {wrong[0]} sums to "
            f"{sums[wrong[0]]:.6g}. Apply a softmax to logits."
        )
    return array


def working_dtype(dtype: np.dtype) -> type[np.floating]:
    """What the silhouette of features begins in: float32, or float64 for eight bytes with `jax_enable_x64`."""
    wide = jax.config.jax_enable_x64 and dtype.kind in "iuf" and dtype.itemsize == 8  # pyright: ignore
    return np.float64 if wide else np.float32


def components_of(settings: ScoreSettings, shape: tuple[int, ...]) -> int:
    """Components there are: `n_components`, at most `min(samples - 1, dims)`."""
    samples, dims = shape
    return min(settings.n_components, samples - 1, dims)


def named_models(features: Any) -> Mapping[str, Any]:
    """Models by name, from a mapping or from one array `[models, samples, dims]`."""
    if not isinstance(features, Mapping):
        stacked = check_stack(features)
        features = {str(i): stacked[i] for i in range(len(stacked))}
    if not features:
        raise ValueError("features must hold at least one model; got none.")
    for name in features:
        if not isinstance(name, str):
            raise TypeError(f"model names must be strings; got {name!r}.")
    return features


def check_stack(features: Any) -> Array:
    """An array `[models, samples, dims]` with at least one model."""
    array = as_array("features", features)
    check_shape(array)
    return array


def check_shape(features: Any, samples: int | None = None) -> None:
    """Raises unless features are `[models, samples, dims]` of real numbers, by shape and type alone."""
    if features.ndim != 3 or not len(features):
        raise ValueError(
            "features must be a mapping from model name to (samples, dims), or one array (models, samples, dims); "
            f"got shape {features.shape}."
        )
    if samples is not None and (features.shape[1] != samples or features.shape[2] < 1):
        raise ValueError(
            f"features must have shape (models, {samples}, dims), one row for each of the {samples} labels; "
            f"got {features.shape}."
        )
    if not is_real(features.dtype):
        raise ValueError(f"features must be real numbers; got dtype {features.dtype}. Convert them to float32.")


def each_checked(models: Mapping[str, Any], samples: int) -> Iterator[tuple[str, Array | str]]:
    """Every model's features, checked, or what is wrong with them.

    One model at a time: a mapping may compute features on access, and then they are not kept.
    """
    for name in models:
        yield name, checked_or_reason(name, lambda name=name: models[name], samples)


def checked_or_reason(name: str, features: Callable[[], Any], samples: int) -> Array | str:
    """A model's features, checked, or what is wrong with them or with getting them."""
    who = f"Model {name!r}"
    try:
        array = features()
    except Exception as error:  # a mapping may compute features on access, and fail in any way
        return reason_of(error)
    try:
        return check_features(who, array, samples)
    except Exception as error:
        return reason_of(error).removeprefix(f"{who}: ")


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}.")
    return int(value)
