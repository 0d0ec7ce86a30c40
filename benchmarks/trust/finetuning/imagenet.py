"""Fine-tuning EfficientNet-Lite of ImageNet, in PyTorch."""

# pyright: reportMissingImports=false

import copy
import dataclasses
from typing import Any

import numpy as np

import nrjax
from benchmarks.sources.networks import LITE_INPUT
from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.tune import Run
from nrjax.models import Model

SIDE = 96  # pixels; the targets' images have 28
INPUT = dataclasses.replace(LITE_INPUT, image_size=(SIDE, SIDE))
TOP1 = {0: 0.751, 1: 0.767, 2: 0.776}  # on ImageNet, as its authors say
RATES = (3e-4, 1e-3, 3e-3)
JUDGED_AT_ONCE = 250


def as_model(network: Any) -> Model:
    """It, for nrjax."""
    return nrjax.from_torch(network, preprocessing=INPUT)


class ImageNetRun(Run):
    """From the weights of this network, with a new head."""

    def __init__(self, network: Any, target: Target, samples: np.ndarray, rate: float, seed: int):
        import torch

        super().__init__(target, samples, seed)
        torch.manual_seed(seed)
        self._network = copy.deepcopy(network).to(memory_format=torch.channels_last)  # a third faster on a CPU
        self._network._fc = torch.nn.Linear(network._fc.in_features, int(target.labels.max()) + 1)
        self._network.requires_grad_(True)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=rate)
        self._prepare = as_model(network).inputs.prepare

    def _step(self, batch: np.ndarray) -> None:
        import torch

        self._network.train()
        self._optimizer.zero_grad()
        labels = torch.from_numpy(self._target.labels[batch].astype(np.int64))
        torch.nn.functional.cross_entropy(self._network(self._images(batch)), labels).backward()
        self._optimizer.step()

    def hits(self, samples: np.ndarray) -> np.ndarray:
        """Whether each sample is named rightly."""
        import torch

        self._network.eval()
        with torch.inference_mode():
            chosen = [
                self._network(self._images(samples[start : start + JUDGED_AT_ONCE])).argmax(dim=1).numpy()
                for start in range(0, len(samples), JUDGED_AT_ONCE)
            ]
        return np.concatenate(chosen) == self._target.labels[samples]

    def _images(self, samples: np.ndarray) -> Any:
        import torch

        images = torch.as_tensor(self._prepare(self._target.inputs[samples]))
        return images.to(memory_format=torch.channels_last)
