"""Files of GGUF that embed texts, run by llama.cpp."""

# pyright: reportMissingImports=false

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.datasets import Pair, Word
from nrjax.models._code import version_of
from nrjax.models._embedder import EmbeddingModel
from nrjax.models._model import Description, Inputs, Precision
from nrjax.models._pairs import prepare_apart
from nrjax.models._truncation import TruncatedTexts

MAGIC = b"GGUF"
POOLINGS = {"mean": 1, "cls": 2, "last": 3}  # of llama.cpp
STATED, NO_POOLING = -1, 0  # as the file says; of a network that was made to write texts
LONGEST = 2048  # tokens; the memory of a longer context would exceed that of the weights
PROBE = 64  # tokens of the context in which a file is looked at


class GgufModel(EmbeddingModel):
    """Texts as llama.cpp embeds them, pooled as the file says; words and pairs are texts, too.

    The vectors are not brought to unit length.
    """

    pure = True

    def __init__(self, runtime: Any, path: Path, pooling: str | None, source: str):
        self._runtime, self.files, self.pooling = runtime, (path,), pooling
        probe = self._open(PROBE, STATED)
        metadata, stated = probe.metadata, probe.pooling_type()
        length = int(metadata.get(f"{metadata.get('general.architecture')}.context_length", LONGEST))
        parameters = runtime.llama_model_n_params(probe.model)
        probe.close()
        if stated not in (NO_POOLING, *POOLINGS.values()):
            raise ValueError(f"{source}: it judges pairs of texts; expected one that embeds texts.")
        self._longest = min(length, LONGEST)
        self._pooling = POOLINGS[pooling] if pooling else stated or POOLINGS["mean"]
        self._model = self._open(self._longest, self._pooling)
        self._dims = self._model.n_embd()
        self.inputs = Inputs("text", None, f"llama.cpp, {self._longest} tokens", _prepare, others=("words", "pair"))
        license = printable(shortened(metadata.get("general.license", ""), 60))
        self.description = Description(parameters, path.stat().st_size, source, license)
        self._truncated = TruncatedTexts(f"{self._longest:,} tokens")

    def _open(self, longest: int, pooling: int) -> Any:
        return self._runtime.Llama(
            str(self.files[0]), embedding=True, pooling_type=pooling, n_ctx=longest, n_batch=longest, n_ubatch=longest,
            verbose=False,
        )  # fmt: skip

    def _embed_batch(self, batch: Any, precision: Precision) -> np.ndarray:
        if precision != "float32":
            raise ValueError("a GGUF file computes in the precision that it was quantised to; leave precision out.")
        lengths = [len(self._model.tokenize(text.encode())) for text in batch]
        if not all(lengths):
            raise ValueError("an empty text has no tokens for this network; leave it out.")
        self._truncated.add(length > self._longest for length in lengths)
        return np.asarray(self._model.embed(batch), np.float32)

    def pool_by(self, pooling: str) -> None:
        """Pools tokens in another way than the file says."""
        _check_pooling(pooling)
        self._pooling, self.pooling = POOLINGS[pooling], pooling
        self._model = self._open(self._longest, self._pooling)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The file and the pooling."""
        yield f"{version_of('llama_cpp_python')} {self._pooling}"
        yield np.memmap(self.files[0], np.uint8, "r")

    def remarks(self) -> list[str]:
        """The number of texts that were truncated since the last call."""
        return self._truncated.take()


def _prepare(samples: Any) -> Any:
    if isinstance(samples[0], Pair):
        return prepare_apart(samples, lambda texts: texts)
    return [sample.text if isinstance(sample, Word) else sample for sample in samples]


def _check_pooling(pooling: str) -> None:
    if pooling not in POOLINGS:
        raise ValueError(f"pooling of a GGUF file must be of {', '.join(POOLINGS)}; got {pooling!r}.")


def load_gguf(where: str, *, base: Path = Path(), pooling: str | None = None) -> GgufModel:
    """The model of a file `.gguf`.

    Args:
      where: the file.
      base: what a relative file is relative to.
      pooling: `mean`, `cls` or `last`; None is what the file says, and `mean` where it says nothing.

    Raises:
      ValueError: it is missing, damaged, or embeds no texts.
    """
    who = shortened(f"gguf:{where}")
    path = check_regular(base / Path(where).expanduser(), who)
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{who}: it is no GGUF file.")
    if pooling is not None:
        _check_pooling(pooling)
    runtime = framework("llama_cpp", who)
    try:
        return GgufModel(runtime, path, pooling, who)
    except Exception as error:  # whatever llama.cpp makes of a file
        if isinstance(error, ValueError) and str(error).startswith(who):
            raise
        raise ValueError(f"{who}: it is damaged, or llama.cpp cannot run it: {first_line(error)}") from error
