"""Zero-shot classifiers: probabilities of an image's classes from their names, by a model of images and texts."""

# pyright: reportMissingImports=false

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from nrjax.models._embedder import EMBEDDING
from nrjax.models._huggingface_load import load_huggingface
from nrjax.models._huggingface_towers import TwoTowerModel
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name
from nrjax.models._model import Description, Inputs, Model, Precision

LOGITS, PROBABILITIES = "logits", "probabilities"
TEMPLATE = "a photo of a {}."


class ZeroShotModel(Model):
    """Layers: the embedding of an image, a logit and a probability for every class; the last is the penultimate layer.

    Its classes are those of the target, by their names.
    """

    classifies = True

    def __init__(self, towers: TwoTowerModel, who: str):
        self._towers, self._who = towers, who
        self._classes: tuple[str, ...] = ()
        self._weights: np.ndarray | None = None  # embeddings of the classes
        self.description = Description(**{**vars(towers.description), "source": who})
        self.inputs = Inputs("image", None, f"{towers.inputs.preprocessing}; {TEMPLATE}", towers.inputs.prepare)

    def with_classes(self, classes: Sequence[Any]) -> Self:
        """A shallow copy for these classes. Raises ValueError where they are numbers, which say nothing."""
        names = tuple(map(str, classes))
        if not names or all(name.lstrip("-").replace(".", "", 1).isdecimal() for name in names):
            raise ValueError(
                f"{self._who}: it needs names of classes, such as ('cat', 'dog'); these are "
                f"{', '.join(names[:5]) or 'none'}. Load the data with class_names, or pass labels that are words."
            )
        if names == self._classes:
            return self
        named = copy.copy(self)
        named._classes, named._weights, named.zero_shot = names, None, True
        return named

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Embedding, logits, probabilities."""
        shape = (len(self._classes),) if self._classes else ()
        (embedding,) = (layer for layer in self._towers.layers() if layer.name == EMBEDDING)
        return [embedding, Layer(LOGITS, shape), Layer(PROBABILITIES, shape)]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """`[samples, dims]` of every layer, float32 on the host."""
        names = [EMBEDDING, LOGITS, PROBABILITIES]
        chosen = [layer_name(layer, names, has_penultimate=True) for layer in layers]
        (embedding,) = self._towers.outputs(batch, [EMBEDDING], precision)
        logits = self._logits(embedding, precision)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        found = {EMBEDDING: embedding, LOGITS: logits, PROBABILITIES: shifted / shifted.sum(axis=1, keepdims=True)}
        return [found[PROBABILITIES if name == PENULTIMATE else name] for name in chosen]

    def _logits(self, embedding: np.ndarray, precision: Precision) -> np.ndarray:
        """Cosines of an image and the sentences of the classes, scaled as the model says."""
        if self._weights is None:
            if not self._classes:
                raise ValueError(f"{self._who}: it needs names of classes: model.with_classes(('cat', 'dog')).")
            sentences = self._towers.texts.prepare([TEMPLATE.format(name) for name in self._classes])
            self._weights = _unit(self._towers.outputs(sentences, [EMBEDDING], precision)[0])
        module = self._towers.module
        scale = float(module.logit_scale.detach().exp()) if hasattr(module, "logit_scale") else 1.0
        return (scale * _unit(embedding) @ self._weights.T).astype(np.float32)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The classes, and the model of images and texts."""
        yield repr(self._classes)
        yield from self._towers.parts()

    @property
    def accelerated(self) -> bool:
        """Whether the module is anywhere but on the CPU."""
        return self._towers.accelerated


def load_zero_shot(
    where: str, *, base: Path = Path(), device: str | None = None, download: bool = False
) -> ZeroShotModel:
    """A model of images and texts, such as CLIP, as a classifier without training.

    Raises:
      ValueError: it is no such model; otherwise as `load_huggingface`.
    """
    towers = load_huggingface(where, base=base, device=device, download=download)
    if not isinstance(towers, TwoTowerModel):
        raise ValueError(f"hf-zeroshot:{where}: it is no model of images and texts, such as CLIP; take hf:{where}.")
    model = ZeroShotModel(towers, f"hf-zeroshot:{where}")
    model.files = towers.files
    return model


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
