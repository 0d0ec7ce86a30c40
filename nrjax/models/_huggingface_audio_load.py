"""Loads models of recordings of Hugging Face with their feature extractors, from files or live."""

# pyright: reportMissingImports=false

import json
from collections.abc import Mapping
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line
from nrjax.models._huggingface_audio import CLASSIFIERS, HuggingFaceAudioModel
from nrjax.models._huggingface_sound import SOUND
from nrjax.models._model import Description
from nrjax.models._torch_runs import described


def load_extractor(transformers: Any, name: str, who: str, options: Mapping[str, Any]) -> Any:
    """The feature extractor beside a model.

    Raises:
      ValueError: there is none that can be read.
    """
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(name, **options)
    except Exception as error:
        raise ValueError(
            f"{who}: it has no preprocessor_config.json that can be read ({first_line(error, 120)}); add it: "
            "feature_extractor.save_pretrained(folder)."
        ) from error


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


def from_live(module: Any, extractor: Any = None) -> HuggingFaceAudioModel:
    """A live network; its weights, its device and its training mode stay as they are.

    Args:
      module: of an architecture that is known.
      extractor: its feature extractor; None is the one beside the files that it was loaded from.

    Raises:
      ValueError: it was not loaded from files, or there is no feature extractor beside them.
    """
    transformers = framework("transformers", "a network of recordings")
    who = f"the {type(module).__name__}"
    if extractor is None:
        if not module.config._name_or_path:
            raise ValueError(
                f"{who} needs its feature extractor, which is not known: pass the pair (module, feature_extractor)."
            )
        extractor = load_extractor(transformers, module.config._name_or_path, who, {"local_files_only": True})
    config = json.dumps(module.config.to_dict(), sort_keys=True, default=str)
    return audio_model(module, extractor, described(module, ""), config, is_live=True)
