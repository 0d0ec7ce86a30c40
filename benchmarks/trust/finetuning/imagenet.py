"""Fine-tuning EfficientNet-Lite of ImageNet, in PyTorch."""

# pyright: reportMissingImports=false

import copy
import dataclasses
from typing import Any

import numpy as np

import nrjax
from benchmarks.sources.networks import LITE_INPUT
from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.torch_run import TorchRun
from nrjax.models import Model

SIDE = 96  # pixels; the targets' images have 28
INPUT = dataclasses.replace(LITE_INPUT, image_size=(SIDE, SIDE))
TOP1 = {0: 0.751, 1: 0.767, 2: 0.776}  # on ImageNet, as its authors say
RATES = (3e-4, 1e-3, 3e-3)


def as_model(network: Any) -> Model:
    """It, for nrjax."""
    return nrjax.from_torch(network, preprocessing=INPUT)


class ImageNetRun(TorchRun):
    """From the weights of this network, with a new head."""

    def __init__(self, network: Any, target: Target, samples: np.ndarray, rate: float, seed: int):
        import torch

        torch.manual_seed(seed)
        self._network = copy.deepcopy(network).to(memory_format=torch.channels_last)  # a third faster on a CPU
        self._network._fc = torch.nn.Linear(network._fc.in_features, int(target.labels.max()) + 1)
        self._network.requires_grad_(True)
        self._prepare = as_model(network).inputs.prepare
        super().__init__(self._network, target, samples, rate, seed)

    def _logits(self, samples: np.ndarray) -> Any:
        import torch

        images = torch.as_tensor(self._prepare(self._target.inputs[samples]))
        return self._network(images.to(memory_format=torch.channels_last))
