"""Networks of many frameworks as models with named layers; zoos, lists of candidates, and features of samples."""

from nrjax._utils.frameworks import EXTRAS, framework
from nrjax.datasets import Kind
from nrjax.errors import CheckpointError, FingerprintError, LayerError, MissingFramework, ZooError
from nrjax.models._batches import BATCH_SIZE
from nrjax.models._candidates import Candidates
from nrjax.models._checkpoints import load_variables, save_variables
from nrjax.models._cnn import PaperCNN, paper_cnn, same_convolution
from nrjax.models._content import code_of, digest_of
from nrjax.models._embedder import from_embedder
from nrjax.models._extract import check_batch_size, extract_features
from nrjax.models._feature_batches import FeatureBatches
from nrjax.models._features import Extracted, Features
from nrjax.models._flax import from_linen, from_nnx
from nrjax.models._function import from_function
from nrjax.models._hub_search import search_hub, write_list
from nrjax.models._jax import Definition, JaxModel
from nrjax.models._keras import from_keras
from nrjax.models._layer_choice import Layer, LayerChoice
from nrjax.models._live import as_model, layers
from nrjax.models._load import load_model
from nrjax.models._load_candidates import AnyModels, load_candidates
from nrjax.models._model import Description, Inputs, Model, Precision
from nrjax.models._pooling import LAYER_POOLINGS, check_pooling
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._registry import architectures, custom_architectures, register_architecture
from nrjax.models._samples import Samples, check_samples
from nrjax.models._torch_live import from_torch
from nrjax.models._zoo import Zoo, load_zoo, save_model

__all__ = [
    "BATCH_SIZE", "EXTRAS", "LAYER_POOLINGS", "AnyModels", "Candidates", "CheckpointError", "Definition", "Description",
    "Extracted", "FeatureBatches", "Features", "FingerprintError", "Inputs", "JaxModel", "Kind", "Layer", "LayerChoice",
    "LayerError", "MissingFramework", "Model", "PaperCNN", "Precision", "Preprocessing", "Samples", "Zoo", "ZooError",
    "architectures", "as_model", "check_batch_size", "check_pooling", "check_samples", "code_of",
    "custom_architectures", "digest_of", "extract_features", "framework", "from_embedder", "from_function",
    "from_keras", "from_linen", "from_nnx", "from_torch", "layers", "load_candidates", "load_model", "load_variables",
    "load_zoo", "paper_cnn", "register_architecture", "same_convolution", "save_model", "save_variables", "search_hub",
    "write_list",
]  # fmt: skip
