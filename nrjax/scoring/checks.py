"""The one checked door: what comes in is validated here, once, and made ready for the kernels.

Inside `jit` nothing can be checked: a label out of range would not fail, it would score something else.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from nrjax.kernels import (
    LINEAR_DISTANCES,
    Definition,
    Distance,
    Method,
    ScoreSettings,
    Solver,
)
from nrjax.memory import Staging

Array = np.ndarray | jax.Array
SMALLEST_WIDTH, LARGEST_WIDTH = 256, 8192  # of buckets


def check_settings(
    n_components: Any = 10,
    distance: Any = "cosine",
    definition: Any = "rousseeuw",
    solver: Any = "auto",
    method: Any = "auto",
    block_size: Any = None,
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
    return ScoreSettings(_positive("n_components", n_components), distance, definition, solver, method, block_size)


def encode_labels(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Dense class ids `0..classes-1`, int32 `[samples]`, and the label of each id, in sorted order.

    Labels may be of any type that can be told apart: integers with gaps, strings, booleans, mixtures.

    Raises:
      ValueError: not one label per sample; missing labels; not 2 <= classes <= samples - 1.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must have one axis, a class per sample; got shape {labels.shape}.")
    can_miss = labels.dtype.kind not in "biuSU"  # integers and text have no None and no NaN: no loop over samples
    missing = [i for i, label in enumerate(labels.tolist()) if label is None or label != label] if can_miss else []
    if missing:
        raise ValueError(
            f"labels must not be missing; sample {missing[0]} has {labels[missing[0]]} ({len(missing)} in all)."
        )
    try:
        classes, ids = np.unique(labels, return_inverse=True)
    except TypeError:  # mixtures that do not sort: order of first appearance
        order = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
        classes, ids = np.array(list(order), object), np.array([order[label] for label in labels.tolist()])
    if not 2 <= len(classes) <= len(labels) - 1:
        raise ValueError(
            f"labels must have at least 2 classes and fewer classes than samples; "
            f"got {len(classes)} classes in {len(labels)} samples."
        )
    return ids.astype(np.int32), classes


def check_features(who: str, features: Any, samples: int | None = None, *, at_least: int = 2) -> Array:
    """Finite floating-point features `[samples, dims]`, still where they were (host or device).

    Integers, booleans and low-precision floats become float32, and so does float64 unless
    `jax_enable_x64` is on.

    Args:
      who: begins the error, such as `Model 'vit'`.
      features: NumPy, JAX, or anything with `__array__` or DLPack.
      samples: rows there must be; None takes any number.
      at_least: rows there must be then.
    """
    array = _as_array(who, features)
    if array.ndim != 2 or array.shape[1] < 1 or len(array) != (samples if samples is not None else len(array)):
        raise ValueError(
            f"{who}: expected features of shape ({samples or 'samples'}, dims), one row per label; "
            f"got {array.shape}. Flatten or pool other axes before ranking."
        )
    if len(array) < at_least:
        raise ValueError(f"{who}: expected at least {at_least} samples; got {len(array)}.")
    real = jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "iub"
    if not real:
        raise ValueError(f"{who}: expected real numbers; got dtype {array.dtype}. Convert the features to float32.")
    xp = np if isinstance(array, np.ndarray) else jnp
    with np.errstate(over="ignore", invalid="ignore"):
        array = xp.asarray(array, working_dtype(array.dtype))
        total = float(xp.sum(array))
    if not np.isfinite(total):  # one read; a NaN or infinity anywhere shows in the sum
        rows = np.flatnonzero(~np.asarray(xp.isfinite(array).all(axis=1)))
        if len(rows):
            value = np.asarray(array[rows[0]])
            raise ValueError(
                f"{who}: features must be finite; row {rows[0]} has {value[~np.isfinite(value)][0]} "
                f"({len(rows)} of {len(array)} rows). Remove those samples for every model, or mend the model."
            )
    return array


def check_probabilities(who: str, probabilities: Any, samples: int) -> Array:
    """Probabilities `[samples, source_classes]`: not negative, and rows that sum to 1 (to 1e-3)."""
    array = check_features(who, probabilities, samples)
    sums = np.asarray(array.sum(axis=1))
    wrong = np.flatnonzero((np.asarray(array.min(axis=1)) < 0) | (np.abs(sums - 1) > 1e-3))
    if len(wrong):
        raise ValueError(
            f"{who}: expected probabilities, rows that sum to 1 and have no negative entry; row {wrong[0]} sums to "
            f"{sums[wrong[0]]:.6g}. Apply a softmax to logits."
        )
    return array


def working_dtype(dtype: np.dtype) -> type[np.floating]:
    """What features of a real type are computed in: float32, or float64 for eight bytes with `jax_enable_x64`."""
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
    array = _as_array("features", features)
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
            f"features must have shape (models, {samples}, dims), one row per label; got {features.shape}."
        )
    if not (jnp.issubdtype(features.dtype, jnp.floating) or features.dtype.kind in "iub"):
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
        return check_features(who, features(), samples)
    except (ValueError, TypeError, OSError) as error:
        return str(error).removeprefix(f"{who}: ")


def padded(features: Array, staging: Staging) -> Array:
    """Features with zero columns up to the width of their bucket.

    Zero columns change neither principal components nor distances. The width is a power of two, at least
    256, and depends on this model alone, so its score does not depend on what else is ranked; a zoo of any
    widths up to 8,192 compiles at most six times. Wider features stay as they are: there the columns and
    the copy cost more than a compilation.
    """
    dims = features.shape[1]
    width = max(SMALLEST_WIDTH, 1 << (dims - 1).bit_length()) if dims <= LARGEST_WIDTH else dims
    if isinstance(features, np.ndarray):
        return staging(features, features.dtype, width)
    return features if width == dims else jnp.pad(features, ((0, 0), (0, width - dims)))


def _as_array(who: str, value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, jax.Array):  # on CPU the same memory, seen by NumPy: no compiled program per shape
        on_cpu = all(device.platform == "cpu" for device in value.devices())
        return np.asarray(value) if on_cpu else value
    try:
        return np.asarray(value)
    except Exception as error:
        try:
            return _as_array(who, jnp.from_dlpack(value))  # memory NumPy cannot see: another device, bfloat16
        except Exception:
            raise TypeError(
                f"{who}: expected an array; got {type(value).__name__}, which NumPy refuses: {error}"
            ) from error


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}.")
    return int(value)
