"""What every model is, wherever it comes from: inputs, layers, outputs, a fingerprint, a description."""

import abc
import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from nrjax.datasets import Kind
from nrjax.models._code import package_of
from nrjax.models._layer_choice import Layer, LayerChoice
from nrjax.models._pooling import check_layer_pooling

AnyKind = Kind | Literal["any"]
Precision = Literal["float32", "tensorfloat32", "bfloat16"]
Outputs = Sequence[ArrayLike]  # of every layer `[samples, ...]`, on the host or on a device
SAMPLES_OF = {
    "image": "images", "text": "texts", "array": "arrays", "words": "words of sentences", "pair": "pairs of texts",
    "audio": "recordings", "position": "positions in images",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The kind of samples that a model takes, and how they are prepared.

    Attributes:
      kind: `image` (uint8 `[height, width, channels]`, of any size where the model has its own preprocessing),
        `text` (str), `array` (numbers that enter as they are), `audio`, or `any` kind.
      shape: of one sample as the network takes it; None where it takes several.
      preprocessing: what is done to a sample, in words; equal words mean equal preprocessing.
      prepare: from a list of samples, or an array `[samples, ...]`, to a batch; called from several threads.
      ready: whether an array of this shape and type is a batch already.
      others: further kinds that `prepare` makes batches of, such as `words` and `pair` of a model of texts.
      position_preprocessing: what is done to the picture of a position, which must not be cropped.
    """

    kind: AnyKind
    shape: tuple[int, ...] | None
    preprocessing: str
    prepare: Callable[[Any], Any]
    ready: Callable[[np.ndarray], bool] = lambda samples: False
    others: tuple[Kind, ...] = ()
    position_preprocessing: str = ""

    def words(self, kind: Kind) -> str:
        """What is done to samples of a kind, in words."""
        return self.position_preprocessing if kind == "position" else self.preprocessing

    def takes(self, kind: Kind) -> bool:
        """Whether samples of a kind may enter: images are arrays, and arrays may be images in other numbers."""
        if kind == "position":  # not any model of any samples has maps
            return kind in (self.kind, *self.others)
        return self.kind in (kind, "any") or kind in self.others or {kind, self.kind} == {"image", "array"}


@dataclasses.dataclass(frozen=True)
class Description:
    """Data about a model; `where=` selects candidates by them.

    Attributes:
      parameters: number of trained parameters.
      bytes: size of its weights.
      source: where it came from, such as `timm:resnet18`.
      license: of the weights; empty if it is not known.
      tags: other facts.
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
      fits: the number of samples that fitted the memory after a larger one had not.
      compiled: whether every number of samples would be compiled anew, so that the last batch is filled up.
      pure: whether equal samples give equal outputs by construction; of other models that is checked.
      pooling: of layers that are maps or tokens; None flattens them, or is the model's own.
      channels_first: whether channels of maps are behind the samples, and not last.
      classifies: whether its last layer are logits or probabilities of classes of its own.
      zero_shot: whether these classes are the target's, because `with_classes` has named them.
      files: all that it was read from, folders included; empty where that is not known, or it was never in files.

    Examples:
      >>> model = zoo["F10"]
      >>> [layer.name for layer in model.layers()]
      ['input', 'conv1', 'pool1', 'conv2', 'pool2', 'dense', 'logits']
      >>> model.description.parameters
      105194
    """

    inputs: Inputs
    description: Description = Description()
    batch: int | None = None
    fits: int | None = None
    compiled: bool = False
    pure: bool = False
    classifies: bool = False
    zero_shot: bool = False
    pooling: str | None = None
    channels_first: bool = False
    files: tuple[Path, ...] = ()

    @abc.abstractmethod
    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Layers in order of execution; of `input_shape` where the model takes several."""

    @abc.abstractmethod
    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Outputs:
        """`[samples, dims]` of every layer, in float32 and inference mode, from one forward pass.

        Raises:
          LayerError: there is no such layer; lists those there are.
        """

    @abc.abstractmethod
    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """What makes it this model: definition and weights, in an order of their own."""

    def map_layers(self, batch: Any) -> list[str]:
        """Names of the layers that have a vector for every place of a picture, in order of execution.

        Args:
          batch: of positions, as `inputs.prepare` made it.
        """
        return []

    def pool_by(self, pooling: str) -> None:
        """Chooses how layers that are maps or tokens become vectors. Raises ValueError for none of `LAYER_POOLINGS`."""
        check_layer_pooling(pooling)
        self.pooling = pooling

    def pooled_by(self, pooling: str | None) -> Self:
        """A shallow copy that pools by `pooling`, so that this model stays as it is; None gives the model itself."""
        if pooling in (None, self.pooling):
            return self
        other = copy.copy(self)
        other.pool_by(pooling)
        return other

    def with_classes(self, classes: Sequence[Any]) -> Self:
        """The model for a target of these classes: a shallow copy where it uses their names, else the model itself.

        Raises:
          ValueError: the model needs names of classes, and these are none.
        """
        return self

    def move(self, device: str) -> None:
        """Chooses the device that it runs on. Raises ValueError where it cannot be chosen."""
        raise ValueError("it runs where it was made; leave device out.")

    @property
    def accelerated(self) -> bool:
        """Whether it runs on an accelerator, which large batches keep busy."""
        return False

    def blocks(self) -> list[str]:
        """The layers that `mean` averages and of which `last` is the last: the largest group of layers of one width."""
        by_dims: dict[int, list[str]] = {}
        for layer in self.layers()[1:]:
            by_dims.setdefault(layer.dims, []).append(layer.name)
        return max(by_dims.values(), key=len) if by_dims else []

    @property
    def fingerprint(self) -> str:
        """SHA-256 of definition, weights and preprocessing: the same on every machine, another for a changed weight.

        It is computed anew each time, because live models change.

        Raises:
          FingerprintError: something in the model cannot be read.
        """
        from nrjax.models._content import code_of, digest_of

        code = () if package_of(type(self).__module__) == "nrjax" else code_of(type(self))
        pooling = () if self.pooling is None else (f"pooling {self.pooling}",)
        return digest_of([type(self).__name__, self.inputs.preprocessing, *pooling, *code, *self.parts()])

    def release(self) -> None:  # noqa: B027  (most take nothing)
        """Releases what inference took, such as the memory of a device; the next `outputs` takes it again."""

    def remarks(self) -> list[str]:
        """Remarks for the user once all samples have run."""
        return []


def as_shape(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    """A shape as a tuple of integers of Python; None stays None."""
    return None if shape is None else tuple(int(size) for size in shape)


def unknown_shape(channels: str = "3") -> ValueError:
    """The error of `layers` where neither the model nor the user knows the input's shape."""
    return ValueError(
        f"layers: this model does not know its input shape; give input_shape=(height, width, {channels}), or "
        "image_size when it is loaded (nrjax layers --image-size)."
    )
