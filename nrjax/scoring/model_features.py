"""Features of several models, checked one by one: what is wrong with one is its reason and costs no other."""

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nrjax._utils.arrays import AnyArray
from nrjax._utils.messages import reason_of
from nrjax.labels import check_same_order, index_of
from nrjax.scoring.arrays import Array, as_array
from nrjax.scoring.checks import check_features, is_real


def named_models(features: Mapping[str, object] | AnyArray) -> Mapping[str, Any]:
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


def check_stack(features: AnyArray) -> Array:
    """An array `[models, samples, dims]` with at least one model."""
    array = as_array("features", features)
    check_shape(array)
    return array


def check_shape(features: Array, samples: int | None = None) -> None:
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


def each_checked(
    models: Mapping[str, object], samples: int, beside: Mapping[str, object]
) -> Iterator[tuple[str, Array | str]]:
    """Every model's features, checked, or what is wrong with them.

    One model at a time: a mapping may compute features on access, and then they are not kept.

    Args:
      models: features by name.
      samples: how many rows there must be.
      beside: labels and groups by noun, whose order the rows must have; and the rows of the first model with an index.
    """
    first = None

    def read(name: str) -> object:
        nonlocal first
        features = models[name]
        for noun, other in beside.items():
            check_same_order(features, other, noun)
        check_same_order(first, features, "features")
        first = types.SimpleNamespace(index=index_of(features)) if index_of(first) is None else first
        return features

    for name in models:
        yield name, checked_or_reason(name, lambda name=name: read(name), samples)


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
