"""A model of Hugging Face from its network and what prepares its samples, of files or live."""

# pyright: reportMissingImports=false

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import printable
from nrjax.models._huggingface import HuggingFaceModel
from nrjax.models._huggingface_audio_load import audio_model
from nrjax.models._huggingface_inputs import processed_images, tokenized_texts
from nrjax.models._huggingface_preparers import Preparers
from nrjax.models._huggingface_sound import SOUND
from nrjax.models._huggingface_towers import TwoTowerModel
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._sentences import Sentences, load_head
from nrjax.models._torch_runs import described

TEXT_TOWERS = {  # types of models that pool by themselves, and their classes
    "clip_text_model": "CLIPTextModel", "siglip_text_model": "SiglipTextModel",
    "siglip2_text_model": "Siglip2TextModel",
}  # fmt: skip
PLAIN = Sentences()  # of a directory that is none of sentence-transformers
PAIR_CLASSIFIER = "ForSequenceClassification"
LOCAL_KEYS = ("transformers_version", "_name_or_path")  # of a configuration: they differ between machines


def build_model(
    module: Any, preparers: Preparers, sentences: Sentences = PLAIN, root: Path = Path(), *,
    preprocessing: Preprocessing | None = None, pooling: str | None = None, missing: Sequence[str] | set[str] = (),
    source: str = "", is_live: bool = False,
) -> Any:  # fmt: skip
    """The model of a network by what it takes: recordings, images and texts, images, or texts.

    Args:
      module: a network of transformers.
      preparers: of its samples.
      sentences: settings of a directory of sentence-transformers.
      root: that directory.
      preprocessing: of images instead of the model's own.
      pooling: as for `load_huggingface`.
      missing: weights that its files lack.
      source: where it comes from.
      is_live: whether it is the user's own.

    Raises:
      ValueError: it takes something else, or an option that it has no use for.
    """
    config, who = module.config, preparers.who
    shared = {"description": described(module, source), "config": _stable_text(config)}
    kind = getattr(module, "main_input_name", "")
    if getattr(config, "model_type", "") in SOUND:
        if preprocessing is not None or pooling not in (None, "mean"):
            raise ValueError(
                f"{who}: it takes recordings, prepared by its feature extractor and averaged over time; leave "
                "preprocessing and pooling out."
            )
        return audio_model(module, preparers.feature_extractor(), **shared, is_live=is_live)
    if hasattr(module, "get_image_features") and hasattr(module, "get_text_features"):
        images = processed_images(preparers, preprocessing, config.vision_config)
        texts = tokenized_texts(preparers, config.text_config, PLAIN)
        return TwoTowerModel(module, images, texts, **shared)
    if kind == "pixel_values":
        inputs = processed_images(preparers, preprocessing, config)
        model = HuggingFaceModel(_encoder(module, config), inputs, pooling, **shared)
        model.pools = not missing and not any("pooler.dense" in name for name, _ in module.named_parameters())
        model.classes = "ForImageClassification" in type(module).__name__
    elif kind == "input_ids":
        if preprocessing is not None:
            raise ValueError(f"{who}: it takes texts, whose tokenizer is its preprocessing; leave yours out.")
        model = _model_of_texts(module, preparers, sentences, pooling, shared)
        model.head = load_head(root, sentences.head, who)
    else:
        raise ValueError(
            f"{who}: it takes {printable(str(kind))}, neither images, texts nor recordings in a way that "
            "is known; give a function, nrjax.from_embedder(function, kind)."
        )
    model.is_live = is_live
    return model


def _model_of_texts(
    module: Any, preparers: Preparers, sentences: Sentences, pooling: str | None, shared: Mapping[str, Any]
) -> HuggingFaceModel:
    config = module.config
    classifier = module if type(module).__name__.endswith(PAIR_CLASSIFIER) else None
    encoder = _encoder(module, config) if classifier is None else module.base_model
    inputs = tokenized_texts(preparers, config, sentences, takes_pairs=classifier is not None)
    is_tower = getattr(config, "model_type", "") in TEXT_TOWERS
    model = HuggingFaceModel(
        encoder, inputs, pooling or sentences.pooling or (None if is_tower else "mean"), **shared
    )  # fmt: skip
    model.pools, model.dims = is_tower, sentences.dims
    model.padding = int(getattr(config, "pad_token_id", None) or 0)
    if classifier is not None:
        model.of_pairs = _pair_model(classifier, encoder, inputs, shared)
        model.of_pairs.padding = model.padding
    return model


def _pair_model(classifier: Any, encoder: Any, inputs: Any, shared: Mapping[str, Any]) -> HuggingFaceModel:
    """A classifier as a model of pairs, whose penultimate layer is what the classifier reads."""
    if hasattr(classifier, "score"):  # of a decoder: a matrix that reads the state of the last token
        return HuggingFaceModel(encoder, inputs, "last", **shared)
    model = HuggingFaceModel(classifier, inputs, "mean", **shared)
    model.classes = True
    return model


def from_parts(module: Any, *given: object) -> Any:
    """A live network with what prepares its samples; its weights, its device and its mode stay as they are.

    Args:
      module: of transformers. A head that is no classifier of images or texts is left out.
      given: a tokenizer, an image processor, a feature extractor, or a processor that holds several. What is not given
        is that beside the files which the network was loaded from.

    Raises:
      ValueError: there are no such files, or it takes something else.
    """
    framework("transformers", "a network of transformers")
    name = str(getattr(module.config, "_name_or_path", "") or "")
    options = {"trust_remote_code": False, "local_files_only": True}
    kind = type(module).__name__
    is_classifier = kind.endswith(PAIR_CLASSIFIER) or "ForImageClassification" in kind
    is_sound = getattr(module.config, "model_type", "") in SOUND
    network = module if is_classifier or is_sound else module.base_model
    preparers = Preparers(f"the {kind}", name, options, given)
    with quietly(framework("transformers", "a network of transformers")):
        return build_model(network, preparers, is_live=True)


def from_pipeline(pipeline: Any) -> Any:
    """The network of a live pipeline of transformers, with its own tokenizer and processors."""
    parts = (pipeline.tokenizer, pipeline.image_processor, pipeline.feature_extractor, pipeline.processor)
    return from_parts(pipeline.model, *(part for part in parts if part is not None))


def _encoder(module: Any, config: Any) -> Any:
    return module.get_encoder() if getattr(config, "is_encoder_decoder", False) else module


def _stable_text(config: Any) -> str:
    """A configuration as text, without what differs between machines and versions."""
    settings = {key: value for key, value in config.to_dict().items() if key not in LOCAL_KEYS}
    return json.dumps(settings, sort_keys=True, default=str)


@contextlib.contextmanager
def quietly(transformers: Any) -> Iterator[None]:
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
