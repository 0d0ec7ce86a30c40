"""What every model is, wherever it comes from: inputs, layers, outputs, a fingerprint, a description."""

import abc
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from nrjax.models._code import package_of

LayerChoice = str | int
Kind = Literal["image", "text", "array"]
AnyKind = Literal["image", "text", "array", "any"]
Precision = Literal["float32", "tensorfloat32", "bfloat16"]
PENULTIMATE, MEAN, LAST = "penultimate", "mean", "last"
SAMPLES_OF = {"image": "images", "text": "texts", "array": "arrays"}


class LayerError(ValueError):
    """A model without the layer asked for (the paper's Algorithm 1 raises here)."""


class Layer(NamedTuple):
    """A layer that can be scored: its name and the shape of its output for one sample."""

    name: str
    shape: tuple[int, ...]

    @property
    def dims(self) -> int:
        """Width of the layer's features: its outputs, flattened."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a model takes, and how samples get there.

    Attributes:
      kind: `image` (uint8 `[height, width, channels]`, of any size where the model has its own preprocessing),
        `text` (str), `array` (numbers that enter as they are), or `any` of them.
      shape: of one sample as the network takes it; None where it takes several.
      preprocessing: what is done to a sample, in words; equal words mean equal preprocessing.
      prepare: from a list of samples, or an array `[samples, ...]`, to a batch; called from several threads.
      ready: whether an array of this shape and type is a batch already.
    """

    kind: AnyKind
    shape: tuple[int, ...] | None
    preprocessing: str
    prepare: Callable[[Any], Any]
    ready: Callable[[np.ndarray], bool] = lambda samples: False

    def takes(self, kind: Kind) -> bool:
        """Whether samples of another kind may enter: images are arrays, and arrays may be images in other numbers."""
        return self.kind in (kind, "any") or {kind, self.kind} == {"image", "array"}


@dataclasses.dataclass(frozen=True)
class Description:
    """What can be said of a model, and what candidates are chosen by.

    Attributes:
      parameters: numbers that training learned.
      bytes: that its weights take.
      source: where it came from, such as `timm:resnet18`.
      license: of the weights; empty where it is not known.
      tags: anything else worth knowing.
    """

    parameters: int | None = None
    bytes: int | None = None
    source: str = ""
    license: str = ""
    tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Model(abc.ABC):
    """A network with its weights, ready for inference.

    Attributes:
      inputs: see `Inputs`.
      description: see `Description`.
      batch: the only number of samples that it takes at once; None takes any.
      fits: the number that did, after a larger one had not fitted the memory.
      compiled: whether every number of samples would be compiled anew, so that the last few are filled up.
      pure: whether equal samples give equal outputs by construction; of others that is checked.
      classifies: whether its last layer are logits or probabilities of classes of its own.
      files: all that it was read from, folders included; empty where that is not known, or it was never in files.
    """

    inputs: Inputs
    description: Description = Description()
    batch: int | None = None
    fits: int | None = None
    compiled: bool = False
    pure: bool = False
    classifies: bool = False
    files: tuple[Path, ...] = ()

    @abc.abstractmethod
    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Layers in order of execution; of `input_shape` where the model takes several."""

    @abc.abstractmethod
    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """`[samples, dims]` of every layer, in float32 and inference mode, from one forward pass.

        Raises:
          LayerError: there is no such layer; lists those there are.
        """

    @abc.abstractmethod
    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """What makes it this model: definition and weights, in an order of their own."""

    @property
    def accelerated(self) -> bool:
        """Whether it runs on an accelerator, which large batches keep busy."""
        return False

    def blocks(self) -> list[str]:
        """The layers that `mean` averages and of which `last` is the last: most of them have one width."""
        found: dict[int, list[str]] = {}
        for layer in self.layers()[1:]:
            found.setdefault(layer.dims, []).append(layer.name)
        return max(found.values(), key=len) if found else []

    @property
    def fingerprint(self) -> str:
        """SHA-256 of definition, weights and preprocessing: the same on every machine, another for a changed weight.

        It is taken anew each time, because live models change.

        Raises:
          FingerprintError: something in the model cannot be read.
        """
        from nrjax.models._content import code_of, digest_of

        code = () if package_of(type(self).__module__) == "nrjax" else code_of(type(self))
        return digest_of([type(self).__name__, self.inputs.preprocessing, *code, *self.parts()])

    def release(self) -> None:  # noqa: B027  (most take nothing)
        """Gives back what inference took, such as the memory of a device; the next `outputs` takes it again."""

    def remarks(self) -> list[str]:
        """What there is to say once all samples went through it."""
        return []


def arrays_of(named: Mapping[str, Any]) -> Iterator[str | np.ndarray]:
    """Arrays by name, as parts of a fingerprint."""
    for name in sorted(named):
        array = np.asarray(named[name])
        if array.dtype.hasobject:
            raise TypeError(f"{name} is no array of numbers")
        yield f"{name} {array.dtype} {array.shape}"
        yield np.atleast_1d(array)


def named_layer(layer: LayerChoice, names: Sequence[str], has_penultimate: bool) -> str:
    """The name of a layer that was chosen by name, by index or as the penultimate one.

    Raises:
      LayerError: there is no such layer.
    """
    if layer == PENULTIMATE and layer not in names:
        if not has_penultimate:
            raise LayerError(
                "The model has no dense layer at its end and answers with no vector, so it has no penultimate layer; "
                f"choose one of {listing(names)}."
            )
        return PENULTIMATE
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return names[layer]
    if layer not in names:
        raise LayerError(f"The model has no layer {layer!r}; it has {listing(names)}.")
    return str(layer)


MOST_LISTED = 100


def listing(names: Sequence[str]) -> str:
    """Layers with their indices; of hundreds the first and the last."""
    numbered = [f"{name} ({i})" for i, name in enumerate(names)]
    if len(numbered) > MOST_LISTED:
        numbered = [*numbered[: MOST_LISTED // 2], "...", *numbered[-MOST_LISTED // 2 :]]
    return ", ".join(numbered)


def free_name(name: str, taken: Iterable[str]) -> str:
    """`name`; or `name:2`, `name:3`, ... for the later calls of a layer that runs several times."""
    number, taken = 1, set(taken) if not isinstance(taken, Mapping) else taken
    while (candidate := name if number == 1 else f"{name}:{number}") in taken:
        number += 1
    return candidate


def shape_of(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    """A shape as it is kept."""
    return None if shape is None else tuple(int(size) for size in shape)
