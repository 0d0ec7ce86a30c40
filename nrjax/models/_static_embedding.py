"""Static embeddings of sentence-transformers and model2vec: the mean of a table's rows, one for each token."""

# pyright: reportMissingImports=false

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line
from nrjax._utils.paths import walk_files
from nrjax.datasets import Pair, Word
from nrjax.models._embedder import EmbeddingModel
from nrjax.models._model import Inputs, Precision
from nrjax.models._model_folders import check_files
from nrjax.models._pairs import prepare_apart
from nrjax.models._sentences import Sentences, load_head, read_state
from nrjax.models._torch_runs import computing_in, described, in_inference, weight_parts

TABLES = ("embedding.weight", "embeddings")  # of sentence-transformers, of model2vec


class StaticEmbedding(EmbeddingModel):
    """Texts as the mean of their tokens' rows, then what stands behind it; words and pairs are texts, too."""

    def __init__(self, module: Any, tokenizer: Any, sentences: Sentences, source: str):
        self.module, self._tokenizer, self._sentences = module, tokenizer, sentences
        self.description = described(module, source)
        digest = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]
        words = f"tokens {digest}" + f", prompt {sentences.prompt!r}" * bool(sentences.prompt)
        self.inputs = Inputs("text", None, words, self._prepare, others=("words", "pair"))

    def _prepare(self, samples: Any) -> Any:
        if isinstance(samples[0], Pair):
            return prepare_apart(samples, self._prepare)
        texts = [sample.text if isinstance(sample, Word) else self._sentences.prompt + sample for sample in samples]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def _embed_batch(self, batch: Any, precision: Precision) -> np.ndarray:
        import torch

        starts = np.cumsum([0, *map(len, batch[:-1])])
        ids = torch.tensor([token for tokens in batch for token in tokens], dtype=torch.long)
        with in_inference(self.module), computing_in(precision, torch.device("cpu")):
            embedding = self.module[0](ids, torch.from_numpy(starts))
            return self.module[1:](embedding)[:, : self._sentences.dims].float().numpy()

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Modules and weights; the tokenizer is part of the preprocessing."""
        yield f"{self.module} {self._sentences.dims}"
        yield from weight_parts(self.module)


def load_static(folder: Path, sentences: Sentences, who: str) -> StaticEmbedding:
    """The model of a directory whose `modules.json` begins with a `StaticEmbedding`.

    Raises:
      ValueError: files that are missing or damaged.
    """
    torch, tokenizers = framework("torch", who), framework("tokenizers", who)
    check_files(folder, who)
    place = folder / sentences.folder
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))
        state = read_state(place)
        table = next(state[name] for name in TABLES if name in state).float()
        bag = torch.nn.EmbeddingBag.from_pretrained(table)
    except Exception as error:  # tokenizers raises nothing narrower
        raise ValueError(
            f"{who}: StaticEmbedding: tokenizer.json or model.safetensors cannot be read: {first_line(error)}"
        ) from error
    tokenizer.no_padding()
    head = load_head(folder, sentences.head, who)
    module = torch.nn.Sequential(bag, *(head or ())).requires_grad_(False)
    model = StaticEmbedding(module, tokenizer, sentences, who)
    model.files = walk_files(folder)
    model.pure = True
    return model
