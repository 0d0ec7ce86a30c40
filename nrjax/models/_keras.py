"""Models of Keras 3: live, or from `.keras` files without code in them; layers as a sub-model with several outputs."""

# pyright: reportMissingImports=false

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._content import code_of
from nrjax.models._frameworks import framework
from nrjax.models._keras_heads import penultimate_of
from nrjax.models._keras_inputs import nodes_of, preprocessing_of
from nrjax.models._model import (
    PENULTIMATE,
    Description,
    Layer,
    LayerChoice,
    Model,
    Precision,
    free_name,
    named_layer,
)
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._torch import image_inputs

MOST_CONFIG = 1 << 26  # bytes


class KerasModel(Model):
    """A functional or sequential model of Keras."""

    classifies = True
    compiled = True

    def __init__(self, module: Any, source: str, preprocessing: Preprocessing | None):
        self._keras, self.module = framework("keras", source), module
        if len(getattr(module, "inputs", None) or ()) != 1:
            raise ValueError(f"{source}: expected a functional or sequential model with one input, built or loaded.")
        weights = list(module.weights)
        self.description = Description(
            sum(int(np.prod(w.shape)) for w in weights), sum(4 * int(np.prod(w.shape)) for w in weights), source
        )
        shape = tuple(module.inputs[0].shape[1:])
        known = shape if shape and None not in shape else None
        made = preprocessing or preprocessing_of(self._keras, module)
        self._on_jax, self._preprocessing = self._keras.backend.backend() == "jax", made
        self.inputs = image_inputs(known, made, channels_first=False, as_bytes=lambda: self._on_jax)
        self._models: dict[tuple[str, ...], Any] = {}
        self._compiled: dict[tuple[str, ...], Any] = {}  # as long as no layer changes
        self._penultimate = penultimate_of(self._keras, module)
        self._outputs: dict[str, Any] = {"input": module.inputs[0]}
        for node in nodes_of(module):
            for output in node.output_tensors[:1]:
                self._outputs[free_name(node.operation.name, self._outputs)] = output

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """The input and every call of a layer; nothing is computed. A model within a model is one layer."""
        if input_shape is not None and self.inputs.shape is None:
            sub = self._of(tuple(self._outputs))
            shapes = sub.compute_output_shape((1, *input_shape))
            return [Layer(n, tuple(s[1:])) for n, s in zip(self._outputs, shapes, strict=True)]
        if any(None in output.shape[1:] for output in self._outputs.values()):
            raise ValueError("layers: this model does not know its input shape; give input_shape=(height, width, 3).")
        return [Layer(name, tuple(output.shape[1:])) for name, output in self._outputs.items()]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """Of every layer `[samples, dims]`, float32."""
        if precision != "float32":
            raise ValueError("a model of Keras computes in the precision of its own policy; leave precision out.")
        names = [named_layer(layer, list(self._outputs), self._penultimate is not None) for layer in layers]
        distinct = tuple(dict.fromkeys(names))
        by_name = dict(zip(distinct, self._forward(distinct)(np.asarray(batch)), strict=True))
        return [by_name[name] for name in names]

    def _forward(self, names: tuple[str, ...]) -> Any:
        """From a batch to flat outputs; with JAX below one compiled program that returns before it has run."""
        if names in self._compiled:
            return self._compiled[names]
        sub = self._of(names)

        def flat(found: Any) -> list[Any]:
            found = found if isinstance(found, (list, tuple)) else [found]
            return [one.reshape(len(one), -1).astype("float32") for one in found]

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

        self._compiled = {names: run}
        return run

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Configuration, weights, and the code of layers that are not Keras' own."""
        yield from code_of(self.module)

    def release(self) -> None:
        """Forgets compiled programs: a layer may be another one when the model runs again."""
        self._compiled.clear()

    def _of(self, names: tuple[str, ...]) -> Any:
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
    """
    return KerasModel(module, f"keras {getattr(module, 'name', 'model')}", preprocessing)


def load_keras(where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None) -> KerasModel:
    """The model of a `.keras` file, of Keras' own layers alone: names of other modules are not imported.

    Raises:
      ValueError: it is no such file, or holds a Lambda or classes that are not Keras' own.
    """
    who = shortened(f"keras:{where}")
    path = base / Path(where).expanduser()
    check_regular(path, who)
    if path.suffix != ".keras":
        raise ValueError(f"{who}: expected a .keras file; older formats are pickled or ambiguous. Save it anew.")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > MOST_CONFIG:
                raise ValueError("its config.json is enormous")
            config = json.loads(archive.read("config.json"))
    except Exception as error:
        raise ValueError(f"{who}: it is damaged or no .keras file: {first_line(error)}") from error
    _check(config, who)
    keras = framework("keras", who)
    try:
        module = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise ValueError(f"{who}: Keras cannot load it: {said}") from error
    model = KerasModel(module, who, preprocessing)
    model.pure = True  # of Keras' own layers
    model.files = (path,)
    return model


def _check(config: Any, who: str) -> None:
    """Nothing in a file may name code: only classes of Keras itself, and no Lambda."""
    waiting, seen = [config], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if isinstance(one, dict):
            if one.get("class_name") in ("Lambda", "__lambda__"):
                raise ValueError(f"{who}: it has a Lambda layer, which is code in a file; nrjax never runs it.")
            module = one.get("module")
            if "class_name" in one and module is not None and str(module).split(".")[0] != "keras":
                raise ValueError(
                    f"{who}: it names code outside Keras ({printable(shortened(str(module), 60))}), which is not "
                    "imported. Build the model yourself and pass it: nrjax.from_keras(model)."
                )
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
