"""Targets: images of 28 x 28 and news, most with two thousand labelled samples, and those that judge.

M10, F10, C10   test images of MNIST, Fashion-MNIST and CIFAR-10 (grey), which no candidate has seen
D               scikit-learn's digits of 8 x 8
L               26 letters in the fonts that come with Matplotlib, bent, turned and thinned at random
N               BBC News, texts of five topics
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageFont

import nrjax
from benchmarks.paper.zoos import DATASETS, IMAGE_SIZE
from benchmarks.trust.pools import split
from benchmarks.trust.wider.collect import SIDE, digits, drawn, news

LABELLED, JUDGES = 2000, 2000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FAMILIES = ("DejaVu", "STIXGeneral", "cmr10", "cmss10", "cmtt10", "cmb10")  # fonts that have plain letters
IMAGES, TEXTS = (*(f"{letter}10" for letter in DATASETS), "D", "L"), "N"
NAMES = (*IMAGES, TEXTS)


class Target(NamedTuple):
    """Images `[samples, 28, 28, 1]` or texts, labels from 0, places of the labelled and of the judging samples."""

    name: str
    inputs: np.ndarray | list[str]
    labels: np.ndarray
    labelled: np.ndarray
    judges: np.ndarray


def target(name: str, data_dir: str | None) -> Target:
    """One target; the labelled samples of a smaller budget are the first of these."""
    if name == TEXTS:
        inputs, labels = news()
    elif name == "D":
        inputs, labels = _small(*digits())
    elif name == "L":
        inputs, labels = _small(*zip(*_letters(), strict=True))
    else:
        data = nrjax.load_dataset(DATASETS[name[0]], "test", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir)
        inputs, labels = np.asarray(data.images), data.labels
    labelled, judges = split(np.arange(len(labels)), min(LABELLED, len(labels) // 2))
    taken = np.concatenate([labelled, judges[:JUDGES]])
    chosen = [inputs[sample] for sample in taken] if isinstance(inputs, list) else inputs[taken]
    return Target(name, chosen, labels[taken], *np.split(np.arange(len(taken)), [len(labelled)]))


def _letters() -> Iterator[tuple[np.ndarray, int]]:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = sorted(path for path in folder.glob("*.ttf") if path.stem.startswith(FAMILIES))
    fonts = [ImageFont.truetype(path, SIDE - 16) for path in paths if "Display" not in path.stem]
    rng = np.random.default_rng(0)
    for _ in range(LABELLED + JUDGES):
        letter = int(rng.integers(len(LETTERS)))
        yield drawn(LETTERS[letter], fonts[rng.integers(len(fonts))], rng), letter


def _small(images, labels) -> tuple[np.ndarray, np.ndarray]:
    grey = [np.asarray(Image.fromarray(image).convert("L").resize(IMAGE_SIZE, Image.Resampling.BILINEAR))
            for image in images]  # fmt: skip
    return np.stack(grey)[..., None], np.asarray(labels)
