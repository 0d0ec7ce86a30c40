"""Models of Hugging Face that embed images and texts into one space, such as CLIP."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.models._code import version_of
from nrjax.models._huggingface_inputs import in_lengths
from nrjax.models._model import Description, Inputs, Layer, LayerChoice, Model, Precision, arrays_of, named_layer
from nrjax.models._torch_runs import computing_in, in_inference, is_accelerated, numpy_of

EMBEDDING = "embedding"


class TwoTowerModel(Model):
    """Embeddings of images or of texts, as `get_image_features` and `get_text_features` give them."""

    def __init__(self, module: Any, images: Inputs, texts: Inputs, description: Description, config: str):
        def prepare(samples: Any) -> Any:
            return (texts if isinstance(samples[0], str) else images).prepare(samples)

        words = f"images: {images.preprocessing}; texts: {texts.preprocessing}"
        self.inputs = Inputs("any", None, words, prepare)
        self.module, self.description, self._config = module, description, config
        self._dims: int | None = None

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """One, whose width is known once something was embedded."""
        return [Layer(EMBEDDING, (self._dims,) if self._dims else ())]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """The embedding, `[samples, dims]`, float32 on the host, once for every layer that is asked for."""
        for layer in layers:
            named_layer(layer, [EMBEDDING], has_penultimate=True)
        if isinstance(batch, Mapping):  # some text towers know no mask
            (found,) = in_lengths(batch, lambda texts: [self._embeddings(self.module.get_text_features, precision, {
                name: texts[name] for name in ("input_ids", "attention_mask")})])  # fmt: skip
        else:
            found = self._embeddings(self.module.get_image_features, precision, {"pixel_values": batch})
        self._dims = found.shape[1]
        return [found] * len(layers)

    def _embeddings(self, embed: Any, precision: Precision, named: Mapping[str, np.ndarray]) -> np.ndarray:
        import torch

        device = next(self.module.parameters()).device
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)).to(device) for name, value in named.items()}
        with in_inference(self.module), computing_in(precision, device):
            answer = embed(**tensors)
        return (answer if isinstance(answer, torch.Tensor) else answer.pooler_output).float().cpu().numpy()

    @property
    def accelerated(self) -> bool:
        """Whether the module is anywhere but on the CPU."""
        return is_accelerated(self.module)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Configuration and weights; processor and tokenizer are part of the preprocessing."""
        yield self._config
        yield version_of("transformers")
        yield from arrays_of({name: numpy_of(value) for name, value in self.module.state_dict().items()})
