"""Networks in JAX: arrays are kept apart from the definition, and equal definitions share a compiled forward pass."""

import contextlib
import dataclasses
import functools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nrjax._utils.jax_config import is_accelerator, jax_device, neutral_config
from nrjax.errors import FingerprintError
from nrjax.models._capture import Trace
from nrjax.models._content import code_of, digest_of
from nrjax.models._feature_maps import INPUT, Layout, Maps, layout_of, prefix_tokens
from nrjax.models._layer_choice import Layer, LayerChoice, layer_name
from nrjax.models._model import Description, Inputs, Model, Outputs, Precision, as_shape, unknown_shape
from nrjax.models._pooling import pool_layer
from nrjax.models._position_batches import PositionBatch, with_positions
from nrjax.models._preprocessing import Preprocessing, scales_images, scales_itself
from nrjax.models._program_heads import factor_and_offset

_BATCH = 3  # abstract images that `layers` traces


class Definition:
    """The part of a model without arrays, as a static argument of compiled functions.

    Equal definitions share a program. A module that cannot be hashed (a list among its attributes) is equal to itself
    alone.

    Attributes:
      module: a linen module, an NNX graph definition, or a function.
      call_kwargs: further keyword arguments of its `__call__`.
    """

    def __init__(self, module: Any, call_kwargs: Mapping[str, object]):
        self.module: Any = module
        self.call_kwargs: dict[str, Any] = dict(call_kwargs)
        try:
            self._key = (module, tuple(sorted(self.call_kwargs.items())))
            self._hash = hash(self._key)
        except TypeError:
            self._key, self._hash = id(self), id(self)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Parts of a fingerprint: module and keyword arguments, with all that they name and hold."""
        yield from code_of(self.module, sorted(self.call_kwargs.items()))

    @property
    def digest(self) -> str:
        """SHA-256 of its parts as they are now; a random one where they cannot be read."""
        try:
            return digest_of(self.parts())
        except FingerprintError:
            return uuid.uuid4().hex

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definition) and self._hash == other._hash and self._key == other._key


class JaxModel(Model):
    """A network in JAX. Models of equal `definition` share one compiled forward pass.

    Attributes:
      definition: module and keyword arguments, no arrays.
      variables: the arrays.
      weights: the arrays that make it this model, without the state of random numbers.
      trace: `(definition, variables, images) -> Trace`, pure.
      input_shape: of one image `(height, width, channels)`; None takes images as they come.
      preprocessing: applied to the images inside the compiled forward pass.
      device: of JAX that it runs on; None is the default one.
    """

    compiled = True
    classifies = True
    device: Any = None
    definition: Definition
    variables: Any
    weights: Any
    trace: Callable[[Definition, Any, jax.Array], Trace]
    input_shape: tuple[int, ...] | None
    preprocessing: Preprocessing
    inputs: Inputs
    description: Description

    def __init__(
        self, definition: Definition, variables: object, trace: Callable[[Definition, Any, jax.Array], Trace],
        input_shape: tuple[int, ...] | None = None, preprocessing: Preprocessing = Preprocessing(),
    ):  # fmt: skip
        self.definition, self.variables, self.trace = definition, variables, trace
        self.input_shape, self.preprocessing = input_shape, preprocessing
        shape = preprocessing.target(input_shape)
        inputs = Inputs(
            "image" if shape is not None and len(shape) == 3 else "array", shape, preprocessing.words(input_shape),
            lambda images: preprocessing.sized(images, input_shape),
            lambda images: preprocessing.ready(images, input_shape),
        )  # fmt: skip
        whole = dataclasses.replace(preprocessing, crop=None)
        self.inputs = with_positions(
            inputs, lambda pictures: whole.sized(pictures, input_shape), whole.words(input_shape)
        )
        self.weights = variables
        self._placed: dict[Precision, Any] = {}
        self._known_maps: dict[tuple[int, ...], Maps] = {}  # by the shape of pictures
        self._image_shape: tuple[int, ...] | None = None  # of bytes that it has seen since the last remarks
        self._digest = ""  # of the definition, as long as weights are on the device
        leaves = [leaf for leaf in jax.tree.leaves(variables) if hasattr(leaf, "size")]
        self.description = Description(
            sum(int(leaf.size) for leaf in leaves), sum(int(getattr(leaf, "nbytes", 0)) for leaf in leaves)
        )

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Layers in order of execution; nothing is computed."""
        shape = as_shape(input_shape) or self.inputs.shape
        if shape is None:
            raise unknown_shape("channels")
        return [Layer(name, output[1:]) for name, output in self._output_shapes((_BATCH, *shape)).items()]

    def _output_shapes(self, batch: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Shapes of all layers by name, in order of execution, for images of a shape."""
        images = jax.ShapeDtypeStruct(batch, jnp.float32)
        names: list[str] = []

        def outputs(variables: object, images: jax.Array) -> dict[str, jax.Array]:
            traced = self.trace(self.definition, variables, images).outputs
            names[:] = traced  # in order of execution; the dict that eval_shape returns is sorted
            return traced

        with neutral_config():
            shapes = jax.eval_shape(outputs, self.variables, images)
        return {name: shapes[name].shape for name in names}

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Outputs:
        """`[samples, dims]` of every layer, on the device; returns before they are computed."""
        layouts = None
        cells: tuple[Any, ...] = ()
        if isinstance(batch, PositionBatch):
            positions, maps = batch.padded(), self._maps(batch)
            layers = maps.choose(layers)
            layouts = tuple(maps.layouts[name] for name in layers)
            batch, cells = positions.pictures, tuple(positions.cells(layout) for layout in layouts)
        elif batch.ndim == 4 and batch.dtype == np.uint8:
            self._image_shape = batch.shape[1:]
        products = {"float32": "float32", "tensorfloat32": "tensorfloat32", "bfloat16": None}[precision]
        with neutral_config(), jax.default_matmul_precision(products) if products else contextlib.nullcontext():
            return _forward(
                self._on_device(precision), batch, cells, trace=self.trace, definition=self.definition, layouts=layouts,
                digest=self._digest, preprocessing=self.preprocessing, layers=tuple(layers), precision=precision,
                pooling=self.pooling,
            )  # fmt: skip

    def remarks(self) -> list[str]:
        """That it scales images by itself, which it gets from 0 to 1 because nobody said otherwise."""
        shape, self._image_shape = self._image_shape, None
        if shape is None or self.pure or self.preprocessing.scale != 1 / 255:
            return []
        with neutral_config():
            factor, offset = factor_and_offset(
                lambda *given: self.trace(self.definition, *given).outputs, self.variables, shape
            )
        return [scales_itself(factor, offset)] if scales_images(factor, offset) else []

    def map_layers(self, batch: Any) -> list[str]:
        """Layers with a map."""
        return self._maps(batch).with_map

    def _maps(self, batch: PositionBatch) -> Maps:
        """Layers with maps; the penultimate is the last of them."""
        if batch.pictures.shape[1:] in self._known_maps:
            return self._known_maps[batch.pictures.shape[1:]]
        weights = jax.tree_util.tree_flatten_with_path(self.variables)[0]
        named = ((jax.tree_util.keystr(path, simple=True, separator="/"), np.shape(leaf)) for path, leaf in weights)
        size, prefix = batch.pictures.shape[1:3], prefix_tokens(named)
        shapes = self._output_shapes((_BATCH, *batch.pictures.shape[1:]))
        layouts = {name: layout_of(shape, size, prefix=prefix) for name, shape in shapes.items()}
        known = {name: layout for name, layout in layouts.items() if layout is not None}
        maps = Maps(list(shapes), known, next((name for name in reversed(known) if name != INPUT), None))
        self._known_maps = {batch.pictures.shape[1:]: maps}
        return maps

    def release(self) -> None:
        """Releases the device's memory."""
        self._placed.clear()
        self._known_maps.clear()

    def _on_device(self, precision: Precision) -> Any:
        """The weights, floating-point ones in the precision of the forward pass."""
        if precision not in self._placed:
            variables = self.variables
            if precision == "bfloat16":
                variables = jax.tree.map(
                    lambda x: jnp.asarray(x, jnp.bfloat16) if jnp.issubdtype(jnp.result_type(x), jnp.floating) else x,
                    variables,
                )
            self._placed = {precision: jax.device_put(variables, self.device)}
            self._digest = self.definition.digest
        return self._placed[precision]

    @property
    def accelerated(self) -> bool:
        """Whether JAX computes on anything but the CPU."""
        return is_accelerator(self.device)

    def move(self, device: str) -> None:
        """Chooses the device, such as `cpu` or `cuda:1`."""
        self.device = jax_device(device)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The definition with all that it names and holds, and the weights."""
        yield from self.definition.parts()
        leaves = jax.tree_util.tree_flatten_with_path(self.weights)[0]
        yield from code_of([(jax.tree_util.keystr(path), leaf) for path, leaf in leaves])


@functools.partial(
    jax.jit,
    static_argnames=("trace", "definition", "digest", "preprocessing", "layers", "precision", "layouts", "pooling"),
)
def _forward(
    variables: object, images: jax.Array, cells: tuple[Any, ...] = (), *, trace: Callable, definition: Definition,
    digest: str, preprocessing: Preprocessing, layers: tuple[LayerChoice, ...], precision: Precision = "float32",
    layouts: tuple[Layout, ...] | None = None, pooling: str | None = None,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """The chosen layers of one batch, flattened, or their vectors at cells of maps.

    Weights are an argument: models of one definition share a program.

    `digest` is that of the definition: a function whose globals changed is the same object, and needs another program.
    Models run one at a time on every backend: `vmap` over convolution weights is a grouped convolution, 14 times slower
    on CPU, and one model with a batch of images fills an accelerator.
    """
    images = preprocessing(images)
    if precision == "bfloat16" and jnp.issubdtype(images.dtype, jnp.floating):
        images = images.astype(jnp.bfloat16)
    traced = trace(definition, variables, images)
    outputs = [_output_of(layer, traced) for layer in layers]
    if layouts is None:
        pooled = (pool_layer(output, pooling, channels_first=False) for output in outputs)
        return tuple(output.astype(jnp.float32) for output in pooled)
    vectors = (layout.gather(output, *at) for layout, output, at in zip(layouts, outputs, cells, strict=True))
    return tuple(vector.astype(jnp.float32) for vector in vectors)


def _output_of(layer: LayerChoice, trace: Trace) -> jax.Array:
    name = layer_name(layer, list(trace.outputs), trace.penultimate is not None)
    output = trace.outputs.get(name, trace.penultimate)
    assert output is not None  # layer_name has checked it
    return output
