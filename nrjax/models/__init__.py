"""Flax networks: layers by name, checkpoints, registered architectures."""

from nrjax.models._capture import Trace
from nrjax.models._checkpoints import CheckpointError, load_variables, save_variables
from nrjax.models._cnn import PaperCNN, paper_cnn, same_convolution
from nrjax.models._model import (
    Definition,
    Layer,
    LayerChoice,
    LayerError,
    Model,
    Preprocessing,
    as_model,
    choose,
    from_linen,
    from_nnx,
    layers,
)
from nrjax.models._registry import architectures, build_model, register_architecture

__all__ = [
    "CheckpointError",
    "Definition",
    "Layer",
    "LayerChoice",
    "LayerError",
    "Model",
    "PaperCNN",
    "Preprocessing",
    "Trace",
    "architectures",
    "as_model",
    "build_model",
    "choose",
    "from_linen",
    "from_nnx",
    "layers",
    "load_variables",
    "paper_cnn",
    "register_architecture",
    "same_convolution",
    "save_variables",
]
