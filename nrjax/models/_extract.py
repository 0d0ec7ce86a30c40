"""From a model and samples to features `[samples, dims]`: batched forward passes, several layers in one."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar, overload

import numpy as np

from nrjax.datasets import Kind, without_news
from nrjax.models._batches import choose_batch_size, choose_order
from nrjax.models._forward_pass import ForwardPass
from nrjax.models._layer_choice import LayerChoice
from nrjax.models._live import as_model
from nrjax.models._model import SAMPLES_OF, Model, Precision
from nrjax.models._samples import check_samples
from nrjax.models._unscaled import remarks_on_numbers

Choice = TypeVar("Choice", bound=LayerChoice)


@overload
def extract_features(
    model: object, samples: object, layer: LayerChoice = ..., *, batch_size: int | None = ...,
    precision: Precision = ..., on_batch: Callable[[int], None] = ...,
) -> np.ndarray: ...  # fmt: skip
@overload
def extract_features(
    model: object, samples: object, layer: list[Choice], *, batch_size: int | None = ..., precision: Precision = ...,
    on_batch: Callable[[int], None] = ...,
) -> dict[Choice, np.ndarray]: ...  # fmt: skip
def extract_features(
    model: object, samples: object, layer: LayerChoice | list[Choice] = "penultimate", *, batch_size: int | None = None,
    precision: Precision = "float32", on_batch: Callable[[int], None] = lambda samples: None,
) -> np.ndarray | dict[Choice, np.ndarray]:  # fmt: skip
    """Features of one model: the outputs of a layer for every sample.

    Args:
      model: any model that `nrjax.rank` accepts.
      samples: images, texts or arrays: `[samples, ...]`, a list of str, `datasets.Words`, `datasets.Pairs`, or
        `Dataset.samples`. uint8 images go through the model's own preprocessing, and are resized if the model has a
        fixed input size. Arrays of other numbers are not changed. Threads prepare the next batch while the model runs.
      layer: name, index (0 the input, -1 the last), `"penultimate"` (the input of the head), `"last"` (the last of the
        repeated blocks), `"mean"` (their mean); or a list of them, all from one forward pass.
      batch_size: samples at once; None chooses, at most 256. A batch that does not fit the memory is halved. If a
        program is compiled for every size, the last batch is filled up.
      precision: of the forward pass: `float32`; `tensorfloat32`, which rounds products to 10 bits on accelerators that
        have it and is much faster there (many frameworks use it by default); or `bfloat16`. Features are float32; a
        function that returns float64 keeps it.
      on_batch: called with the number of samples after every batch.

    Returns:
      float32 `[samples, dims]` on the host; outputs with more than two axes are flattened. For a list of layers, a dict
      with one array per entry.

    Raises:
      LayerError: the model has no such layer; lists those it has.
      ValueError: samples the network cannot take, or a module whose outputs for the same samples change.

    Examples:
      >>> nrjax.extract_features(zoo["F10"], images, layer="dense").shape
      (1000, 128)
    """
    layers = tuple(layer) if isinstance(layer, list) else (layer,)
    features = extract_layers(model, samples, layers, batch_size, precision, on_batch)
    return dict(zip(layer, features, strict=True)) if isinstance(layer, list) else features[0]


def extract_layers(
    model: object, samples: object, layers: Sequence[LayerChoice], batch_size: int | None, precision: Precision,
    on_batch: Callable[[int], None], on_widths: Callable[[list[int]], None] = lambda widths: None, *, batches: int = 1,
) -> list[np.ndarray]:  # fmt: skip
    """Features of several layers, as `extract_features`; `on_widths` gets their dims after the first batch.

    There are at least `batches`, if `batch_size` is None.
    """
    check_batch_size(batch_size)
    model = as_model(model)
    kind, samples = check_samples(samples)
    check_kind(model, kind)
    size = batch_size or min(choose_batch_size(model, kind, samples), math.ceil(len(samples) / batches))
    size = model.batch or min(size, len(samples), model.fits or len(samples))
    try:
        order = choose_order(kind, samples)
        forward_pass = ForwardPass(model, samples, order, layers, precision, on_batch, on_widths)
        with without_news:
            features, remarks = forward_pass.run(size), model.remarks()
            forward_pass.check_steady()
    finally:
        model.release()
    remarks += remarks_on_numbers(model, samples) if kind == "array" else []
    remarks += filter(None, [getattr(model, "remark_on_images", "")]) if kind == "image" else []
    for remark in remarks:
        warnings.warn(remark, RuntimeWarning, stacklevel=3)
    return features


def check_batch_size(batch_size: object) -> None:
    """Raises ValueError unless it is a positive integer, or None."""
    if batch_size is not None and not (isinstance(batch_size, (int, np.integer)) and batch_size >= 1):
        raise ValueError(f"batch_size must be an integer of at least 1, or None, which chooses; got {batch_size!r}.")


def check_kind(model: Model, kind: Kind) -> None:
    """Raises ValueError unless a model takes samples of a kind."""
    if kind == "position" and not model.inputs.takes(kind) and model.inputs.kind in ("any", "image", "array"):
        raise ValueError(
            "the model has no feature maps that nrjax knows, so no vectors of positions in images; networks of "
            "PyTorch, timm, Hugging Face, Flax and Keras have them."
        )
    if not model.inputs.takes(kind):
        advice = ""
        if kind in ("text", "words", "pair") and hasattr(getattr(model, "module", None), "main_input_name"):
            advice = " Of a network of texts pass the pair (module, tokenizer)."
        raise ValueError(
            f"the model takes {SAMPLES_OF[model.inputs.kind]}; the samples are {SAMPLES_OF[kind]}.{advice}"
        )
