"""Feature maps of PyTorch modules, and their vectors at positions in pictures."""

# pyright: reportMissingImports=false

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.models._feature_maps import INPUT, Layout, Maps, layout_of, prefix_tokens
from nrjax.models._layer_choice import LayerChoice
from nrjax.models._position_batches import PositionBatch

FEW = 3  # pictures that show which tensors have a row for each
OUTPUT, LOGITS = "output", "output.logits"  # layers that are the network's answer


def prefix_of(module: Any) -> int:
    """Tokens of a module that stand for the whole picture."""
    known = getattr(module, "num_prefix_tokens", None)  # of timm
    if isinstance(known, int):
        return known
    return prefix_tokens((name, tuple(weight.shape)) for name, weight in module.named_parameters())


def few_pictures(batch: PositionBatch) -> Any:
    """A batch of a few pictures, some of them several times where there are fewer."""
    return batch.pictures[np.arange(FEW) % len(batch.pictures)]


def find_maps(module: Any, outputs: Mapping[str, Any], size: Sequence[int], *, channels_first: bool = True) -> Maps:
    """Layers with maps.

    The penultimate is the last map; where that is the answer of a convolution of 1x1 whose channels are those of the
    network's answer, a head, it is the map before.

    Args:
      module: the network.
      outputs: of its layers by name, in order of execution.
      size: height and width of the pictures that entered it.
      channels_first: which order of axes a map has where its shape allows both.
    """
    prefix = prefix_of(module)
    layouts = {
        name: layout_of(tuple(value.shape), size, prefix=prefix, channels_first=channels_first)
        for name, value in outputs.items()
    }  # fmt: skip
    known = {name: layout for name, layout in layouts.items() if layout is not None}
    return Maps(list(outputs), known, _last_map(module, outputs, known))


def _last_map(module: Any, outputs: Mapping[str, Any], layouts: Mapping[str, Layout]) -> str | None:
    names = [name for name in layouts if name != INPUT]
    modules = dict(module.named_modules())
    last = next((name for name in reversed(names) if _has_weights(modules.get(name.partition(":")[0]))), None)
    answer = outputs.get(LOGITS, outputs.get(OUTPUT))
    if last is not None and answer is not None and getattr(modules.get(last), "kernel_size", None) == (1, 1):
        before = names[: names.index(last)]
        if before and outputs[last].shape[1] == answer.shape[1]:
            return before[-1]
    return names[-1] if names else None


def _has_weights(module: Any) -> bool:
    """Whether a module has weights and no modules within."""
    return module is not None and not any(module.children()) and any(True for _ in module.parameters())


def vectors_at(output: Any, layout: Layout, batch: PositionBatch) -> np.ndarray:
    """Vectors `[positions, dims]` of a map, float32 on the host."""
    import torch

    at = (torch.as_tensor(index, device=output.device) for index in batch.cells(layout))
    return layout.gather(output, *at).float().cpu().numpy()


def vectors_of(
    outputs: Mapping[str, Any], maps: Maps, layers: Sequence[LayerChoice], batch: PositionBatch
) -> list[np.ndarray]:  # fmt: skip
    """Vectors at positions of the chosen layers, whose outputs are given by name."""
    return [vectors_at(outputs[name], maps.layouts[name], batch) for name in maps.choose(layers)]
