"""Vision transformers of big_vision and the original ViT (`.npz`): timm's network, with the sizes that the file has."""

# pyright: reportMissingImports=false

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line
from nrjax._utils.paths import check_regular

PREFIXES = ("params/img/", "params/", "opt/target/", "")
ATTENTION = "MultiHeadDotProductAttention_"
HALF = (0.5, 0.5, 0.5)  # mean and deviation: both take images from -1 to 1


def build_big_vision(path: Path, who: str) -> Any:
    """The network of a file with its weights, and with the preprocessing that both repositories train with.

    Raises:
      ValueError: it is damaged, or holds another network.
    """
    timm = framework("timm", who)
    check_regular(path, who)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            sizes = {name: arrays[name].shape for name in arrays.files}
        settings = _settings(sizes)
        module = timm.models.vision_transformer.VisionTransformer(**settings)
        module.load_pretrained(str(path))
    except (StopIteration, KeyError) as error:
        raise ValueError(f"{who}: it holds no vision transformer of big_vision; {first_line(error)}.") from error
    except Exception as error:  # whatever NumPy and timm say of a damaged file
        raise ValueError(f"{who}: it cannot be loaded: {first_line(error)}") from error
    side = settings["img_size"]
    module.pretrained_cfg = {
        "architecture": "vit", "input_size": (settings["in_chans"], side, side), "mean": HALF, "std": HALF,
        "crop_pct": 1.0, "interpolation": "bilinear", "num_classes": settings["num_classes"],
    }  # fmt: skip
    return module


def _settings(sizes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Settings of timm's network by the shapes of the weights."""
    prefix = next(prefix for prefix in PREFIXES if f"{prefix}embedding/kernel" in sizes)
    patch, _, channels, width = sizes[f"{prefix}embedding/kernel"]
    blocks = {match[1] for name in sizes if (match := re.match(rf"{prefix}Transformer/encoderblock_(\d+)/", name))}
    stacked = not blocks  # the blocks of one array each
    block = f"{prefix}Transformer/encoderblock{'' if stacked else '_0'}/"
    inner = next(name for name in sizes if name.startswith(block) and name.endswith("/query/kernel"))
    heads, hidden = sizes[inner][-2], next(
        sizes[name][-1] for name in sizes if name.startswith(block) and re.search(r"MlpBlock_\d/Dense_0/kernel$", name)
    )  # fmt: skip
    depth = sizes[inner][0] if stacked else len(blocks)
    is_ours = f"{prefix}pos_embedding" in sizes
    places = sizes[f"{prefix}pos_embedding" if is_ours else f"{prefix}Transformer/posembed_input/pos_embedding"][1]
    has_cls = f"{prefix}cls" in sizes
    pool = "map" if any(name.startswith(f"{prefix}MAPHead_0/") for name in sizes) else "token" if has_cls else "avg"
    side = math.isqrt(places - (has_cls and not is_ours)) * patch
    return {
        "img_size": side, "patch_size": patch, "in_chans": channels, "embed_dim": width, "depth": depth,
        "num_heads": heads, "mlp_ratio": hidden / width, "class_token": has_cls, "no_embed_class": is_ours,
        "global_pool": pool, "fc_norm": False, "num_classes": sizes.get(f"{prefix}head/kernel", (0, 0))[-1],
    }  # fmt: skip
