"""Feature maps of Hugging Face's networks of images: hidden states without the tokens of the whole picture."""

# pyright: reportMissingImports=false

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.models._feature_maps import Layout, Maps, layout_of
from nrjax.models._layer_choice import PENULTIMATE, LayerChoice
from nrjax.models._model import Precision
from nrjax.models._position_batches import PositionBatch
from nrjax.models._torch_maps import prefix_of, vectors_of
from nrjax.models._torch_runs import computing_in, in_inference, tensors_on

STATES = "hidden_states"


def position_vectors(
    module: Any, batch: PositionBatch, layers: Sequence[LayerChoice], precision: Precision, pooled: str
) -> list[np.ndarray]:  # fmt: skip
    """Vectors at positions of the chosen layers; `pooled` is a further layer, which has no map.

    Raises:
      LayerError: there is no such layer, or it has no map.
    """
    needs_states = any(layer != PENULTIMATE for layer in layers)
    outputs = run_encoder(module, batch.pictures, precision, needs_states)
    return vectors_of(outputs, maps_of(module, outputs, batch, pooled), layers, batch)


def maps_of(module: Any, outputs: Mapping[str, Any], batch: PositionBatch, pooled: str) -> Maps:
    """Layers with maps; the penultimate is the last hidden state as the network normalises it."""
    size, prefix = batch.pictures.shape[2:], prefix_of(module)
    layouts: dict[str, Layout] = {}
    for name, output in outputs.items():
        layout = layout_of(tuple(output.shape), size, prefix=prefix, channels_first=True)
        if layout is not None:
            layouts[name] = layout
    names = [name for name in outputs if name != PENULTIMATE]
    return Maps([*names, pooled], layouts, PENULTIMATE if PENULTIMATE in layouts else None)


def run_encoder(module: Any, pictures: np.ndarray, precision: Precision, needs_states: bool = True) -> dict[str, Any]:
    """Hidden states by name, and the last as `penultimate`, of the network without its head."""
    base = getattr(module, getattr(module, "base_model_prefix", ""), module)
    encoder = base if hasattr(base, "main_input_name") else module  # some wrap a network of another library
    needs_states = needs_states or "ForImageClassification" in type(encoder).__name__
    device = next(module.parameters()).device
    (pixels,) = tensors_on(device, {"pixels": pictures}).values()
    with in_inference(module), computing_in(precision, device):
        output = encoder(pixels, output_hidden_states=needs_states, return_dict=True, **_in_order(encoder, pixels))
    states = (output.hidden_states or ()) if needs_states else ()
    named = {f"{STATES}.{i}": state for i, state in enumerate(states)}
    last = getattr(output, "last_hidden_state", states[-1] if states else None)
    return named | ({} if last is None else {PENULTIMATE: last})


def _in_order(encoder: Any, pixels: Any) -> dict[str, Any]:
    """Arguments that keep a masked autoencoder from shuffling its tokens: it sorts them by noise."""
    if "noise" not in inspect.signature(encoder.forward).parameters:
        return {}
    import torch

    size = encoder.config.patch_size
    rows, columns = (size, size) if isinstance(size, int) else size
    tokens = (pixels.shape[2] // rows) * (pixels.shape[3] // columns)
    return {"noise": torch.linspace(0, 1, tokens, device=pixels.device).expand(len(pixels), tokens)}
