"""Inputs of models of Hugging Face: images by their own processors, texts by their own tokenizers."""

# pyright: reportMissingImports=false

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.datasets import Pair, Word
from nrjax.models._huggingface_preparers import Preparers
from nrjax.models._huggingface_words import WordBatch, word_tokenizer
from nrjax.models._image_inputs import image_inputs
from nrjax.models._model import Inputs
from nrjax.models._pairs import PairBatch, prepare_apart
from nrjax.models._position_batches import with_positions
from nrjax.models._preprocessing import Preprocessing, pictures
from nrjax.models._sentences import Sentences
from nrjax.models._truncation import TRUNCATED
from nrjax.models._whole_pictures import whole_pictures

LONGEST = 512  # tokens, where neither tokenizer nor model says
BEHIND_PADDING = (  # types of models whose positions begin behind that of the padding
    "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "data2vec-text", "ibert", "xmod",
    "roberta-prelayernorm", "luke", "markuplm",
)  # fmt: skip


def processed_images(preparers: Preparers, preprocessing: Preprocessing | None, config: Any) -> Inputs:
    """Images by the model's own processor, or by a preprocessing instead."""
    if preprocessing is not None:
        size = getattr(config, "image_size", 224)
        sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
        return image_inputs((*sides, getattr(config, "num_channels", 3)), preprocessing, channels_first=True)
    processor = preparers.image_processor()
    grey = getattr(config, "num_channels", 3) == 1
    options = {"input_data_format": "channels_last"} if grey else {}

    def process(images: list[Any], **steps: Any) -> np.ndarray:
        if grey:
            images = [np.asarray(picture)[..., None] for picture in images]
        batch = processor(images=images, return_tensors="np", **options, **steps)
        if not np.asarray(batch.get("pixel_mask", True)).all():
            raise ValueError(
                f"{preparers.who}: its processor pads images of several sizes to one, which changes what the network "
                "makes of them; bring them to one size: load_dataset(..., image_size=(height, width))."
            )
        return np.asarray(batch["pixel_values"], np.float32)

    settings = {
        key: value for key, value in processor.to_dict().items() if not key.startswith("_") and key != "name_or_path"
    }
    words = f"{type(processor).__name__} {json.dumps(settings, sort_keys=True, default=str)}"
    inputs = Inputs("image", None, words, lambda images: process(pictures(images, grey=grey)))
    whole = whole_pictures(process, settings, grey=grey, who=preparers.who)
    return with_positions(inputs, whole, f"{words}, the whole picture stretched")


def tokenized_texts(
    preparers: Preparers, config: Any, sentences: Sentences, *, takes_pairs: bool = False
) -> Inputs:  # fmt: skip
    """Texts by the model's own tokenizer, padded so that features do not depend on the other texts of a batch.

    Words come in their sentences, without the prompt of texts. Pairs come as two texts at once to a model that takes
    them so, else as texts of their own.
    """
    tokenizer = preparers.tokenizer()
    positions = getattr(config, "max_position_embeddings", None)
    if positions and getattr(config, "model_type", "") in BEHIND_PADDING:
        positions -= 2
    longest = min(n for n in (sentences.longest, tokenizer.model_max_length, positions, 1 << 30) if n and n > 0)
    longest = LONGEST if longest >= 1 << 20 else longest
    lock = threading.Lock()  # a fast tokenizer's settings are borrowed by one thread at a time
    prepare_words = word_tokenizer(tokenizer, longest, sentences.lower, preparers.who)

    def prepare(samples: Any) -> dict[str, np.ndarray] | WordBatch | PairBatch:
        if isinstance(samples[0], Word):
            return prepare_words(samples)
        if not isinstance(samples[0], Pair):
            return encode(samples)
        return PairBatch(encode(*zip(*samples, strict=True))) if takes_pairs else prepare_apart(samples, encode)

    def encode(*columns: Sequence[str]) -> dict[str, np.ndarray]:
        given = [
            [sentences.prompt + (text.lower() if sentences.lower else text) for text in texts] for texts in columns
        ]
        with lock:
            encoded = tokenizer(*given, padding=True, truncation=True, max_length=longest, return_tensors="np")
            if encoded.is_fast:
                truncated = [bool(encoding.overflowing) for encoding in encoded.encodings]
            else:
                truncated = [len(tokens) > longest for tokens in tokenizer(*given)["input_ids"]]
        arrays = {key: np.asarray(value, np.int64) for key, value in encoded.items()}
        return arrays | {TRUNCATED: np.array(truncated)}

    backend = getattr(tokenizer, "backend_tokenizer", None)
    exact = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    words = f"{type(tokenizer).__name__}, {longest} tokens, {hashlib.sha256(exact.encode()).hexdigest()[:16]}"
    words += f", prompt {sentences.prompt!r}" * bool(sentences.prompt) + ", lower case" * sentences.lower
    words += ", pairs at once" * takes_pairs
    return Inputs("text", None, words, prepare, others=("words", "pair"))


def run_by_length(
    batch: Mapping[str, np.ndarray], run: Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]],
    at_once: int | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """Results of `run` in the order of the batch; texts of one length run together and without padding.

    Args:
      batch: tokens and their mask.
      run: from tokens of one length to results.
      at_once: texts at most; None takes any number.
    """
    lengths = batch["attention_mask"].sum(axis=1)
    equal = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
    parts = [part for rows in equal for part in np.split(rows, range(at_once or len(rows), len(rows), at_once or 1))]
    results = [run(without_padding(batch, rows)) for rows in parts]
    order = np.argsort(np.concatenate(parts))
    return [np.concatenate(arrays)[order] for arrays in zip(*results, strict=True)]


def without_padding(batch: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Texts of one length without their padding."""
    length = int(batch["attention_mask"][rows[0]].sum())
    return {name: value[rows] if value.ndim == 1 else value[rows, :length] for name, value in batch.items()}
