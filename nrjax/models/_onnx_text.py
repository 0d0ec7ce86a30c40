"""ONNX files that take tokens, with the tokenizer that lies beside them."""

# pyright: reportMissingImports=false

import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable
from nrjax.errors import LayerError
from nrjax.models._code import version_of
from nrjax.models._huggingface_inputs import run_by_length, tokenized_texts
from nrjax.models._huggingface_preparers import Preparers
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name
from nrjax.models._model import Description, Inputs, Model, Precision
from nrjax.models._onnx_graph import Graph
from nrjax.models._onnx_heads import HeadSearch
from nrjax.models._onnx_sessions import NUMPY_TYPES, Sessions
from nrjax.models._pairs import PairBatch, combine
from nrjax.models._pooling import check_pooling
from nrjax.models._sentences import sentence_settings
from nrjax.models._steadiness import ONE_BY_ONE
from nrjax.models._truncation import TruncatedTexts

TOKENS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
EMBEDDING = "sentence_embedding"  # the name of an output that is pooled already
PLACES = (".", "..")  # of the tokenizer, from the folder of the file


class OnnxTextModel(Model):
    """A file of ONNX that takes tokens: tensors by their names, those of tokens pooled.

    Texts of one length run together and without padding, so that none depends on its neighbours.
    """

    classifies = True
    pure = True

    def __init__(self, proto: Any, source: str, folder: Path, device: str | None):
        self._sessions = Sessions(proto, source, device)
        self._proto = proto
        given = self._sessions.inputs
        wrong = [tensor.name for tensor in given if tensor.name not in TOKENS or tensor.type not in NUMPY_TYPES]
        if wrong:
            raise ValueError(
                f"{source}: expected inputs {', '.join(TOKENS)}; it takes {printable(', '.join(wrong[:5]))}, too."
            )
        self._types = {tensor.name: NUMPY_TYPES[tensor.type] for tensor in given}
        place = next((folder / part for part in PLACES if (folder / part / "tokenizer.json").is_file()), folder)
        if not any((place / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt")):
            raise ValueError(
                f"{source}: it takes tokens, and there is no tokenizer beside it; save it there: "
                f"tokenizer.save_pretrained({str(folder)!r})."
            )
        sentences = sentence_settings(place, source)
        if any(kind != "Normalize" for kind, _ in sentences.head):
            kinds = ", ".join(kind for kind, _ in sentences.head)
            raise ValueError(f"{source}: modules.json has {kinds} behind the pooling; export it with the network.")
        self._pooling, self._normalises = sentences.pooling or "mean", bool(sentences.head)
        transformers = framework("transformers", source)
        options = {"trust_remote_code": False, "local_files_only": True}
        try:
            config = transformers.AutoConfig.from_pretrained(place, **options)
        except Exception:  # it is there for the longest text alone
            config = types.SimpleNamespace()
        inputs = tokenized_texts(Preparers(source, str(place), options), config, sentences)
        self.inputs = Inputs("text", None, inputs.preprocessing, inputs.prepare, others=("pair",))
        graph = Graph(self._sessions.onnx, proto)
        self._values, self._one_by_one = graph.values, graph.quantises_batches
        outputs = self._sessions.outputs
        self._main = EMBEDDING if EMBEDDING in outputs else outputs[0]
        self._penultimate = (
            self._main
            if self._main == EMBEDDING
            else HeadSearch(self._sessions.onnx, graph).penultimate() or self._main
        )
        counts = [np.prod(list(tensor.dims), dtype=np.int64) for tensor in proto.graph.initializer]
        self.description = Description(int(np.sum(counts)), proto.ByteSize(), source)
        self._truncated, self._told_once = TruncatedTexts(), False

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """Tensors with a row for every text, or for every token; found by running two texts of one length."""
        batch = self.inputs.prepare(["a", "a"])
        values = self._run(batch, self._values)
        tokens = batch["input_ids"].shape
        return [Layer(name, value.shape[-1:]) for name, value in values.items() if _is_layer(value, tokens)]

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """`[samples, dims]` of every layer, float32 on the host."""
        if precision != "float32":
            raise ValueError("an ONNX file computes in the precision that it was exported in; leave precision out.")
        if isinstance(batch, PairBatch):
            return [combine(features) for features in self.outputs(batch.inputs, layers, precision)]
        names = self._values
        if any(isinstance(layer, int) for layer in layers):
            names = tuple(layer.name for layer in self.layers())
        chosen = [layer_name(layer, names, has_penultimate=True) for layer in layers]
        tensors = [self._penultimate if name == PENULTIMATE else name for name in chosen]

        def run(texts: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            values = self._run(texts, tuple(dict.fromkeys(tensors)))
            return [self._pooled(name, values[name], texts["input_ids"].shape) for name in tensors]

        return run_by_length(self._truncated.add_batch(batch), run, at_once=1 if self._one_by_one else None)

    def _run(self, texts: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        ids = texts["input_ids"]
        others = {
            "token_type_ids": np.zeros_like(ids),
            "position_ids": np.arange(ids.shape[1])[None].repeat(len(ids), 0),
        }
        given = {**others, **texts}
        return self._sessions.run({name: given[name].astype(dtype) for name, dtype in self._types.items()}, names)

    def _pooled(self, name: str, value: np.ndarray, tokens: tuple[int, ...]) -> np.ndarray:
        """A vector for every text; tokens are those of texts of one length."""
        if not _is_layer(value, tokens):
            raise LayerError(f"The tensor {printable(name)!r} has shape {value.shape}, no row for every text or token.")
        value = value.astype(np.float32)
        if value.ndim == 3:
            value = np.concatenate([_pool(value, part) for part in self._pooling.split("+")], axis=1)
        if name == self._main == self._penultimate and name != EMBEDDING and self._normalises:
            value = value / np.linalg.norm(value, axis=1, keepdims=True).clip(1e-12)
        return value

    def pool_by(self, pooling: str) -> None:
        """Pools tokens in another way, and not as sentence-transformers said."""
        check_pooling(pooling, "an ONNX file of texts")
        self._pooling = self.pooling = pooling

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """The graph with its weights, and the pooling; the tokenizer is part of the preprocessing."""
        yield f"{version_of('onnxruntime')} {self._pooling} {self._normalises}"
        yield self._proto.SerializeToString(deterministic=True)

    def remarks(self) -> list[str]:
        """The number of texts that were truncated since the last call; once, that they run one by one."""
        told, self._told_once = self._told_once, True
        return self._truncated.take() + [ONE_BY_ONE] * (self._one_by_one and not told)


def _is_layer(value: Any, tokens: tuple[int, ...]) -> bool:
    """Whether a tensor has a vector for every text, or for every token of every text."""
    shape = np.shape(value)
    is_float = getattr(value, "dtype", np.dtype(int)).kind == "f"
    return is_float and len(shape) in (2, 3) and shape[: len(shape) - 1] == tokens[: len(shape) - 1]


def _pool(state: np.ndarray, pooling: str) -> np.ndarray:
    """One vector for every text without padding; see `POOLINGS`."""
    count = state.shape[1]
    if pooling in ("cls", "last"):
        return state[:, 0 if pooling == "cls" else -1]
    if pooling == "weightedmean":
        return np.average(state, axis=1, weights=np.arange(1, count + 1)).astype(np.float32)
    return state.max(1) if pooling == "max" else state.sum(1) / (count if pooling == "mean" else np.sqrt(count))


def text_model(proto: Any, source: str, folder: Path, device: str | None) -> OnnxTextModel:
    """The model of a file that takes `input_ids`.

    Raises:
      ValueError: other inputs, no tokenizer beside it, or one that cannot be read.
    """
    try:
        return OnnxTextModel(proto, source, folder, device)
    except LayerError as error:
        raise ValueError(f"{source}: {first_line(error)}") from error
