"""From a model and images to features `[samples, dims]`: batched forward passes, several layers in one."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from nrjax.datasets import fit_images
from nrjax.files import reason_of
from nrjax.memory import aligned_empty
from nrjax.models._model import Definition, LayerChoice, LayerError, Model, Preprocessing, as_model, choose, layers
from nrjax.switches import our_own

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
    images = check_images(images)
    if model.input_shape is not None:
        images = fit_images(images, model.input_shape)
    forward = functools.partial(
        _forward, trace=model.trace, definition=model.definition, preprocessing=model.preprocessing, layers=wanted
    )
    batch_size = min(batch_size, len(images))
    with our_own():
        variables = jax.device_put(model.variables)
    kept: list[np.ndarray] = []
    running: tuple[int, int, tuple[jax.Array, ...]] | None = None

    def store(start: int, count: int, outputs: tuple[jax.Array, ...]) -> None:
        if not kept:
            kept.extend(aligned_empty((len(images), output.shape[1]), np.float32) for output in outputs)
        for features, output in zip(kept, outputs, strict=True):
            with our_own():
                features[start : start + count] = np.asarray(output)[:count]  # a view, where a slice in JAX copies
        on_batch(count)

    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        count = len(batch)
        if count < batch_size:
            batch = np.concatenate([batch, np.zeros((batch_size - count, *batch.shape[1:]), batch.dtype)])
        with our_own():
            outputs = forward(variables, batch)  # returns at once: what ran before is fetched while this runs
        if running:
            store(*running)
        running = start, count, outputs
    assert running is not None  # there is an image
    store(*running)
    return dict(zip(wanted, kept, strict=True)) if isinstance(layer, list) else kept[0]


def check_images(images: Any) -> np.ndarray:
    """Images, or whatever the models take, as an array `[samples, ...]` of finite numbers.

    Raises:
      ValueError: there are none; they are integers of another range than 0 to 255; or not finite, and then the first
        of them is named.
    """
    if np.ma.isMaskedArray(images):
        raise ValueError("images must not be a masked array, whose mask would be lost. Fill it: images.filled(value).")
    images = np.asarray(images)
    if images.ndim < 2 or not len(images):
        raise ValueError(f"images must be an array (samples, ...) with at least one sample; got shape {images.shape}.")
    if images.dtype.kind not in "biuf" and not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images must be numbers; got dtype {images.dtype}.")
    if images.ndim == 4 and images.dtype.kind in "iub" and images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 (0 to 255) or floating point; got {images.dtype}.")
    if images.dtype.kind not in "biu":
        if images.dtype.itemsize < 4:  # float16, bfloat16
            images = images.astype(np.float32)
        with np.errstate(all="ignore"):
            most = np.abs(images.reshape(len(images), -1)).max(axis=1)
            wrong = np.flatnonzero(~(most <= np.finfo(np.float32).max))
        if len(wrong):
            value = images[wrong[0]]
            bad = value[~(np.abs(value) <= np.finfo(np.float32).max)][0]
            raise ValueError(
                f"images must be finite in float32; image {wrong[0]} has {bad} ({len(wrong)} of "
                f"{len(images)} images). Leave those out, and their labels."
            )
    return images


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


class Features:
    """Features of many models, one model after another; iterates over (model, layer, features, probabilities).

    Features are a reason, a string, where a model fails, whatever it does: the others go on. Models of one
    input shape share the resized images, and nothing is kept of a model when the next one comes.

    Args:
      models: by name, as for `extract_features`.
      images: `[samples, ...]`.
      layers: of every model, all from one forward pass; None takes every layer.
      batch_size: images at once.
      advance: told the number of images that are done with.
      probabilities: give also those of the model's own classes, the softmax of its last layer; else None.
    """

    def __init__(
        self, models: Mapping[str, Any], images: np.ndarray, layers: list[LayerChoice] | None, batch_size: int,
        advance: Callable[[int], None], probabilities: bool = False,
    ):  # fmt: skip
        self._models, self._images, self._layers = models, images, layers
        self._batch_size, self._advance, self._probabilities = batch_size, advance, probabilities
        self._fitted: dict[tuple[int, ...], np.ndarray] = {}

    def __iter__(self) -> Iterator[tuple[str, str, np.ndarray | str, np.ndarray | None]]:
        for name in self._models:
            done = 0

            def on_batch(samples: int) -> None:
                nonlocal done
                done += samples
                self._advance(samples)

            try:
                model = as_model(self._models[name])
                images = self._fit(model.input_shape)
                chosen = self._layers or [layer.name for layer in layers(model, images.shape[1:])]
                found = self._extract(model, images, chosen, on_batch)
            except Exception as error:
                chosen = self._layers or ["best"]
                found = dict.fromkeys(chosen, reason_of(error))
            self._advance(len(self._images) - done)
            logits = found.get(_LAST) if self._probabilities else None
            theta = _softmax(logits) if isinstance(logits, np.ndarray) else None
            for layer in chosen:
                yield name, str(layer), found[layer], theta
            del found, logits, theta  # before the next model's are made

    def _extract(self, model: Model, images: np.ndarray, chosen: list[LayerChoice], on_batch) -> dict[Any, Any]:
        last = [_LAST] if self._probabilities else []
        try:
            return extract_features(model, images, chosen + last, batch_size=self._batch_size, on_batch=on_batch)
        except LayerError as error:
            if len(chosen) == 1:
                return {chosen[0]: reason_of(error)}
            found = {}
            for layer in chosen:  # some may be there
                found |= self._extract(model, images, [layer], lambda samples: None)
            return found

    def _fit(self, input_shape: tuple[int, ...] | None) -> np.ndarray:
        """Images resized once for all models of one input shape."""
        if input_shape is None:
            return self._images
        if input_shape not in self._fitted:
            self._fitted[input_shape] = fit_images(self._images, input_shape)
        return self._fitted[input_shape]


_LAST = -1


def _softmax(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of a model's own classes; outputs that are probabilities already stay as they are."""
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs
    return special.softmax(outputs, axis=1)


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
