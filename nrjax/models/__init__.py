"""Flax networks: layers by name, checkpoints, registered architectures, zoos; and the features they give."""

from nrjax.models._capture import Trace
from nrjax.models._checkpoints import load_variables, save_variables
from nrjax.models._cnn import PaperCNN, paper_cnn, same_convolution
from nrjax.models._extract import BATCH_SIZE, FeatureBatches, Features, check_images, extract_features
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
from nrjax.models._read import CheckpointError
from nrjax.models._registry import architectures, build_model, register_architecture
from nrjax.models._zoo import ModelInfo, Zoo, ZooError, load_zoo, save_model

__all__ = [
    "BATCH_SIZE",
    "CheckpointError",
    "Definition",
    "FeatureBatches",
    "Features",
    "Layer",
    "LayerChoice",
    "LayerError",
    "Model",
    "ModelInfo",
    "PaperCNN",
    "Preprocessing",
    "Trace",
    "Zoo",
    "ZooError",
    "architectures",
    "as_model",
    "build_model",
    "check_images",
    "choose",
    "extract_features",
    "from_linen",
    "from_nnx",
    "layers",
    "load_variables",
    "load_zoo",
    "paper_cnn",
    "register_architecture",
    "same_convolution",
    "save_model",
    "save_variables",
]
