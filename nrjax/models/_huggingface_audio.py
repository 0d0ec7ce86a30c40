"""Models of recordings of Hugging Face: encoders of waveforms and spectrograms, averaged over time."""

# pyright: reportMissingImports=false

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nrjax.models._audio_windows import WindowBatch
from nrjax.models._huggingface import POOLED, HuggingFaceModel
from nrjax.models._huggingface_inputs import run_by_length, without_padding
from nrjax.models._huggingface_sound import SoundInputs
from nrjax.models._layer_choice import PENULTIMATE, Layer, LayerChoice
from nrjax.models._model import Description, Precision
from nrjax.models._pooling import pool
from nrjax.models._steadiness import TOLERANCES, relative_difference
from nrjax.models._torch_runs import computing_in, in_inference, tensors_on

CLASSIFIERS = ("ForSequenceClassification", "ForAudioClassification")


class HuggingFaceAudioModel(HuggingFaceModel):
    """An encoder of recordings: hidden states averaged over time without padding, and the penultimate layer.

    That is what the model's own classifier of recordings reads, AST's pooled output, or else the mean of the last
    hidden state. Long recordings go through in windows, whose vectors are averaged by their length.
    """

    def __init__(self, module: Any, sound: SoundInputs, description: Description, config: str, *, is_live: bool):
        super().__init__(module, sound.inputs(), "mean", description, config)
        self.classes = type(module).__name__.endswith(CLASSIFIERS)
        self._sound, self.is_live = sound, is_live
        self._mixes = None if sound.is_masked else True
        self._seen = self._windowed = self._filled = 0  # recordings since the last remark

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """`hidden_states.0`, the embeddings, to the last, and `pooled`; found by running a second of noise."""
        if self._layers is None:
            noise = np.random.default_rng(0).normal(0, 0.1, self._sound.rate)
            arrays = self._sound.of([noise.astype(np.float32)])
            self._layers = [
                Layer(name, tuple(output().shape[1:])) for name, output in self._run(arrays, "float32").items()
            ]
        return self._layers

    def outputs(
        self, batch: WindowBatch, layers: Sequence[LayerChoice], precision: Precision = "float32"
    ) -> list[np.ndarray]:
        """`[samples, dims]` of every layer, float32 on the host."""
        self._seen += len(batch)
        self._windowed += int((batch.windows > 1).sum())
        return batch.average(lambda arrays: self._of_windows(arrays, layers, precision))

    def _of_windows(
        self, arrays: Mapping[str, np.ndarray], layers: Sequence[LayerChoice], precision: Precision
    ) -> list[np.ndarray]:  # fmt: skip
        self._filled += int(arrays["filled"].sum())
        if "attention_mask" not in arrays:  # every window is padded to one length
            return self._features(arrays, layers, precision)
        if self._mixes is None:
            self._mixes = self._is_changed_by_padding(arrays)
        if not self._mixes:
            return self._features(arrays, layers, precision)
        return run_by_length(arrays, lambda windows: self._features(windows, layers, precision))

    def _is_changed_by_padding(self, batch: Mapping[str, np.ndarray]) -> bool | None:
        """Whether half a window has other features beside the whole than alone; None where none is long enough."""
        longest = int(batch["lengths"].argmax())
        half = int(batch["lengths"][longest]) // 2
        if half < self._sound.shortest:
            return None
        pair = {name: np.array(value[[longest, longest]]) for name, value in batch.items()}
        pair["lengths"][1] = half
        for name in ("attention_mask", "input_values"):
            pair[name][1, half:] = 0
        alone, padded = (
            self._features(windows, [PENULTIMATE], "float32")[0][-1]
            for windows in (without_padding(pair, np.array([1])), pair)
        )
        return relative_difference(alone, padded) > TOLERANCES["float32"]

    def remarks(self) -> list[str]:
        """The number of recordings in windows, and of those that were filled up, since the last call."""
        seen, windowed, filled = self._seen, self._windowed, self._filled
        self._seen = self._windowed = self._filled = 0
        remarks = []
        if windowed:
            remarks.append(
                f"{windowed:,} of {seen:,} recordings are longer than {self._sound.seconds:g} s: the vectors of their "
                "windows are averaged."
            )
        if filled:
            shortest = self._sound.shortest / self._sound.rate
            remarks.append(f"{filled:,} of {seen:,} recordings are shorter than {shortest:g} s: silence fills them up.")
        return remarks

    def _run(
        self, batch: Any, precision: Precision, needs_states: bool = True, pool_words: Any = None
    ) -> dict[str, Callable[[], Any]]:  # fmt: skip
        """Functions that average the layers over time, by name."""
        lengths = batch["lengths"]
        device = next(self.module.parameters()).device
        names = [name for name in self._sound.names if name != "attention_mask" or not batch[name].all()]
        tensors = tensors_on(device, {name: batch[name] for name in names})
        with in_inference(self.module), computing_in(precision, device), self._classifier_input() as read:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")  # of WavLM's own call
                output = self.module(**tensors, output_hidden_states=needs_states, return_dict=True)

        def mean(state: Any) -> Any:
            valid = {"valid": self._sound.valid(state.shape[1], lengths)}
            return pool(state, tensors_on(device, valid)["valid"], "mean")

        states = output.hidden_states if needs_states else ()
        layers = {f"hidden_states.{i}": lambda state=state: mean(state) for i, state in enumerate(states)}
        pooled = read[0] if read else getattr(output, "pooler_output", None)
        return {**layers, POOLED: lambda: mean(output.last_hidden_state) if pooled is None else pooled}

    @contextlib.contextmanager
    def _classifier_input(self) -> Iterator[list[Any]]:
        """What the classifier reads while a batch runs; empty without one."""
        read: list[Any] = []
        if not self.classes:
            yield read
            return
        handle = self.module.classifier.register_forward_pre_hook(lambda layer, given: read.append(given[0].clone()))
        try:
            yield read
        finally:
            handle.remove()
