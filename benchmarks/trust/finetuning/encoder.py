"""Fine-tuning the first layers of a sentence encoder, in PyTorch."""

# pyright: reportMissingImports=false

import copy
from typing import Any

import numpy as np

from benchmarks.sources.networks import encoder
from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.torch_run import TorchRun
from nrjax.models import Model
from nrjax.models import as_model as live_model

LAYERS = 6  # of all-MiniLM-L6-v2
RATES = (1e-4, 3e-4, 1e-3)  # what trains a transformer
TOKENS = 64  # of a text


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


class EncoderRun(TorchRun):
    """From the weights of this network, with a new head on the mean of the tokens."""

    def __init__(self, network: Any, target: Target, samples: np.ndarray, rate: float, seed: int):
        import torch

        torch.manual_seed(seed)
        self._tokenizer, self._network = tokenizer(), copy.deepcopy(network)
        self._head = torch.nn.Linear(network.config.hidden_size, int(target.labels.max()) + 1)
        super().__init__(torch.nn.ModuleList([self._network, self._head]), target, samples, rate, seed)

    def _logits(self, samples: np.ndarray) -> Any:
        texts = [self._target.inputs[sample] for sample in samples]
        tokens = self._tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        mask = tokens["attention_mask"][:, :, None]
        states = self._network(**tokens).last_hidden_state
        return self._head((states * mask).sum(dim=1) / mask.sum(dim=1))
