"""What prepares samples for a model of Hugging Face: beside its files, or given with a live one."""

# pyright: reportMissingImports=false

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line

FIX = {  # what is wrong where a file is missing, and what to do
    "AutoImageProcessor": "it has no preprocessor_config.json that can be read ({}); add it, or give preprocessing.",
    "AutoTokenizer": "its tokenizer is missing or cannot be read: {}",
    "AutoFeatureExtractor": "it has no preprocessor_config.json that can be read ({}); add it: "
    "feature_extractor.save_pretrained(folder).",
}
WORDS = {"AutoImageProcessor": "image processor", "AutoTokenizer": "tokenizer",
         "AutoFeatureExtractor": "feature extractor"}  # fmt: skip


class Preparers:
    """The image processor, tokenizer and feature extractor of a model, each looked for when it is needed.

    Args:
      who: what errors name.
      name: a directory or an id; empty for a live model that was not loaded.
      options: of `from_pretrained`.
      given: with a live model; a processor of several kinds has its parts.
    """

    def __init__(self, who: str, name: str, options: Mapping[str, object], given: Sequence[object] = ()):
        self.who, self._name, self._options = who, name, options
        self._transformers = transformers = framework("transformers", who)
        parts = {"AutoTokenizer": "tokenizer", "AutoImageProcessor": "image_processor",
                 "AutoFeatureExtractor": "feature_extractor"}  # fmt: skip
        kinds = {"AutoTokenizer": transformers.PreTrainedTokenizerBase,
                 "AutoImageProcessor": transformers.ImageProcessingMixin,
                 "AutoFeatureExtractor": transformers.FeatureExtractionMixin}  # fmt: skip
        self._given: dict[str, Any] = {}
        for thing in given:
            for kind, part in parts.items():
                found = thing if isinstance(thing, kinds[kind]) else getattr(thing, part, None)
                if isinstance(found, kinds[kind]):
                    self._given[kind] = found

    def image_processor(self) -> Any:
        """For images. Raises ValueError, as the others do, where there is none that can be read."""
        return self._part("AutoImageProcessor")

    def feature_extractor(self) -> Any:
        """For recordings."""
        return self._part("AutoFeatureExtractor")

    def tokenizer(self) -> Any:
        """For texts; a copy, whose settings may be changed. It pads on the right."""
        tokenizer = copy.deepcopy(self._part("AutoTokenizer"))
        if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):  # made up where there are no files
            raise ValueError(f"{self.who}: {FIX['AutoTokenizer'].format('it has no vocabulary.')}")
        if tokenizer.pad_token is None:  # such as GPT; the mask hides the padding
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
        tokenizer.padding_side = "right"  # padding on this side changes no token's position
        return tokenizer

    def _part(self, kind: str) -> Any:
        if kind in self._given:
            return self._given[kind]
        if not self._name:
            what = WORDS[kind]
            raise ValueError(
                f"{self.who} needs its {what}, which is not known: pass the pair (module, {what.replace(' ', '_')})."
            )
        try:
            return getattr(self._transformers, kind).from_pretrained(self._name, **self._options)
        except Exception as error:
            raise ValueError(f"{self.who}: {FIX[kind].format(first_line(error, 120))}") from error
