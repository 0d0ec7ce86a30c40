"""Data sets, their targets, and what there is to choose from for each.

full/M10, 512/F0-4, lite/C5-9   the paper's models: 1,024 or 512 outputs of their last dense layer
narrow/M10                      64 of the outputs of full/M10
conv/M10                        what full/M10 gives to its dense layer: 3,136 outputs
early/M10                       full/M10 after 60 of its 1,200 steps
pixels                          784
untrained                       1,024 outputs of a network at its first step
imagenet/lite0, untrained/lite0 1,280 pooled outputs of EfficientNet-Lite, as `benchmarks.trust.wider` made them
minilm/0, untrained/minilm3     384 outputs of the layers of a sentence encoder, from the same place
words/tf-idf, words/counts      2,000 words
"""

import dataclasses
from collections.abc import Container, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import nrjax
from benchmarks.paper.zoos import CLASSES, DATASETS, IMAGE_SIZE
from benchmarks.trust.candidates import CONV, Candidates

OTHERS = {"K": "kana", "E": "emoji", "D": "digits", "N": "news"}
WIDER_IMAGES = ("imagenet/lite0", "imagenet/lite1", "imagenet/lite2", "untrained/lite0")
WIDER_TEXTS = (
    *(f"minilm/{layer}" for layer in range(7)), "untrained/minilm3", "untrained/minilm6",
    "words/counts", "words/tf-idf",
)  # fmt: skip
EARLY = tuple(f"early/{name}" for name in CONV)

Split = tuple[np.ndarray, np.ndarray]  # indices of the labelled samples, and of those that judge


@dataclasses.dataclass(frozen=True)
class Pool:
    """A data set.

    Attributes:
      name: of the data set.
      labels: of its samples.
      candidates: to the targets that they are tried on.
      targets: to the labelled samples and those that judge.
    """

    name: str
    labels: np.ndarray
    images: np.ndarray | None
    folder: Path
    candidates: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, Split]

    @property
    def whole(self) -> str:
        """The target of all classes."""
        return next(iter(self.targets))

    def on(self, targets: Container[str]) -> "Pool":
        """The same with some of the targets."""
        candidates = {name: tuple(t for t in of if t in targets) for name, of in self.candidates.items()}
        return dataclasses.replace(self, candidates={name: of for name, of in candidates.items() if of})

    def arrays(self, name: str, models: Candidates) -> tuple[np.ndarray, np.ndarray | None]:
        """Features of a candidate, and the outputs for its own classes if it is one of ours and was trained on any."""
        if name in WIDER_IMAGES + WIDER_TEXTS:
            return np.load(self.folder / f"{name.replace('/', '-')}.npy"), None
        assert self.images is not None
        return models.arrays(name, self.images)


def pools(models: Candidates, folder: Path, data_dir: str | None, samples: int) -> list[Pool]:
    """All of them.

    Args:
      models: the paper's, and parts of them.
      folder: what `python -m benchmarks.trust.wider` wrote.
      data_dir: where TFDS keeps its datasets.
      samples: labelled samples of a target; half of a small data set.
    """
    of_tfds = [pool_of_tfds(letter, models, folder, data_dir, samples) for letter in DATASETS]
    return [*of_tfds, *(_of_files(letter, models, folder, samples) for letter in OTHERS)]


def pool_of_tfds(letter: str, models: Candidates, folder: Path, data_dir: str | None, samples: int) -> Pool:
    """Images of the test split: the paper's candidates on its nine targets, the others on all ten classes."""
    data = nrjax.load_dataset(DATASETS[letter], "test", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir)
    targets = {}
    for suffix, classes in CLASSES.items():
        first, last = map(int, classes.split("-"))
        targets[letter + suffix] = split(np.flatnonzero((data.labels >= first) & (data.labels <= last)), samples)
    of_paper, parts = dict.fromkeys(models.whole, tuple(targets)), (*models.parts, *EARLY, *WIDER_IMAGES)
    candidates = of_paper | dict.fromkeys(parts, (f"{letter}10",))
    return Pool(DATASETS[letter], data.labels, data.images, folder / DATASETS[letter], candidates, targets)


def _of_files(letter: str, models: Candidates, folder: Path, samples: int) -> Pool:
    folder = folder / OTHERS[letter]
    if not (folder / "labels.npy").exists():
        raise ValueError(f"{folder} has no features; run python -m benchmarks.trust.wider.")
    labels = np.load(folder / "labels.npy")
    target = {letter: split(np.arange(len(labels)), min(samples, len(labels) // 2))}
    if letter == "N":
        return Pool(OTHERS[letter], labels, None, folder, dict.fromkeys(WIDER_TEXTS, (letter,)), target)
    names = (*(n for n in models.whole if n.startswith(("full", "pixels", "untrained"))), *EARLY,
             *(f"conv/{name}" for name in CONV), *WIDER_IMAGES)  # fmt: skip
    images = np.stack([
        np.asarray(Image.fromarray(image).convert("L").resize(IMAGE_SIZE, Image.Resampling.BILINEAR))
        for image in np.load(folder / "images.npy")
    ])[..., None]  # fmt: skip
    return Pool(OTHERS[letter], labels, images, folder, dict.fromkeys(names, (letter,)), target)


def split(rows: np.ndarray, samples: int) -> Split:
    """Indices of the labelled samples of a target, and of those that judge."""
    rows = np.random.default_rng(0).permutation(rows)
    if samples >= len(rows):
        raise ValueError(f"samples must leave some of the {len(rows)} of a target to judge; got {samples}.")
    return rows[:samples], rows[samples:]
