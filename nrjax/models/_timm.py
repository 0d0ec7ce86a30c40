"""Models of timm, with the preprocessing of their configuration."""

# pyright: reportMissingImports=false

import contextlib
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, shortened
from nrjax._utils.paths import walk_files
from nrjax.models._big_vision import build_big_vision
from nrjax.models._feature_maps import Maps
from nrjax.models._heads import has_vectors
from nrjax.models._huggingface_cache import offline
from nrjax.models._image_inputs import image_inputs
from nrjax.models._layer_choice import PENULTIMATE
from nrjax.models._model import Inputs, Precision
from nrjax.models._model_folders import local_folder
from nrjax.models._position_batches import PositionBatch, with_positions
from nrjax.models._preprocessing import Preprocessing, pictures
from nrjax.models._torch import TorchModel
from nrjax.models._torch_calls import Call, tensors_of
from nrjax.models._torch_maps import few_pictures, find_maps
from nrjax.models._torch_runs import described, in_inference, on_accelerator, order_convolutions


class TimmModel(TorchModel):
    """A network of timm: its modules by path, and what its classifier reads as the penultimate layer."""

    config: str = ""

    @property
    def channels_first(self) -> bool:
        """Whether maps have their channels first, as this network says."""
        return str(getattr(self.module, "output_fmt", "NCHW")).endswith("NCHW")

    def _penultimate(self, calls: list[Call], tensors: Mapping[str, object], batch: Any) -> dict[str, Any]:
        penultimate = super()._penultimate(calls, tensors, batch)
        has_head = any(call.name == self._head for call in calls)
        if has_head and getattr(self.module, "num_classes", None) != 0:
            return penultimate
        # There is no head, or several; timm knows what they would read.
        features = self.module.forward_head(self.module.forward_features(batch), pre_logits=True)
        return {PENULTIMATE: features} if has_vectors(features.shape, len(batch)) else {}

    def _remarks_on_heads(self, calls: list[Call], tensors: Mapping[str, object], batch: object) -> list[str]:
        return super()._remarks_on_heads(calls, tensors, batch) if self._head else []  # timm says what heads read

    def _find_maps(self, batch: PositionBatch) -> Maps:
        """Layers with maps; the penultimate is what `forward_features` returns."""
        if self._maps is None:
            pictures = few_pictures(batch)
            outputs = self._run(pictures, None) | self._map_outputs(pictures, [PENULTIMATE], "float32")
            maps = find_maps(self.module, outputs, outputs["input"].shape[2:], channels_first=self.channels_first)
            names = [name for name in maps.names if name != PENULTIMATE]
            self._maps = Maps(names, maps.layouts, PENULTIMATE if PENULTIMATE in maps.layouts else None)
        return self._maps

    def _map_outputs(self, pictures: object, names: Sequence[str], precision: Precision) -> dict[str, Any]:
        others = [name for name in names if name != PENULTIMATE]
        outputs = super()._map_outputs(pictures, others, precision) if others else {}
        if PENULTIMATE in names:
            tensor = self._tensor(pictures)
            with in_inference(self.module), self._computing_in(precision):
                features = tensors_of(self.module.forward_features(tensor))
            outputs |= {PENULTIMATE: features[""]} if features else {}
        return outputs

    def parts(self) -> Iterator[bytes | np.ndarray | str]:
        """Configuration and weights."""
        yield self.config
        yield from super().parts()


def load_timm(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None, device: str | None = None,
    download: bool = False,
) -> TorchModel:  # fmt: skip
    """A pretrained model by its name, or one that was saved into a directory (`config.json`, `model.safetensors`).

    A file `.npz` is a vision transformer of big_vision, or of the original ViT.

    Raises:
      ValueError: there is no such model or no weights, or weights that are pickled.
    """
    who = f"timm:{where}"
    timm = framework("timm", who)
    if where.lower().endswith(".npz"):
        path = base / Path(where).expanduser()
        model = from_timm(on_accelerator(build_big_vision(path, shortened(who)), device), who, preprocessing)
        model.pure, model.files = True, (path,)
        return model
    folder = local_folder(where, base, who)
    is_local = folder is not None
    if not is_local and not timm.is_model(where.partition(".")[0]):
        near = difflib.get_close_matches(where, timm.list_models(), n=5)
        raise ValueError(f"{who}: timm has no such model{'; similar names: ' + ', '.join(near) if near else ''}.")
    try:
        with contextlib.nullcontext() if is_local or download else offline:
            module = timm.create_model(f"local-dir:{folder}" if is_local else where, pretrained=True)
    except Exception as error:
        if is_local:
            raise ValueError(f"{who}: it cannot be loaded: {first_line(error)}") from error
        raise ValueError(
            f'{who}: its weights are not in the cache of the hub; get them first (python -c "import timm; '
            f"timm.create_model('{where}', pretrained=True)\"), or pass download=True, on the command line --download."
        ) from error
    model = from_timm(order_convolutions(on_accelerator(module, device)), who, preprocessing)
    model.pure = True  # the library's own layers, in evaluation mode
    model.files = walk_files(folder) if folder is not None else ()
    return model


def from_timm(module: Any, source: str = "", preprocessing: Preprocessing | None = None) -> TorchModel:
    """A live network of timm, with the preprocessing of its own configuration unless another is given."""
    timm = framework("timm", source)
    data = timm.data.resolve_model_data_config(getattr(module, "_orig_mod", module))  # of torch.compile
    config = getattr(module, "pretrained_cfg", None) or {}
    description = described(
        module, shortened(source), license=str(config.get("license") or ""),
        tags={"architecture": str(config.get("architecture") or "")},
    )  # fmt: skip
    kind = TimmModel if callable(getattr(module, "forward_head", None)) else TorchModel  # without: maps alone
    model = kind(module, _inputs(timm, _as_built(module, data), preprocessing), description)
    if not isinstance(model, TimmModel):
        return model
    model.config = json.dumps({"architecture": config.get("architecture"), "data": data}, sort_keys=True, default=str)
    return model


def _as_built(module: Any, data: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the size and the channels that a network was built for, which its weights' need not be."""
    channels, *size = data["input_size"]
    channels = int(getattr(module, "in_chans", None) or _channels_of_first_layer(module) or channels)
    patches: Any = getattr(module, "patch_embed", None)
    if getattr(patches, "img_size", None) and getattr(patches, "strict_img_size", True):
        size = patches.img_size
    data = data | {"input_size": (channels, *map(int, size))}
    if channels == 1 and len(data["mean"]) == 3:  # of colours
        data |= {name: (sum(data[name]) / 3,) for name in ("mean", "std")}
    return data


def _channels_of_first_layer(module: Any) -> int | None:
    """The channels that a network reads, by its first convolution; None where its configuration does not name it."""
    name = (getattr(module, "pretrained_cfg", None) or {}).get("first_conv")
    name = name[0] if isinstance(name, (list, tuple)) and name else name
    try:
        return int(module.get_submodule(name).in_channels) if isinstance(name, str) else None
    except AttributeError:
        return None


def _inputs(timm: Any, data: dict[str, Any], preprocessing: Preprocessing | None) -> Inputs:
    channels, height, width = data["input_size"]
    if preprocessing is not None:
        return image_inputs((height, width, channels), preprocessing, channels_first=True)
    whole = data | {"crop_pct": 1.0, "crop_mode": "squash"}  # stretched to the size, and nothing cut away
    transform, of_whole = (timm.data.create_transform(**each, is_training=False) for each in (data, whole))
    untransformed = image_inputs(None, Preprocessing(), channels_first=True)

    def prepare(images: Any, transform: Any = transform) -> np.ndarray:
        if isinstance(images, np.ndarray) and images.dtype != np.uint8:  # the user has transformed them
            return untransformed.prepare(images)
        if channels not in (1, 3):
            raise ValueError(
                f"the network takes {channels} channels; prepare images yourself, as floating-point numbers [samples, "
                f"{channels}, height, width]."
            )
        return np.stack([np.asarray(transform(picture)) for picture in pictures(images, grey=channels == 1)])

    words, of_positions = (
        f"timm {json.dumps({key: each[key] for key in sorted(each)}, default=str)}" for each in (data, whole)
    )
    inputs = Inputs("image", (height, width, channels), words, prepare)
    return with_positions(inputs, lambda images: prepare(images, of_whole), of_positions)
