"""Models of Keras 3; chosen layers are a sub-model with several outputs."""

# pyright: reportMissingImports=false

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.jax_config import is_accelerator, jax_device
from nrjax.models._content import code_of
from nrjax.models._feature_maps import INPUT, Maps, layout_of, prefix_tokens
from nrjax.models._image_inputs import image_inputs
from nrjax.models._keras_heads import find_penultimate
from nrjax.models._keras_inputs import guess_preprocessing, nodes_of
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name, unique_name
from nrjax.models._model import Description, Inputs, Model, Outputs, Precision, unknown_shape
from nrjax.models._pooling import pool_layer
from nrjax.models._position_batches import PositionBatch
from nrjax.models._preprocessing import Preprocessing


class KerasModel(Model):
    """A functional or sequential model of Keras."""

    classifies = True
    compiled = True
    module: Any
    inputs: Inputs
    description: Description

    def __init__(
        self, module: Any, source: str, preprocessing: Preprocessing | None, image_size: tuple[int, int] | None = None
    ):  # fmt: skip
        self._keras, self.module = framework("keras", source), module
        if len(getattr(module, "inputs", None) or ()) != 1:
            raise ValueError(f"{source}: expected a functional or sequential model with one input, built or loaded.")
        parameters = sum(int(np.prod(weight.shape)) for weight in module.weights)
        self.description = Description(parameters, 4 * parameters, source)
        shape = tuple(module.inputs[0].shape[1:])
        known = shape if shape and None not in shape else None
        self._on_jax = self._keras.backend.backend() == "jax"
        self._preprocessing = preprocessing or guess_preprocessing(self._keras, module)
        if image_size is not None and known is None and self._preprocessing.image_size is None:
            self._preprocessing = dataclasses.replace(self._preprocessing, image_size=image_size)
        self.inputs = image_inputs(
            known, self._preprocessing, channels_first=False, as_bytes=lambda: self.accelerated,
            of_bytes=preprocessing is None and self._preprocessing.scale != 1 / 255,
        )  # fmt: skip
        self._device: Any = None  # of JAX; None is the default one
        self._models: dict[tuple[str, ...], Any] = {}
        self._compiled: dict[tuple[tuple[str, ...], str | None], Any] = {}  # until `release`
        self._penultimate, self._remarks = find_penultimate(self._keras, module)
        self._outputs: dict[str, Any] = {"input": module.inputs[0]}
        for node in nodes_of(module):
            for output in node.output_tensors[:1]:
                self._outputs[unique_name(node.operation.name, self._outputs)] = output

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The input and every call of a layer; nothing is computed. A model within a model is one layer."""
        if input_shape is not None and self.inputs.shape is None:
            sub = self._sub_model(tuple(self._outputs))
            shapes = sub.compute_output_shape((1, *input_shape))
            return [Layer(name, tuple(shape[1:])) for name, shape in zip(self._outputs, shapes, strict=True)]
        if any(None in output.shape[1:] for output in self._outputs.values()):
            raise unknown_shape()
        return [Layer(name, tuple(output.shape[1:])) for name, output in self._outputs.items()]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Outputs:
        """`[samples, dims]` of every layer, float32."""
        if precision != "float32":
            raise ValueError("a model of Keras computes in the precision of its own policy; leave precision out.")
        if isinstance(batch, PositionBatch):
            return self._at_positions(batch.padded(), layers, len(batch.picture))
        names = [layer_name(layer, list(self._outputs), self._penultimate is not None) for layer in layers]
        distinct = tuple(dict.fromkeys(names))
        with jax.default_device(self._device):
            by_name = dict(zip(distinct, self._forward(distinct, self.pooling)(np.asarray(batch)), strict=True))
        return [by_name[name] for name in names]

    def move(self, device: str) -> None:
        """Chooses the device, where JAX computes; other backends have their own way."""
        if not self._on_jax:
            raise ValueError(f"its backend is {self._keras.backend.backend()}, which chooses the device; leave it out.")
        self._device = jax_device(device)

    @property
    def accelerated(self) -> bool:
        """Whether JAX computes it on anything but the CPU; then bytes are normalised there, else NumPy is faster."""
        return self._on_jax and is_accelerator(self._device)

    def map_layers(self, batch: Any) -> list[str]:
        """Layers with a map."""
        return self._maps(batch).with_map

    def _at_positions(self, batch: PositionBatch, layers: Sequence[LayerChoice], count: int) -> list[np.ndarray]:
        """Vectors at the first positions of a batch."""
        maps, shapes = self._maps(batch), self._shapes(batch)
        names = tuple(maps.choose(layers))
        vectors = []
        for name, flat in zip(names, self._forward(names)(batch.pictures), strict=True):
            output, layout = np.asarray(flat).reshape(-1, *shapes[name]), maps.layouts[name]
            vectors.append(layout.gather(output, *batch.cells(layout))[:count])
        return vectors

    def _shapes(self, batch: PositionBatch) -> dict[str, tuple[int, ...]]:
        """Shapes of the layers for one picture of a batch."""
        return {layer.name: layer.shape for layer in self.layers(batch.pictures.shape[1:])}

    def _maps(self, batch: PositionBatch) -> Maps:
        """Layers with maps; the penultimate is the last of them."""
        shapes, size = self._shapes(batch), batch.pictures.shape[1:3]
        prefix = prefix_tokens((weight.path, tuple(weight.shape)) for weight in self.module.weights)
        layouts = {name: layout_of((1, *shape), size, prefix=prefix) for name, shape in shapes.items()}
        known = {name: layout for name, layout in layouts.items() if layout is not None}
        return Maps(list(shapes), known, next((name for name in reversed(known) if name != INPUT), None))

    def _forward(self, names: tuple[str, ...], pooling: str | None = None) -> Any:
        """A function from a batch to `[samples, dims]`; on JAX a compiled program that returns before it has run."""
        if (names, pooling) in self._compiled:
            return self._compiled[names, pooling]
        sub = self._sub_model(names)

        def flat(outputs: Any) -> list[Any]:
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            return [pool_layer(output, pooling, channels_first=False).astype("float32") for output in outputs]

        def run(batch: np.ndarray) -> list[Any]:
            if not self._on_jax:
                return flat(sub.predict_on_batch(batch))
            return compiled(
                [v.value for v in sub.trainable_variables], [v.value for v in sub.non_trainable_variables], batch
            )

        @jax.jit
        def compiled(trained: Any, others: Any, batch: jax.Array) -> list[Any]:
            batch = self._preprocessing(batch) if batch.dtype == np.uint8 else batch
            return flat(sub.stateless_call(trained, others, batch, training=False)[0])

        self._compiled = {(names, pooling): run}
        return run

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Configuration, weights, and the code of layers that are not Keras' own."""
        yield from code_of(self.module)

    def remarks(self) -> list[str]:
        """About several heads, once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def release(self) -> None:
        """Forgets compiled programs of a live model, whose layers may have changed when it runs again."""
        if not self.files:
            self._compiled.clear()

    def _sub_model(self, names: tuple[str, ...]) -> Any:
        """A model of Keras with these layers as its outputs."""
        if names not in self._models:
            tensors = [self._penultimate if name == PENULTIMATE else self._outputs[name] for name in names]
            self._models = {names: self._keras.Model(self.module.inputs, tensors)}
        return self._models[names]


def from_keras(module: Any, *, preprocessing: Preprocessing | None = None) -> KerasModel:
    """A live model of Keras 3, functional or sequential.

    Args:
      module: the model.
      preprocessing: of images; default: `preprocess_input` of the network of keras.applications that it is or begins
        with, [0, 255] where its first layers scale, which is seen by what they make of an image, else [0, 1].

    Examples:
      >>> import keras
      >>> layers = [keras.layers.Flatten(), keras.layers.Dense(32, "relu"), keras.layers.Dense(5)]
      >>> model = nrjax.from_keras(keras.Sequential([keras.Input((28, 28, 1)), *layers]))
      >>> nrjax.extract_features(model, images).shape
      (1000, 32)
    """
    return KerasModel(module, f"keras {getattr(module, 'name', 'model')}", preprocessing)
