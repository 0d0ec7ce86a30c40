"""How architectures of Hugging Face take sound: windows, inputs by their feature extractor, and which outputs count."""

# pyright: reportMissingImports=false

import abc
import importlib.util
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from nrjax.models._audio_windows import WindowBatch
from nrjax.models._model import Inputs

WAVE_SECONDS = 20.0  # of a window of networks that read the waveform and take any length; attention is quadratic in it
SPECIAL = 2  # tokens of AST before those of the spectrogram


class SoundInputs(abc.ABC):
    """What a network takes of windows of sound.

    Attributes:
      seconds: the longest window.
      names: of the arrays that the network takes.
      is_masked: whether the network takes a mask of the padding; else windows of one length run together.
      shortest: samples at the network's rate; shorter recordings are filled up with silence.
    """

    seconds: float
    names: tuple[str, ...] = ("input_values",)
    is_masked = False
    shortest = 400  # a frame of 25 ms at 16 kHz

    def __init__(self, extractor: Any, config: Any):
        self._extractor, self._config = extractor, config
        self.rate = int(extractor.sampling_rate)

    def inputs(self) -> Inputs:
        """From recordings to `WindowBatch`."""
        settings = {
            key: value for key, value in self._extractor.to_dict().items()
            if not key.startswith("_") and key not in ("name_or_path", "processor_class")
        }  # fmt: skip
        words = f"{type(self._extractor).__name__} {json.dumps(settings, sort_keys=True, default=str)}, "
        words += f"windows of at most {self.seconds:g} s{self._remark()}"
        return Inputs(
            "audio", None, words, lambda recordings: WindowBatch(recordings, self.seconds, self.rate, self.of)
        )

    def of(self, waveforms: list[np.ndarray]) -> dict[str, np.ndarray]:
        """What the network takes; `lengths` `[windows]`, samples without padding; `filled`, which were too short."""
        lengths = np.array([len(wave) for wave in waveforms])
        for i in np.flatnonzero(lengths < self.shortest):
            waveforms[i] = np.pad(waveforms[i], (0, self.shortest - lengths[i]))
        named = self._extractor(waveforms, sampling_rate=self.rate, return_tensors="np", **self._options())
        arrays = {name: np.asarray(named[name]) for name in self.names}
        return arrays | {"lengths": lengths.clip(self.shortest), "filled": lengths < self.shortest}

    @abc.abstractmethod
    def valid(self, count: int, lengths: np.ndarray) -> np.ndarray:
        """Which of `count` outputs are no padding, bool `[windows, count]`."""

    def _options(self) -> Mapping[str, Any]:
        return {}

    def _remark(self) -> str:
        return ""


class WaveInputs(SoundInputs):
    """wav2vec 2 and its kin: a convolutional encoder of the waveform, then a transformer."""

    seconds = WAVE_SECONDS
    names = "input_values", "attention_mask"

    def __init__(self, extractor: Any, config: Any):
        super().__init__(extractor, config)
        normalises_padding = getattr(config, "feat_extract_norm", "layer") == "group"
        self.is_masked = not normalises_padding and not getattr(config, "add_adapter", False)  # which reads padding
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.shortest = 1
        for kernel, stride in reversed(self._convolutions):
            self.shortest = (self.shortest - 1) * stride + kernel

    def valid(self, count: int, lengths: np.ndarray) -> np.ndarray:
        """The first outputs of each: what the convolutions make of its samples."""
        for kernel, stride in self._convolutions:
            lengths = (lengths - kernel) // stride + 1
        if lengths.max() > count:  # behind the adapter, whose convolutions halve the number of outputs
            for _ in range(self._config.num_adapter_layers):
                lengths = (lengths - 1) // self._config.adapter_stride + 1
        return np.arange(count) < lengths[:, None]

    def _options(self) -> Mapping[str, Any]:
        return {"padding": True, "return_attention_mask": True}


class WhisperInputs(SoundInputs):
    """Whisper's encoder: a spectrogram of 30 seconds, silent behind the end of a shorter recording."""

    names = ("input_features",)

    def __init__(self, extractor: Any, config: Any):
        super().__init__(extractor, config)
        self.seconds = extractor.n_samples / self.rate

    def valid(self, count: int, lengths: np.ndarray) -> np.ndarray:
        """The outputs at whose time there is sound."""
        return np.arange(count) * self._extractor.n_samples < lengths[:, None] * count


class SpectrogramInputs(SoundInputs):
    """AST: patches of a spectrogram of 10.24 seconds, empty behind the end of a shorter recording."""

    def __init__(self, extractor: Any, config: Any):
        super().__init__(extractor, config)
        self._hop = self.rate // 100
        self.seconds = extractor.max_length / 100
        self._patches = (extractor.max_length - config.patch_size) // config.time_stride + 1

    def valid(self, count: int, lengths: np.ndarray) -> np.ndarray:
        """The patches that begin before the end of the sound, at every frequency; not the two tokens of classifiers."""
        frames = 1 + (lengths - 5 * self._hop // 2) // self._hop  # windows of 25 ms
        times = np.arange(self._patches) * self._config.time_stride < frames[:, None]
        bands = (count - SPECIAL) // self._patches
        return np.concatenate([np.zeros((len(lengths), SPECIAL), bool), np.tile(times, (1, bands))], axis=1)

    def _remark(self) -> str:
        return ", torchaudio" * (importlib.util.find_spec("torchaudio") is not None)  # which it uses where it is there


SOUND = {  # types of models
    "wav2vec2": WaveInputs, "hubert": WaveInputs, "wavlm": WaveInputs, "data2vec-audio": WaveInputs,
    "unispeech": WaveInputs, "unispeech-sat": WaveInputs, "wav2vec2-conformer": WaveInputs,
    "whisper": WhisperInputs, "audio-spectrogram-transformer": SpectrogramInputs,
}  # fmt: skip
