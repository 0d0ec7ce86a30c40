"""From a model and images to features `[samples, dims]`: batched forward passes, several layers in one."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from nrjax.datasets import fit_images
from nrjax.memory import aligned_empty
from nrjax.models import Definition, LayerChoice, Preprocessing, as_model, choose

BATCH_SIZE = 256


@overload
def extract_features(
    model: Any, images: Any, layer: LayerChoice = ..., *, batch_size: int = ..., on_batch: Callable[[int], None] = ...
) -> np.ndarray: ...
@overload
def extract_features(
    model: Any, images: Any, layer: list[LayerChoice], *, batch_size: int = ..., on_batch: Callable[[int], None] = ...
) -> dict[LayerChoice, np.ndarray]: ...
def extract_features(
    model: Any,
    images: Any,
    layer: LayerChoice | list[LayerChoice] = "penultimate",
    *,
    batch_size: int = BATCH_SIZE,
    on_batch: Callable[[int], None] = lambda samples: None,
) -> np.ndarray | dict[LayerChoice, np.ndarray]:
    """Features of one model: the outputs of a layer for every image.

    Args:
      model: an NNX module, a pair (linen module, variables), or a `Model`.
      images: `[samples, ...]`. uint8 is scaled to [0, 1] and, where the model knows its input shape,
        resized to it; anything else enters the network as it is.
      layer: name, index (0 the input, -1 the last) or `"penultimate"` (the input of the last dense
        layer); or a list of them, all taken from one forward pass.
      batch_size: images at once. The last batch is padded, so that one shape compiles.
      on_batch: told the number of images after every batch.

    Returns:
      float32 `[samples, dims]` on the host, outputs of more than two axes flattened; for a list of
      layers a dict with one array per entry. Nothing else of the forward passes is kept.

    Raises:
      LayerError: the model has no such layer; lists those it has.
      ValueError: images the network cannot take.
    """
    model = as_model(model)
    wanted = tuple(layer) if isinstance(layer, list) else (layer,)
    images = np.asarray(images)
    if images.ndim < 2 or not len(images):
        raise ValueError(f"images must be an array (samples, ...) with at least one sample; got shape {images.shape}.")
    if images.ndim == 4 and images.dtype.kind in "iub" and images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 (0 to 255) or floating point; got {images.dtype}.")
    if model.input_shape is not None:
        images = fit_images(images, model.input_shape)
    forward = functools.partial(
        _forward, trace=model.trace, definition=model.definition, preprocessing=model.preprocessing, layers=wanted
    )
    batch_size = min(batch_size, len(images))
    variables = jax.device_put(model.variables)
    kept: list[np.ndarray] = []
    running: tuple[int, int, tuple[jax.Array, ...]] | None = None

    def store(start: int, count: int, outputs: tuple[jax.Array, ...]) -> None:
        if not kept:
            kept.extend(aligned_empty((len(images), output.shape[1]), np.float32) for output in outputs)
        for features, output in zip(kept, outputs, strict=True):
            features[start : start + count] = np.asarray(output)[:count]  # a view, where a slice in JAX copies
        on_batch(count)

    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        count = len(batch)
        if count < batch_size:
            batch = np.concatenate([batch, np.zeros((batch_size - count, *batch.shape[1:]), batch.dtype)])
        outputs = forward(variables, batch)  # returns at once: what ran before is fetched while this runs
        if running:
            store(*running)
        running = start, count, outputs
    assert running is not None  # there is an image
    store(*running)
    return dict(zip(wanted, kept, strict=True)) if isinstance(layer, list) else kept[0]


class FeatureBatches:
    """Features and labels of a model, batch by batch; starts anew whenever it is iterated. For `score_stream`.

    Every pass runs the model again: the features of a data set that does not fit are not kept anywhere.

    Args:
      model: as for `extract_features`, and so is `layer`.
      source: pairs (images, labels), iterable more than once: a list, a TFDS or grain loader.
      layer: name, index or `"penultimate"`.
      batch_size: images at once in the forward pass.
    """

    def __init__(
        self,
        model: Any,
        source: Iterable[tuple[Any, Any]],
        layer: LayerChoice = "penultimate",
        *,
        batch_size: int = BATCH_SIZE,
    ):
        self._model, self._source, self._layer, self._batch_size = as_model(model), source, layer, batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, Any]]:
        for images, labels in self._source:
            yield extract_features(self._model, images, self._layer, batch_size=self._batch_size), labels


@functools.partial(jax.jit, static_argnames=("trace", "definition", "preprocessing", "layers"))
def _forward(
    variables: Any,
    images: jax.Array,
    *,
    trace: Callable,
    definition: Definition,
    preprocessing: Preprocessing,
    layers: tuple[LayerChoice, ...],
) -> tuple[jax.Array, ...]:
    """The chosen layers of one batch, flattened. Weights are an argument: models of one definition share a program.

    Models go through it one at a time on every backend: `vmap` over convolution weights is a grouped
    convolution, 14 times slower on CPU, and one model with a batch of images fills an accelerator.
    """
    traced = trace(definition, variables, preprocessing(images))
    return tuple(
        output.reshape(len(images), -1).astype(jnp.float32) for output in (choose(traced, layer) for layer in layers)
    )
