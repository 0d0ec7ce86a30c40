"""Models of Hugging Face: encoders of images and texts, pooled layer by layer."""

# pyright: reportMissingImports=false

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.models._code import version_of
from nrjax.models._frameworks import framework
from nrjax.models._huggingface_inputs import in_lengths, unpadded
from nrjax.models._model import (
    PENULTIMATE,
    Description,
    Inputs,
    Layer,
    LayerChoice,
    Model,
    Precision,
    arrays_of,
    named_layer,
)
from nrjax.models._pooling import pooled
from nrjax.models._torch_heads import calls_of, head_of, shared_head
from nrjax.models._torch_runs import (
    computing_in,
    in_inference,
    is_accelerated,
    numpy_of,
)

POOLED = "pooled"
SHORT, PADDED = 4, 5e-3  # tokens of a text that is padded to see whether that changes it, and by how much it may


class HuggingFaceModel(Model):
    """An encoder: every hidden state pooled over tokens or places, and the pooled last one as the penultimate layer.

    Attributes:
      pools: whether the network's own pooled output is what its classifiers read, and not a head that is untrained.
      classes: whether it has a classifier, what that reads being the penultimate layer.
      padding: the id of the token that texts are padded with.
      dims: of an embedding that is cut; None cuts nothing.
    """

    pools = False
    classes = False
    padding = 0
    dims: int | None = None

    def __init__(
        self, module: Any, inputs: Inputs, pooling: str | None, normalise: bool, description: Description, config: str
    ):
        self.module, self.inputs, self.description = module, inputs, description
        self._pooling, self._normalise, self._config = pooling, normalise, config
        taken = inspect.signature(module.forward).parameters
        self._takes = None if any(one.kind is one.VAR_KEYWORD for one in taken.values()) else set(taken)
        tokens = any(name.endswith("cls_token") for name, _ in module.named_parameters())
        self._default = "cls" if tokens else "mean"  # of images, where the network does not pool itself
        self._layers: list[Layer] | None = None
        self.cut, self.seen = 0, 0  # texts that were truncated, and all
        self._head: str | None = None  # of the classifier, as the first batch showed it
        self._said = False
        self._alone: bool | None = None  # whether texts of other lengths beside them change texts

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """`hidden_states.0`, the embeddings, to the last, and `pooled`; found by sending one sample through."""
        if self._layers is None:
            text = self.inputs.kind == "text"
            size = tuple(input_shape or self.inputs.shape or (224, 224, 3))
            seen, cut = self.seen, self.cut
            found = self._run(self.inputs.prepare(["a"] if text else [np.zeros(size, np.uint8)]), "float32")
            self.seen, self.cut = seen, cut
            self._layers = [Layer(name, tuple(value().shape[1:])) for name, value in found.items()]
        return self._layers

    def outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision = "float32") -> Sequence[Any]:
        """Of every layer `[samples, dims]`, float32 on the host."""
        if not isinstance(batch, Mapping) or "attention_mask" not in batch:
            return self._outputs(batch, layers, precision)
        if self._alone is None:
            self._alone = self._changes_with_neighbours(batch)
        if not self._alone:
            return self._outputs(batch, layers, precision)
        return in_lengths(batch, lambda texts: self._outputs(texts, layers, precision))

    def _outputs(self, batch: Any, layers: Sequence[LayerChoice], precision: Precision) -> list[np.ndarray]:
        all_of_them = any(layer not in (PENULTIMATE, POOLED) for layer in layers)
        found = self._run(batch, precision, all_of_them)
        names = [named_layer(layer, list(found), has_penultimate=True) for layer in layers]
        with framework("torch", "Hugging Face").inference_mode():
            return [found[POOLED if name == PENULTIMATE else name]().float().cpu().numpy() for name in names]

    def _changes_with_neighbours(self, batch: Mapping[str, np.ndarray]) -> bool | None:
        """Whether a text is another beside a longer one than alone; None where no text is long enough to tell."""
        lengths = batch["attention_mask"].sum(axis=1)
        if lengths.max() < 2 * SHORT:
            return None
        long = int(lengths.argmax())
        both = {name: np.array(value[[long, long]]) for name, value in batch.items() if name != "truncated"}
        both["attention_mask"][1, SHORT:] = 0
        both["input_ids"][1, SHORT:] = self.padding
        alone, beside = (
            self._outputs(texts, [PENULTIMATE], "float32")[0][-1] for texts in (unpadded(both, np.array([1])), both)
        )
        return bool(np.abs(alone - beside).max() > PADDED * np.abs(alone).max())

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
        yield f"{self._normalise} {self.dims}"
        yield version_of("transformers")
        yield from arrays_of({name: numpy_of(value) for name, value in self.module.state_dict().items()})

    def remarks(self) -> list[str]:
        """How many texts were truncated since the last time."""
        cut, seen, self.cut, self.seen = self.cut, self.seen, 0, 0
        remarks = [f"{cut:,} of {seen:,} texts are longer than the model takes and were truncated."] if cut else []
        if self._alone and not self._said:
            self._said = True
            remarks.append("padding changes what it makes of a text, so that texts of one length run together.")
        return remarks

    def _run(
        self, batch: Mapping[str, np.ndarray] | np.ndarray, precision: Precision, all_of_them: bool = True
    ) -> dict[str, Any]:  # fmt: skip
        """What pools each layer, by name: all, or the last; only layers that are asked for are pooled."""
        torch = framework("torch", "Hugging Face")
        device = next(self.module.parameters()).device
        named = dict(batch) if isinstance(batch, Mapping) else {"pixel_values": batch}
        if "truncated" in named:
            self.cut += int(named.pop("truncated").sum())
            self.seen += len(named["input_ids"])
        named = {name: value for name, value in named.items() if self._takes is None or name in self._takes}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)).to(device) for name, value in named.items()}
        watched, samples = self.module if self.classes else None, len(next(iter(tensors.values())))
        with (
            in_inference(self.module),
            computing_in(precision, device),
            calls_of(watched, samples, self._head) as calls,
        ):
            answer = self.module(**tensors, output_hidden_states=all_of_them, return_dict=True)
        if self.classes and not self._head:
            batch_tensor = next(iter(tensors.values()))
            self._head = head_of(calls, answer.logits, batch_tensor) or shared_head(calls, answer.logits) or ""
        read = next((call.given for call in calls if call.name == self._head), None)
        mask, pooling = tensors.get("attention_mask"), self._pooling or self._default
        states = answer.hidden_states if all_of_them else ()
        found = {
            f"hidden_states.{i}": lambda state=state: pooled(state, mask, pooling) for i, state in enumerate(states)
        }
        pooler: Any = getattr(answer, "pooler_output", None)

        def last() -> Any:
            if self.classes:
                return (answer.logits if read is None else read).flatten(1)
            if self._pooling is None and self.pools and pooler is not None:  # what classifiers read
                return pooler.flatten(1)
            embedding = pooled(answer.last_hidden_state, mask, pooling)
            embedding = torch.nn.functional.normalize(embedding, dim=1) if self._normalise else embedding
            return embedding[:, : self.dims]

        return {**found, POOLED: last}
