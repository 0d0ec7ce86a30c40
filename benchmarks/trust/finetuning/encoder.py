"""Fine-tuning the first layers of a sentence encoder, in PyTorch."""

# pyright: reportMissingImports=false

import copy
from typing import Any

import numpy as np

from benchmarks.sources.networks import encoder
from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.tune import Run
from nrjax.models import Model
from nrjax.models import as_model as live_model

LAYERS = 6  # of all-MiniLM-L6-v2
RATES = (1e-4, 3e-4, 1e-3)  # what trains a transformer
TOKENS = 64  # of a text
JUDGED_AT_ONCE = 250


def cut(layers: int, trained: bool = True) -> Any:
    """The embeddings and so many layers of all-MiniLM-L6-v2, as they are or drawn at random."""
    import torch
    from transformers import AutoConfig, AutoModel, logging

    logging.set_verbosity_error()  # it reports the pooler, which is left out
    torch.manual_seed(0)
    if not trained:
        config = AutoConfig.from_pretrained(encoder(), num_hidden_layers=layers)
        return AutoModel.from_config(config, add_pooling_layer=False)
    network = AutoModel.from_pretrained(encoder(), use_safetensors=True, add_pooling_layer=False)
    network.encoder.layer = network.encoder.layer[:layers]
    network.config.num_hidden_layers = layers
    return network


def tokenizer() -> Any:
    """What cuts texts into tokens."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(encoder(), model_max_length=TOKENS)


def as_model(network: Any) -> Model:
    """It, for nrjax; a text is the mean of its tokens, as its authors pool them."""
    return live_model((network, tokenizer()))


class EncoderRun(Run):
    """From the weights of this network, with a new head on the mean of the tokens."""

    def __init__(self, network: Any, target: Target, samples: np.ndarray, rate: float, seed: int):
        import torch

        super().__init__(target, samples, seed)
        torch.manual_seed(seed)
        self._tokenizer, self._network = tokenizer(), copy.deepcopy(network)
        self._head = torch.nn.Linear(network.config.hidden_size, int(target.labels.max()) + 1)
        self._modules = torch.nn.ModuleList([self._network, self._head])
        self._optimizer = torch.optim.Adam(self._modules.parameters(), lr=rate)

    def _step(self, batch: np.ndarray) -> None:
        import torch

        self._modules.train()
        self._optimizer.zero_grad()
        labels = torch.from_numpy(self._target.labels[batch].astype(np.int64))
        torch.nn.functional.cross_entropy(self._logits(batch), labels).backward()
        self._optimizer.step()

    def hits(self, samples: np.ndarray) -> np.ndarray:
        """Whether each sample is named rightly."""
        import torch

        self._modules.eval()
        with torch.inference_mode():
            chosen = [
                self._logits(samples[start : start + JUDGED_AT_ONCE]).argmax(dim=1).numpy()
                for start in range(0, len(samples), JUDGED_AT_ONCE)
            ]
        return np.concatenate(chosen) == self._target.labels[samples]

    def _logits(self, samples: np.ndarray) -> Any:
        texts = [self._target.inputs[sample] for sample in samples]
        tokens = self._tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        mask = tokens["attention_mask"][:, :, None]
        states = self._network(**tokens).last_hidden_state
        return self._head((states * mask).sum(dim=1) / mask.sum(dim=1))
