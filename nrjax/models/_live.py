"""A `Model` from a live object of any framework, and its layers."""

import functools
import sys
from collections.abc import Sequence
from typing import Any

from flax import linen as nn
from flax import nnx

from nrjax.models._embedder import from_embedder
from nrjax.models._flax import from_linen, from_nnx
from nrjax.models._layer_choice import Layer
from nrjax.models._load import load_model
from nrjax.models._model import Model

HAIKU = ("Transformed", "TransformedWithState")
PREPARERS = ("PreTrainedTokenizerBase", "ImageProcessingMixin", "FeatureExtractionMixin", "ProcessorMixin")


def as_model(model: object) -> Model:
    """A `Model` from an NNX module, a pair (linen module, variables), a PyTorch or Keras module, or a name.

    An Equinox module stands alone or with its state, a function that Haiku has transformed with its parameters.

    A network of transformers is a pair with its tokenizer, image processor, feature extractor or processor, or the
    model of a pipeline.
    """
    if isinstance(model, Model):
        return model
    model = _without_wrapper(model)
    if isinstance(model, nnx.Module):
        return from_nnx(model)
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], nn.Module):
        return from_linen(*model)
    if isinstance(model, str):
        return load_model(model)
    if (in_jax := _in_jax(model)) is not None:
        return in_jax
    if _is_prepared(model):
        from nrjax.models._huggingface_build import from_parts

        return from_parts(*model) if isinstance(model, tuple) else from_parts(model)
    if _is_instance(model, "transformers", "Pipeline"):
        from nrjax.models._huggingface_build import from_pipeline

        return from_pipeline(model)
    if _is_instance(model, "sentence_transformers", "SentenceTransformer"):
        return from_embedder(functools.partial(_encoded, model))
    if _is_instance(model, "torch", "nn", "Module"):
        from nrjax.models._torch_live import from_torch

        return from_torch(model)
    if _is_instance(model, "keras", "Model"):
        from nrjax.models._keras import from_keras

        return from_keras(model)
    advice = " A function is passed as from_embedder(function)." if callable(model) else ""
    raise TypeError(
        "A model is an nnx.Module, a pair (linen module, variables), an equinox.Module, a tuple (transformed by Haiku, "
        "params), a torch.nn.Module, a pair (network of transformers, tokenizer or processor), a pipeline, a "
        "keras.Model, a name such as timm:resnet18, hf:DIRECTORY, onnx:FILE or keras:FILE, or what load_zoo, "
        f"from_linen, from_nnx, from_function and from_torch return; got {_described(model)}.{advice}"
    )


def _in_jax(model: object) -> Model | None:
    """The model of an Equinox module, a function that Haiku has transformed, or a program of `jax.export`."""
    parts = model if type(model) is tuple else (model,)
    if 1 <= len(parts) <= 2 and _is_instance(parts[0], "equinox", "Module"):
        from nrjax.models._equinox import from_equinox

        return from_equinox(*parts)
    if 2 <= len(parts) <= 3 and any(_is_instance(parts[0], "haiku", kind) for kind in HAIKU):
        from nrjax.models._haiku import from_haiku

        return from_haiku(*parts)
    if type(model).__module__.startswith("jax.") and type(model).__name__ == "Exported":
        from nrjax.models._jax_export import from_export

        return from_export(model)
    return None


def _without_wrapper(model: object) -> Any:
    """A pair whose network was compiled, or is wrapped by PEFT, with the network itself, which has the same layers."""
    if not (isinstance(model, tuple) and len(model) == 2 and _is_instance(model[0], "torch", "nn", "Module")):
        return model
    network: Any = getattr(model[0], "_orig_mod", model[0])  # of torch.compile
    if _is_instance(network, "peft", "PeftModel") and not network.active_peft_config.is_prompt_learning:
        network = network.get_base_model()  # the adapters are in it; prompts would be outside
    return network, model[1]


def _is_prepared(model: object) -> bool:
    """Whether a model is a pair of a network of transformers and what prepares its samples, or one of recordings."""
    if isinstance(model, tuple) and len(model) == 2:
        return _is_instance(model[0], "transformers", "PreTrainedModel") and any(
            _is_instance(model[1], "transformers", kind) for kind in PREPARERS
        )
    if not _is_instance(model, "transformers", "PreTrainedModel"):
        return False
    from nrjax.models._huggingface_sound import SOUND

    network: Any = model
    return getattr(network.config, "model_type", "") in SOUND


def layers(model: object, input_shape: Sequence[int] | None = None) -> list[Layer]:
    """Layers of a model in order of execution, the input first where it is one of numbers.

    Args:
      model: any model that `nrjax.rank` accepts.
      input_shape: of one sample; needed if the model does not know it.

    Returns:
      Names and shapes (of one sample). A layer is selected by its name, by its index in this list (0 the first, -1 the
      last), or as `"penultimate"`, the input of the head.

    Examples:
      >>> [layer.name for layer in nrjax.layers(zoo["F10"])]
      ['input', 'conv1', 'pool1', 'conv2', 'pool2', 'dense', 'logits']
    """
    return as_model(model).layers(input_shape)


def _encoded(encoder: Any, texts: object) -> Any:
    """Embeddings of sentence-transformers; the encoder's mode stays as it is."""
    from nrjax.models._torch_runs import in_inference

    with in_inference(encoder):
        return encoder.encode(texts, show_progress_bar=False)


def _is_instance(model: object, package: str, *path: str) -> bool:
    """Whether a model is an instance of a class of a package, which is imported already where there is an instance."""
    kind = sys.modules.get(package)
    for name in path:
        kind = getattr(kind, name, None)
    return isinstance(kind, type) and isinstance(model, kind)


def _described(model: object) -> str:
    """The type of what is no model; of a tuple those of its parts."""
    if isinstance(model, tuple):
        return f"({', '.join(type(part).__name__ for part in model[:5])})"
    return type(model).__name__
