"""Training of networks of PyTorch, whatever they read."""

# pyright: reportMissingImports=false

import abc
from typing import Any

import numpy as np

from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.tune import Run

JUDGED_AT_ONCE = 250


class TorchRun(Run):
    """A run of modules that a subclass calls in `_logits`."""

    def __init__(self, modules: Any, target: Target, samples: np.ndarray, rate: float, seed: int):
        import torch

        super().__init__(target, samples, seed)
        self._modules = modules
        self._optimizer = torch.optim.Adam(modules.parameters(), lr=rate)

    @abc.abstractmethod
    def _logits(self, samples: np.ndarray) -> Any:
        """`[samples, classes]`."""

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
