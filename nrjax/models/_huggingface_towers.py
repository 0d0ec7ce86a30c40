"""Models of Hugging Face that embed images and texts into one space, such as CLIP."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.datasets import Pair, Word
from nrjax.errors import LayerError
from nrjax.models._code import version_of
from nrjax.models._embedder import EMBEDDING, EmbeddingModel
from nrjax.models._huggingface_inputs import run_by_length
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name, list_layers
from nrjax.models._model import Description, Inputs, Precision
from nrjax.models._pairs import PairBatch, combine, prepare_apart
from nrjax.models._pooling import pool
from nrjax.models._torch_runs import computing_in, in_inference, is_accelerated, tensors_on, weight_parts

TOWERS = {"pixel_values": "vision_model", "input_ids": "text_model"}
POOLED = "pooled"


class TwoTowerModel(EmbeddingModel):
    """Embeddings of images or of texts, by `get_image_features` and `get_text_features`."""

    def __init__(self, module: Any, images: Inputs, texts: Inputs, description: Description, config: str):
        def prepare(samples: Any) -> Any:
            if isinstance(samples[0], Word):
                raise ValueError("the model embeds whole texts; it has no vectors of words.")
            if isinstance(samples[0], Pair):
                return prepare_apart(samples, texts.prepare)
            return (texts if isinstance(samples[0], str) else images).prepare(samples)

        words = f"images: {images.preprocessing}; texts: {texts.preprocessing}"
        self.inputs = Inputs("any", None, words, prepare)
        self.module, self.description, self._config = module, description, config
        self.texts = texts

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Layers of the tower of images, pooled, what it pools itself, and the embedding; texts have their own tower's.

        Widths are those that configurations say.
        """
        tower = getattr(self.module, TOWERS["pixel_values"], None)
        config = getattr(tower, "config", None)
        depth, width = (int(getattr(config, name, None) or 0) for name in ("num_hidden_layers", "hidden_size"))
        states = [Layer(f"hidden_states.{i}", (width,)) for i in range(depth + 1)] if depth and width else []
        inner = [*states, Layer(POOLED, (width,))] if states else []
        return [*inner, *super().layers()]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """The embedding, or layers of the tower that the samples go through, `[samples, dims]`."""
        names = [layer.name for layer in self.layers()]
        chosen = [layer_name(layer, names, has_penultimate=True) for layer in layers]
        if all(name in (EMBEDDING, PENULTIMATE) for name in chosen):
            return super().outputs(batch, layers, precision)
        if isinstance(batch, PairBatch):
            return [combine(features) for features in self.outputs(batch.inputs, layers, precision)]
        if isinstance(batch, Mapping):
            return run_by_length(batch, lambda texts: self._tower_layers(
                {name: texts[name] for name in ("input_ids", "attention_mask")}, chosen, precision))  # fmt: skip
        return self._tower_layers({"pixel_values": batch}, chosen, precision)

    def _tower_layers(
        self, arrays: Mapping[str, np.ndarray], names: Sequence[str], precision: Precision
    ) -> list[np.ndarray]:  # fmt: skip
        kind = next(iter(arrays))
        tower, device = getattr(self.module, TOWERS[kind]), next(self.module.parameters()).device
        tensors = tensors_on(device, arrays)
        with in_inference(self.module), computing_in(precision, device):
            output = tower(**tensors, output_hidden_states=True)
        has_cls = any(name.endswith("class_embedding") for name, _ in tower.named_parameters())
        mask, pooling = tensors.get("attention_mask"), "cls" if has_cls else "mean"
        pooled = {f"hidden_states.{i}": pool(state, mask, pooling) for i, state in enumerate(output.hidden_states)}
        pooled |= {POOLED: output.pooler_output}
        missing = next((name for name in names if name not in (*pooled, EMBEDDING, PENULTIMATE)), None)
        if missing is not None:
            raise LayerError(
                f"The model has no layer {missing!r} of these samples; it has {list_layers(list(pooled))}."
            )
        function = self.module.get_image_features if kind == "pixel_values" else self.module.get_text_features
        needs_embedding = bool({EMBEDDING, PENULTIMATE} & {*names})
        embedding = self._embed(function, precision, arrays) if needs_embedding else np.zeros((0, 0))
        return [embedding if name not in pooled else pooled[name].float().cpu().numpy() for name in names]

    def blocks(self) -> list[str]:
        """The layers of the tower, without the embeddings."""
        return [layer.name for layer in self.layers() if layer.name.startswith("hidden_states.")][1:]

    def _embed_batch(self, batch: Any, precision: Precision) -> np.ndarray:
        if not isinstance(batch, Mapping):
            return self._embed(self.module.get_image_features, precision, {"pixel_values": batch})

        def embed_texts(texts: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            named = {name: texts[name] for name in ("input_ids", "attention_mask")}
            return [self._embed(self.module.get_text_features, precision, named)]

        (embedding,) = run_by_length(batch, embed_texts)  # some text towers know no mask
        return embedding

    def _embed(self, function: Any, precision: Precision, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        import torch

        device = next(self.module.parameters()).device
        tensors = tensors_on(device, arrays)
        with in_inference(self.module), computing_in(precision, device):
            output = function(**tensors)
        return (output if isinstance(output, torch.Tensor) else output.pooler_output).float().cpu().numpy()

    @property
    def accelerated(self) -> bool:
        """Whether the module is anywhere but on the CPU."""
        return is_accelerated(self.module)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Configuration and weights; processor and tokenizer are part of the preprocessing."""
        yield self._config
        yield version_of("transformers")
        yield from weight_parts(self.module)
