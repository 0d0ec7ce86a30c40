"""Loads models of Hugging Face from a directory or the hub's cache, without running code of their own."""

# pyright: reportMissingImports=false

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, shortened
from nrjax._utils.paths import walk_files
from nrjax.models._adapters import merge, read_adapter
from nrjax.models._huggingface_audio import CLASSIFIERS
from nrjax.models._huggingface_build import PAIR_CLASSIFIER, TEXT_TOWERS, build_model, quietly
from nrjax.models._huggingface_cache import find_folder, offline
from nrjax.models._huggingface_flax import find_flax, load_flax
from nrjax.models._huggingface_preparers import Preparers
from nrjax.models._huggingface_sound import SOUND
from nrjax.models._model import Model
from nrjax.models._model_folders import local_folder
from nrjax.models._pooling import check_pooling
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._sentences import sentence_settings
from nrjax.models._static_embedding import load_static
from nrjax.models._torch_runs import on_accelerator


def load_huggingface(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None, pooling: str | None = None,
    device: str | None = None, download: bool = False,
) -> Model:  # fmt: skip
    """A model of a directory, or of the hub's cache. A model of images and texts embeds whichever it gets.

    Args:
      where: a directory (`./vit-tiny`), or a name on the hub (`google/vit-base-patch16-224`).
      base: what a relative directory is relative to.
      preprocessing: of images instead of the model's own.
      pooling: of `POOLINGS`, over the attention mask; None is what `modules.json` of sentence-transformers says, else
        `mean` for texts, and for images what their classifiers use.
      device: that it runs on; None is the fastest.
      download: whether the hub may be asked for a name that its cache does not have.

    Raises:
      ValueError: there is no such model, or none that can be loaded without running code of its own.
    """
    who = f"hf:{where}"
    check_pooling(pooling, who)
    transformers = framework("transformers", who)
    framework("torch", who)
    root = find_folder(where, base, who, download=download)
    sentences = sentence_settings(root if root.is_dir() else None, who)
    if sentences.first == "StaticEmbedding":
        return load_static(root, sentences, shortened(who))
    adapter, adapted = read_adapter(root, who), root
    if adapter is not None:
        where = adapter.base
        root = find_folder(where, base, who, download=download)
        sentences = sentence_settings(root if root.is_dir() else None, who)
    folder = local_folder(str((root / sentences.folder).absolute()) if root.is_dir() else where, base, who)
    is_local = folder is not None
    options = {"trust_remote_code": False, "local_files_only": is_local or not download}
    name = str(folder) if is_local else where
    with quietly(transformers), contextlib.nullcontext() if is_local or download else offline:
        config = _load_config(transformers, name, who, is_local, options)
        module, missing = _load_module(transformers, name, who, options, config, with_classifier=pooling is None)
        if adapter is not None:
            merge(module, adapter, who)
        model = build_model(
            on_accelerator(module, device), Preparers(who, name, options), sentences, root,
            preprocessing=preprocessing, pooling=pooling, missing=missing, source=shortened(who),
        )  # fmt: skip
    model.files = walk_files(root) if folder is not None else ()
    if adapter is not None and folder is not None:
        model.files = (*model.files, *walk_files(adapted))
    return model


def _load_config(transformers: Any, name: str, who: str, is_local: bool, options: Mapping[str, object]) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(name, **options)
    except Exception as error:
        text = str(error)
        if "trust_remote_code" in text:
            raise ValueError(
                f"{who}: it needs code of its own (trust_remote_code), which nrjax never runs; load it yourself and "
                "pass the pair (module, tokenizer) or (module, image_processor)."
            ) from error
        if not is_local:
            raise ValueError(
                f"{who}: it is neither a directory nor in the cache of the hub; download it first (hf download "
                f"{name}), or pass download=True, on the command line --download."
            ) from error
        raise ValueError(f"{who}: config.json is not one that transformers knows: {first_line(error)}") from error


def _load_module(
    transformers: Any, name: str, who: str, options: Mapping[str, object], config: Any, *, with_classifier: bool
) -> tuple[Any, set[str]]:  # fmt: skip
    """The network, on request with its classifier of images or texts, and names of weights that the files lack.

    A classifier of texts whose weights are not there is left out.
    """
    kind = TEXT_TOWERS.get(getattr(config, "model_type", "")) or "AutoModel"
    architectures = getattr(config, "architectures", None) or ()
    is_encoder = any(architecture.endswith("EncoderModel") for architecture in architectures)  # T5 without its decoder
    if is_encoder and type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        kind = "AutoModelForTextEncoding"
    if with_classifier and any("ForImageClassification" in architecture for architecture in architectures):
        kind = "AutoModelForImageClassification"
    is_sound = getattr(config, "model_type", "") in SOUND
    if with_classifier and is_sound and any(architecture.endswith(CLASSIFIERS) for architecture in architectures):
        kind = "AutoModelForAudioClassification"
    elif with_classifier and any(architecture.endswith(PAIR_CLASSIFIER) for architecture in architectures):
        kind = kind if getattr(config, "is_encoder_decoder", False) else f"AutoModel{PAIR_CLASSIFIER}"
    if hasattr(config, "mask_ratio"):  # of an autoencoder, which hides patches while it is trained
        config.mask_ratio = 0.0
    flax = find_flax(name, Path(name).is_dir())
    try:
        if flax is not None:
            module, report = load_flax(getattr(transformers, kind), config, flax)
        else:
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
    for key, parameter in module.named_parameters():
        if key in missing:  # nothing uses it; random numbers would make another fingerprint each time
            parameter.data.zero_()
    return module, missing
