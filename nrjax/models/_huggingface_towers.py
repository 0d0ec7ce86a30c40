"""Models of Hugging Face that embed images and texts into one space, such as CLIP."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nrjax.models._code import version_of
from nrjax.models._embedder import EmbeddingModel
from nrjax.models._huggingface_inputs import run_by_length
from nrjax.models._model import Description, Inputs, Precision
from nrjax.models._torch_runs import computing_in, in_inference, is_accelerated, tensors_on, weight_parts


class TwoTowerModel(EmbeddingModel):
    """Embeddings of images or of texts, by `get_image_features` and `get_text_features`."""

    def __init__(self, module: Any, images: Inputs, texts: Inputs, description: Description, config: str):
        def prepare(samples: Any) -> Any:
            return (texts if isinstance(samples[0], str) else images).prepare(samples)

        words = f"images: {images.preprocessing}; texts: {texts.preprocessing}"
        self.inputs = Inputs("any", None, words, prepare)
        self.module, self.description, self._config = module, description, config

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
