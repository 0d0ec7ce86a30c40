"""Loads models of Hugging Face from a directory or the hub's cache, without running code of their own."""

# pyright: reportMissingImports=false

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import walk_files
from nrjax.models._huggingface import HuggingFaceModel
from nrjax.models._huggingface_audio import CLASSIFIERS
from nrjax.models._huggingface_audio_load import audio_model, load_extractor
from nrjax.models._huggingface_inputs import processed_images, tokenized_texts
from nrjax.models._huggingface_sound import SOUND
from nrjax.models._huggingface_towers import TwoTowerModel
from nrjax.models._model import Model
from nrjax.models._model_folders import local_folder
from nrjax.models._pooling import POOLINGS, Sentences, sentence_settings
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._torch_runs import described, on_accelerator

TEXT_TOWERS = {  # types of models that pool by themselves, and their classes
    "clip_text_model": "CLIPTextModel", "siglip_text_model": "SiglipTextModel",
    "siglip2_text_model": "Siglip2TextModel",
}  # fmt: skip
PAIR_CLASSIFIER = "ForSequenceClassification"
LOCAL_KEYS = ("transformers_version", "_name_or_path")  # of a configuration: they differ between machines


def load_huggingface(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None, pooling: str | None = None,
    download: bool = False,
) -> Model:  # fmt: skip
    """A model of a directory, or of the hub's cache. A model of images and texts embeds whichever it gets.

    Args:
      where: a directory (`./vit-tiny`), or a name on the hub (`google/vit-base-patch16-224`).
      base: what a relative directory is relative to.
      preprocessing: of images instead of the model's own.
      pooling: `mean` (over the attention mask), `cls`, `last` or `max`; None is what `modules.json` of
        sentence-transformers says, else `mean` for texts, and for images what their classifiers use.
      download: whether the hub may be asked for a name that its cache does not have.

    Raises:
      ValueError: there is no such model, or none that can be loaded without running code of its own.
    """
    who = f"hf:{where}"
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(f"{who}: pooling must be of {', '.join(POOLINGS)}; got {pooling!r}.")
    transformers = framework("transformers", who)
    framework("torch", who)
    folder = local_folder(where, base, who)
    is_local = folder is not None
    options = {"trust_remote_code": False, "local_files_only": is_local or not download}
    name = str(folder) if is_local else where
    with _quietly(transformers):
        config = _load_config(transformers, name, who, is_local, options)
        module, missing = _load_module(transformers, name, who, options, config, with_classifier=pooling is None)
        shared = {"description": described(module, shortened(who)), "config": _stable_text(config)}
        kind = getattr(module, "main_input_name", "")
        if getattr(config, "model_type", "") in SOUND:
            if preprocessing is not None or pooling not in (None, "mean"):
                raise ValueError(
                    f"{who}: it takes recordings, prepared by its feature extractor and averaged over time; leave "
                    "preprocessing and pooling out."
                )
            extractor = load_extractor(transformers, name, who, options)
            model: Any = audio_model(module, extractor, **shared)
        elif hasattr(module, "get_image_features") and hasattr(module, "get_text_features"):
            images = processed_images(transformers, name, who, options, preprocessing, config.vision_config)
            texts = tokenized_texts(transformers, name, who, options, config.text_config, Sentences())
            model = TwoTowerModel(module, images, texts, **shared)
        elif kind == "pixel_values":
            inputs = processed_images(transformers, name, who, options, preprocessing, config)
            model = HuggingFaceModel(_encoder(module, config), inputs, pooling, False, **shared)
            model.pools = not missing and not any("pooler.dense" in name for name, _ in module.named_parameters())
            model.classes = "ForImageClassification" in type(module).__name__
        elif kind == "input_ids":
            if preprocessing is not None:
                raise ValueError(f"{who}: it takes texts, whose tokenizer is its preprocessing; leave yours out.")
            sentences = sentence_settings(folder, who)
            classifier = module if type(module).__name__.endswith(PAIR_CLASSIFIER) else None
            encoder = _encoder(module, config) if classifier is None else module.base_model
            inputs = tokenized_texts(
                transformers, name, who, options, config, sentences, takes_pairs=classifier is not None
            )
            is_tower = getattr(config, "model_type", "") in TEXT_TOWERS
            pooling = pooling or sentences.pooling or (None if is_tower else "mean")
            model = HuggingFaceModel(encoder, inputs, pooling, sentences.normalise, **shared)
            model.pools, model.dims = is_tower, sentences.dims
            model.padding = int(getattr(config, "pad_token_id", None) or 0)
            if classifier is not None:
                model.of_pairs = _pair_model(classifier, encoder, inputs, shared)
                model.of_pairs.padding = model.padding
        else:
            raise ValueError(
                f"{who}: it takes {printable(str(kind))}, neither images, texts nor recordings in a way that "
                "is known; give a function, nrjax.from_embedder(function, kind)."
            )
    model.files = walk_files(folder) if folder is not None else ()
    return model


def _pair_model(classifier: Any, encoder: Any, inputs: Any, shared: Mapping[str, Any]) -> HuggingFaceModel:
    """A classifier as a model of pairs, whose penultimate layer is what the classifier reads."""
    if hasattr(classifier, "score"):  # of a decoder: a matrix that reads the state of the last token
        return HuggingFaceModel(encoder, inputs, "last", False, **shared)
    model = HuggingFaceModel(classifier, inputs, "mean", False, **shared)
    model.classes = True
    return model


def _load_config(transformers: Any, name: str, who: str, is_local: bool, options: Mapping[str, Any]) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(name, **options)
    except Exception as error:
        text = str(error)
        if "trust_remote_code" in text:
            raise ValueError(
                f"{who}: it needs code of its own (trust_remote_code), which nrjax never runs; load it yourself and "
                "pass nrjax.from_torch(module), or for texts nrjax.from_embedder(function_of_texts, 'text')."
            ) from error
        if not is_local:
            raise ValueError(
                f"{who}: it is neither a directory nor in the cache of the hub; download it first (hf download "
                f"{name}), or pass download=True, on the command line --download."
            ) from error
        raise ValueError(f"{who}: config.json is not one that transformers knows: {first_line(error)}") from error


def _load_module(
    transformers: Any, name: str, who: str, options: Mapping[str, Any], config: Any, *, with_classifier: bool
) -> tuple[Any, set[str]]:  # fmt: skip
    """The network, on request with its classifier of images or texts, and names of weights that the files lack.

    A classifier of texts whose weights are not there is left out.
    """
    kind = TEXT_TOWERS.get(getattr(config, "model_type", "")) or "AutoModel"
    architectures = getattr(config, "architectures", None) or ()
    if with_classifier and any(architecture.endswith("ForImageClassification") for architecture in architectures):
        kind = "AutoModelForImageClassification"
    is_sound = getattr(config, "model_type", "") in SOUND
    if with_classifier and is_sound and any(architecture.endswith(CLASSIFIERS) for architecture in architectures):
        kind = "AutoModelForAudioClassification"
    elif with_classifier and any(architecture.endswith(PAIR_CLASSIFIER) for architecture in architectures):
        kind = kind if getattr(config, "is_encoder_decoder", False) else f"AutoModel{PAIR_CLASSIFIER}"
    if hasattr(config, "mask_ratio"):  # of an autoencoder, which hides patches while it is trained
        config.mask_ratio = 0.0
    try:
        module, report = getattr(transformers, kind).from_pretrained(
            name, config=config, use_safetensors=True, output_loading_info=True, dtype="float32", **options
        )
    except Exception as error:
        raise ValueError(f"{who}: its weights cannot be loaded: {first_line(error)}") from error
    missing = set(report["missing_keys"])
    unused = "masked_spec_embed"  # of speech, in training alone
    wrong = [key for key in sorted(missing) if not key.startswith("pooler.") and not key.endswith(unused)]
    if wrong and kind.endswith(PAIR_CLASSIFIER):
        return _load_module(transformers, name, who, options, config, with_classifier=False)
    wrong += [str(key[0] if isinstance(key, tuple) else key) for key in report.get("mismatched_keys", ())]
    if wrong:
        raise ValueError(f"{who}: its weights do not fit the architecture: {', '.join(wrong[:5])} would be random.")
    return on_accelerator(module), missing


def _encoder(module: Any, config: Any) -> Any:
    return module.get_encoder() if getattr(config, "is_encoder_decoder", False) else module


def _stable_text(config: Any) -> str:
    """A configuration as text, without what differs between machines and versions."""
    settings = {key: value for key, value in config.to_dict().items() if key not in LOCAL_KEYS}
    return json.dumps(settings, sort_keys=True, default=str)


@contextlib.contextmanager
def _quietly(transformers: Any) -> Iterator[None]:
    """Without bars and advice on stderr; errors are raised."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
