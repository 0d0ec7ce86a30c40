"""Models of Hugging Face: encoders of images and texts, pooled layer by layer."""

# pyright: reportMissingImports=false

import contextlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import walk_files
from nrjax.models._code import version_of
from nrjax.models._frameworks import framework, local_folder
from nrjax.models._huggingface_inputs import in_lengths, processed_images, tokenized_texts, unpadded
from nrjax.models._huggingface_towers import TwoTowerModel
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
from nrjax.models._pooling import POOLINGS, Sentences, pooled, sentence_settings
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._torch_heads import calls_of, head_of, shared_head
from nrjax.models._torch_runs import (
    computing_in,
    described,
    in_inference,
    is_accelerated,
    numpy_of,
    on_accelerator,
)

POOLED = "pooled"
SHORT, PADDED = 4, 5e-3  # tokens of a text that is padded to see whether that changes it, and by how much it may
TEXT_TOWERS = {
    "clip_text_model": "CLIPTextModel",
    "siglip_text_model": "SiglipTextModel",
    "siglip2_text_model": "Siglip2TextModel",
}  # which pool by themselves
ELSEWHERE = ("transformers_version", "_name_or_path")  # of a configuration: not the same on every machine


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


def load_huggingface(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None, pooling: str | None = None,
    download: bool = False,
) -> Model:  # fmt: skip
    """A model of a directory, or of the hub's cache; one of images and texts embeds what it is given.

    Args:
      where: a directory (`./vit-tiny`), or a name on the hub (`google/vit-base-patch16-224`).
      base: what a relative directory is relative to.
      preprocessing: of images instead of the model's own.
      pooling: `mean` (over the attention mask), `cls`, `last` or `max`; None is what `modules.json` of
        sentence-transformers says, else `mean` for texts, and for images what their classifiers use.
      download: whether the hub may be asked for a name that its cache does not have.

    Raises:
      ValueError: there is no such model, or none that can be loaded without running code of its own.
    """
    who = f"hf:{where}"
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(f"{who}: pooling must be of {', '.join(POOLINGS)}; got {pooling!r}.")
    transformers = framework("transformers", who)
    framework("torch", who)
    folder = local_folder(where, base, who)
    local = folder is not None
    options = {"trust_remote_code": False, "local_files_only": local or not download}
    name = str(folder) if local else where
    files = walk_files(folder) if folder is not None else ()
    with _quietly(transformers):
        config = _config(transformers, name, who, local, options)
        module, missing = _module(transformers, name, who, options, config, whole=pooling is None)
        encoder = module.get_encoder() if getattr(config, "is_encoder_decoder", False) else module
        shared = {"description": described(module, shortened(who)), "config": _stable(config)}
        if hasattr(module, "get_image_features") and hasattr(module, "get_text_features"):
            images = processed_images(transformers, name, who, options, preprocessing, config.vision_config)
            texts = tokenized_texts(transformers, name, who, options, config.text_config, Sentences())
            towers = TwoTowerModel(module, images, texts, **shared)
            towers.files = files
            return towers
        taken = getattr(module, "main_input_name", "")
        if taken not in ("pixel_values", "input_ids"):
            raise ValueError(
                f"{who}: it takes {printable(str(taken))}, neither images nor texts; extract features yourself."
            )
        if taken == "pixel_values":
            inputs = processed_images(transformers, name, who, options, preprocessing, config)
            model = HuggingFaceModel(encoder, inputs, pooling, False, **shared)
            model.pools = not missing and not any("pooler.dense" in name for name, _ in module.named_parameters())
            model.classes = "ForImageClassification" in type(module).__name__
            model.files = files
            return model
        if preprocessing is not None:
            raise ValueError(f"{who}: it takes texts, whose tokenizer is its preprocessing; leave yours out.")
        sentences = sentence_settings(folder, who)
        inputs = tokenized_texts(transformers, name, who, options, config, sentences)
    tower = getattr(config, "model_type", "") in TEXT_TOWERS
    how = pooling or sentences.pooling or (None if tower else "mean")
    model = HuggingFaceModel(encoder, inputs, how, sentences.normalise, **shared)
    model.pools, model.dims, model.files = tower, sentences.dims, files
    model.padding = int(getattr(config, "pad_token_id", None) or 0)
    return model


def _config(transformers: Any, name: str, who: str, local: bool, options: Mapping[str, Any]) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(name, **options)
    except Exception as error:
        text = str(error)
        if "trust_remote_code" in text:
            raise ValueError(
                f"{who}: it needs code of its own (trust_remote_code), which nrjax never runs; load it yourself and "
                "pass nrjax.from_torch(module), or for texts nrjax.from_embedder(function_of_texts, 'text')."
            ) from error
        if not local:
            raise ValueError(
                f"{who}: it is neither a directory nor in the cache of the hub; download it first (hf download "
                f"{name}), or pass download=True, on the command line --download."
            ) from error
        raise ValueError(f"{who}: config.json is not one that transformers knows: {first_line(error)}") from error


def _module(
    transformers: Any, name: str, who: str, options: Mapping[str, Any], config: Any, *, whole: bool
) -> tuple[Any, set[str]]:  # fmt: skip
    """The network, if `whole` with its classifier of images, and names of weights that the files lack."""
    kind = TEXT_TOWERS.get(getattr(config, "model_type", "")) or "AutoModel"
    if whole and any(one.endswith("ForImageClassification") for one in getattr(config, "architectures", None) or ()):
        kind = "AutoModelForImageClassification"
    if hasattr(config, "mask_ratio"):  # of an autoencoder, which hides patches while it is trained
        config.mask_ratio = 0.0
    try:
        module, found = getattr(transformers, kind).from_pretrained(
            name, config=config, use_safetensors=True, output_loading_info=True, dtype="float32", **options
        )
    except Exception as error:
        raise ValueError(f"{who}: its weights cannot be loaded: {first_line(error)}") from error
    missing = set(found["missing_keys"])
    wrong = [key for key in sorted(missing) if not key.startswith("pooler.")]
    wrong += [str(key[0] if isinstance(key, tuple) else key) for key in found.get("mismatched_keys", ())]
    if wrong:
        raise ValueError(f"{who}: its weights do not fit the architecture: {', '.join(wrong[:5])} would be random.")
    return on_accelerator(module), missing


def _stable(config: Any) -> str:
    """A configuration without what differs between machines and versions."""
    kept = {key: value for key, value in config.to_dict().items() if key not in ELSEWHERE}
    return json.dumps(kept, sort_keys=True, default=str)


@contextlib.contextmanager
def _quietly(transformers: Any) -> Iterator[None]:
    """Without bars and advice on stderr; what is wrong is raised."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
