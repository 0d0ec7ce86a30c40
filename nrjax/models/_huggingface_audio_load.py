"""Models of recordings of Hugging Face with their feature extractors, of files or live."""

# pyright: reportMissingImports=false

from typing import Any

from nrjax.models._huggingface_audio import CLASSIFIERS, HuggingFaceAudioModel
from nrjax.models._huggingface_sound import SOUND
from nrjax.models._model import Description
from nrjax.models._torch_runs import described


def audio_model(
    module: Any, extractor: Any, description: Description, config: str, *, is_live: bool = False
) -> HuggingFaceAudioModel:  # fmt: skip
    """A model of a network with or without a head; without a classifier of recordings its encoder alone."""
    sound = SOUND[module.config.model_type](extractor, module.config)
    if not type(module).__name__.endswith(CLASSIFIERS):
        module = module.base_model
        module = getattr(module, "encoder", module) if module.config.model_type == "whisper" else module
        description = described(module, description.source)
    return HuggingFaceAudioModel(module, sound, description, config, is_live=is_live)
