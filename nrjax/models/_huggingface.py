"""Models of Hugging Face: encoders of images and texts, pooled layer by layer."""

# pyright: reportMissingImports=false

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax.models._batches import ACCELERATED
from nrjax.models._code import version_of
from nrjax.models._content import code_of
from nrjax.models._framework_content import hooks_of_all_modules
from nrjax.models._huggingface_inputs import run_by_length, without_padding
from nrjax.models._huggingface_maps import maps_of, position_vectors, run_encoder
from nrjax.models._huggingface_words import ROWS, WordBatch, WordRemarks, piece_states, word_vectors
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice, layer_name
from nrjax.models._model import Description, Inputs, Model, Precision
from nrjax.models._pairs import PairBatch, combine
from nrjax.models._pooling import check_pooling, pool
from nrjax.models._position_batches import PositionBatch
from nrjax.models._steadiness import PADDED, relative_difference
from nrjax.models._torch_calls import Call, record_calls
from nrjax.models._torch_heads import find_averaged_heads, find_dense, find_head
from nrjax.models._torch_runs import computing_in, in_inference, is_accelerated, tensors_on, weight_parts
from nrjax.models._truncation import TRUNCATED, TruncatedTexts

POOLED = "pooled"
SHORT = 4  # tokens of a text that is padded to see whether that changes its features; one of half the length is, too


class HuggingFaceModel(Model):
    """An encoder: every hidden state pooled over tokens or places, and the pooled last one as the penultimate layer.

    Attributes:
      pools: whether the network's own pooled output is what its classifiers read, and not a head that is untrained.
      classes: whether it has a classifier; the penultimate layer is then what that reads.
      padding: the id of the token that texts are padded with.
      dims: of an embedding that is cut; None cuts nothing.
      head: modules of sentence-transformers behind the pooling; None where there are none.
      is_live: whether the module is the user's own, whose code and hooks are part of it.
      of_pairs: its classifier of texts, which takes pairs at once; None combines the vectors of both texts.
    """

    pools = False
    classes = False
    padding = 0
    dims: int | None = None
    head: Any = None
    is_live = False
    of_pairs: "HuggingFaceModel | None" = None

    def __init__(
        self, module: Any, inputs: Inputs, pooling: str | None, description: Description, config: str
    ):  # fmt: skip
        self.module, self.inputs, self.description = module, inputs, description
        self._pooling, self._config = pooling, config
        parameters = inspect.signature(module.forward).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        self._takes = None if takes_all else set(parameters)
        has_cls = any(name.endswith("cls_token") for name, _ in module.named_parameters())
        self._default = "cls" if has_cls else "mean"  # of images, where the network does not pool itself
        self._layers: list[Layer] | None = None
        self._truncated = TruncatedTexts()
        self._heads: tuple[str, ...] | None = None  # of the classifier, as the first batch showed them
        self._told_padding = False
        self._word_remarks = WordRemarks()
        self._head_remark = ""
        self._mixes: bool | None = None  # whether the padding of a batch changes texts; None is not known yet

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """`hidden_states.0`, the embeddings, to the last, and `pooled`; found by running one sample."""
        if self._layers is None:
            is_text = self.inputs.kind == "text"
            size = tuple(input_shape or self.inputs.shape or (224, 224, 3))
            batch = self.inputs.prepare(["a"] if is_text else [np.zeros(size, np.uint8)])
            outputs = self._run(batch, "float32")
            self._layers = [Layer(name, tuple(output().shape[1:])) for name, output in outputs.items()]
        return self._layers

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> list[np.ndarray]:
        """`[samples, dims]` of every layer, float32 on the host."""
        if isinstance(batch, WordBatch):
            return self._word_features(batch, layers, precision)
        if isinstance(batch, PairBatch):
            if self.of_pairs is not None:
                return self.of_pairs.outputs(batch.inputs, layers, precision)
            return [combine(features) for features in self.outputs(batch.inputs, layers, precision)]
        if isinstance(batch, PositionBatch):
            return position_vectors(self.module, batch, layers, precision, POOLED)
        if isinstance(batch, Mapping):
            batch = self._truncated.add_batch(batch)
        if not isinstance(batch, Mapping) or "attention_mask" not in batch:
            return self._features(batch, layers, precision)
        if self._mixes is None:
            self._mixes = self._is_changed_by_padding(batch)
        if not self._mixes:
            return self._features(batch, layers, precision)
        return run_by_length(batch, lambda texts: self._features(texts, layers, precision))

    def map_layers(self, batch: Any) -> list[str]:
        """Layers with a map."""
        outputs = run_encoder(self.module, batch.pictures[:1], "float32")
        return maps_of(self.module, outputs, batch, POOLED).with_map

    def _word_features(
        self, batch: WordBatch, layers: Sequence[LayerChoice], precision: Precision
    ) -> list[np.ndarray]:  # fmt: skip
        self._word_remarks.add(batch)
        if self._mixes is None:
            self._mixes = self._is_changed_by_padding(batch.tokens)

        def run(tokens: dict[str, np.ndarray], rows: np.ndarray, places: np.ndarray) -> list[np.ndarray]:
            pool_words = functools.partial(piece_states, rows=rows, places=places)
            return self._features(tokens, layers, precision, pool_words)

        rows = ROWS * (ACCELERATED if self.accelerated else 1)
        return word_vectors(batch, run, by_length=bool(self._mixes), rows=rows)

    def _features(
        self, batch: Any, layers: Sequence[LayerChoice], precision: Precision,
        pool_words: Callable[[Any, Any], Any] | None = None,
    ) -> list[np.ndarray]:  # fmt: skip
        needs_states = any(layer not in (PENULTIMATE, POOLED) for layer in layers)
        outputs = self._run(batch, precision, needs_states, pool_words)
        names = [layer_name(layer, list(outputs), has_penultimate=True) for layer in layers]
        with framework("torch", "Hugging Face").inference_mode():
            return [outputs[POOLED if name == PENULTIMATE else name]().float().cpu().numpy() for name in names]

    def _is_changed_by_padding(self, batch: Mapping[str, np.ndarray]) -> bool | None:
        """Whether a text has other features beside a longer one than alone; None where no text is long enough."""
        lengths = batch["attention_mask"].sum(axis=1)
        if lengths.max() < 2 * SHORT:
            return None
        longest = int(lengths.argmax())
        for length in dict.fromkeys((SHORT, int(lengths.max()) // 2 + 1)):
            pair = {name: np.array(value[[longest, longest]]) for name, value in batch.items()}
            pair["attention_mask"][1, length:] = 0
            pair["input_ids"][1, length:] = self.padding
            alone, padded = (
                self._features(texts, [PENULTIMATE], "float32")[0][-1]
                for texts in (without_padding(pair, np.array([1])), pair)
            )
            if relative_difference(alone, padded) > PADDED:
                return True
        return False

    def pool_by(self, pooling: str) -> None:
        """Pools tokens in another way, and not as the model itself does; see `POOLINGS`."""
        check_pooling(pooling, "a network of Hugging Face")
        self._pooling = self.pooling = pooling
        if self.classes:  # what its classifier reads is its own pooling
            self.module, self.classes, self._layers = self.module.base_model, False, None

    def blocks(self) -> list[str]:
        """The transformer's layers, without the embeddings."""
        names = [layer.name for layer in self.layers() if layer.name != POOLED]
        widths = {layer.name: layer.dims for layer in self.layers()}
        return [name for name in names[1:] if widths[name] == widths[names[-1]]]

    @property
    def accelerated(self) -> bool:
        """Whether the module is anywhere but on the CPU."""
        return is_accelerated(self.module)

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Configuration, pooling, weights; the tokenizer is part of the preprocessing."""
        yield f"{self._config}\n{self._pooling} {self._default} {self.pools} {self.classes}"
        yield f"{self.head} {self.dims}"
        yield version_of("transformers")
        yield from weight_parts(self.module if self.of_pairs is None else self.of_pairs.module)
        yield from weight_parts(self.head) if self.head is not None else ()
        if self.is_live:
            yield from code_of(self.module, hooks_of_all_modules())

    def remarks(self) -> list[str]:
        """The number of texts that were truncated since the last call; once, other heads, and what padding changes."""
        remarks = self._word_remarks.take() + (self.of_pairs.remarks() if self.of_pairs else [])
        remarks += self._truncated.take()
        if self._head_remark:
            remarks, self._head_remark = [*remarks, self._head_remark], ""
        if self._mixes and not self._told_padding:
            self._told_padding = True
            remarks.append("padding changes what it makes of a text, so that texts of one length run together.")
        return remarks

    def _run(
        self, batch: Mapping[str, np.ndarray] | np.ndarray, precision: Precision, needs_states: bool = True,
        pool_words: Callable[[Any, Any], Any] | None = None,
    ) -> dict[str, Callable[[], Any]]:  # fmt: skip
        """Functions that pool the layers, by name: all, or the last; only requested layers are pooled.

        With `pool_words` that pools a state, by the mask, instead of what pools texts.
        """
        arrays = dict(batch) if isinstance(batch, Mapping) else {"pixel_values": batch}
        arrays.pop(TRUNCATED, None)
        device = next(self.module.parameters()).device
        taken = {name: array for name, array in arrays.items() if self._takes is None or name in self._takes}
        tensors = tensors_on(device, taken)
        first = next(iter(tensors.values()))
        recorded, heads = self.module if self.classes else None, self._heads or ()
        with (
            in_inference(self.module),
            computing_in(precision, device),
            record_calls(recorded, len(first), heads[0] if len(heads) == 1 else None) as calls,
        ):
            output = self.module(**tensors, output_hidden_states=needs_states, return_dict=True)
        if self.classes and self._heads is None:
            heads = self._find_heads(calls, _logits_of(output), first)
        reads = [call.given.flatten(1) for call in calls if call.name in heads]
        read = sum(reads) / len(reads) if reads else None
        mask = tensors.get("attention_mask")
        pooling = self._pooling or self._default
        states = output.hidden_states if needs_states else ()
        pool_state = pool_words or functools.partial(pool, pooling=pooling)
        layers = {f"hidden_states.{i}": functools.partial(pool_state, state, mask) for i, state in enumerate(states)}
        if pool_words:
            return {**layers, POOLED: lambda: pool_words(output.last_hidden_state, mask)}
        return {**layers, POOLED: lambda: self._penultimate(output, read, mask)}

    def _find_heads(self, calls: Sequence[Call], logits: Any, batch: Any) -> tuple[str, ...]:
        """Names of the classifier, or of several whose logits are averaged; with what there is to say of them."""
        if self.module.config.num_labels == 0:  # the network answers with what a classifier would read
            self._heads = ()
            return ()
        head = find_head(calls, logits, batch)
        heads = [head] if head else find_averaged_heads(calls, logits, batch)
        unknown = [] if heads else [find_dense(calls, logits)]
        found = tuple(name for name in (*heads, *unknown) if name)
        if bool((batch != batch[:1]).any()):  # equal samples do not tell a head
            self._heads = found
            taken = f"the mean of what {' and '.join(found)} read" if len(found) > 1 else (
                f"what {found[0]} reads" if found else "its logits, for no head was found,"
            )  # fmt: skip
            if len(heads) != 1:
                self._head_remark = f"its logits are made of several heads, or in an unknown way; {taken} is taken."
        return found

    def _penultimate(self, output: Any, read: Any, mask: Any) -> Any:
        """The penultimate layer `[samples, dims]`; `read` is what the classifier read, as far as that is known."""
        if self.classes:
            return (_logits_of(output) if read is None else read).flatten(1)
        pooler_output: Any = getattr(output, "pooler_output", None)
        if self._pooling is None and self.pools and pooler_output is not None:  # what classifiers read
            return pooler_output.flatten(1)
        embedding = pool(output.last_hidden_state, mask, self._pooling or self._default)
        if self.head is not None:
            embedding = self.head(embedding)
        return embedding[:, : self.dims]


def _logits_of(output: Any) -> Any:
    """The logits of a classifier, which some call otherwise."""
    return output.logits if getattr(output, "logits", None) is not None else output[0]
