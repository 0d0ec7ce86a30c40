"""What there is to choose from, and its features: bundled networks, EfficientNet-Lite, an encoder's layers, columns."""

# pyright: reportMissingImports=false

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import rankdata
from sklearn.kernel_approximation import RBFSampler

import nrjax
from benchmarks.sources.networks import LITE, LITE_INPUT, encoder, lite, untrained
from nrjax.datasets import Words
from nrjax.models import LayerChoice

LAYERS = {"dense": "penultimate", "pool2": "pool2"}
OF_IMAGENET = 3  # channels
LETTERS = "abcdefghijklmnopqrstuvwxyz@#0123456789"


def of_pictures(pictures: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Pixels, two layers of nine bundled networks, three EfficientNet-Lite."""
    yield "pixels", pictures.reshape(len(pictures), -1).astype(np.float32) / 255
    zoo, _, _ = nrjax.load_demo()
    for name in zoo:
        features = nrjax.extract_features(zoo[name], pictures, list(LAYERS.values()))
        for called, layer in LAYERS.items():
            yield f"{name}/{called}", features[layer]
    coloured = np.repeat(pictures, OF_IMAGENET, axis=-1)
    for version in LITE:
        model = nrjax.from_torch(lite(version), preprocessing=LITE_INPUT)
        yield f"lite{version}", nrjax.extract_features(model, coloured)


def of_columns(columns: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Some of the columns, and functions of them."""
    rng, noise = np.random.default_rng(0), np.random.default_rng(1).normal(size=(len(columns), 100))
    yield from {
        "body": columns[:, :4], "fats": columns[:, 4:8], "best four": columns[:, [2, 3, 8, 9]],
        "all": columns, "squares": columns**2, "ranks": rankdata(columns, axis=0),
        "all, noisy": columns + noise[:, :10] / 20,
        "noise": noise, "random": np.maximum(columns @ rng.normal(size=(10, 100)) + 0.05 * rng.normal(size=100), 0),
        **{
            f"kernel {gamma}": RBFSampler(gamma=gamma, n_components=100, random_state=0).fit_transform(columns)
            for gamma in (1, 10, 100)
        },
    }.items()  # fmt: skip


def of_words(words: Words) -> Iterator[tuple[str, np.ndarray]]:
    """Every layer of MiniLM, three of it untrained, and letters."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        layers: list[LayerChoice] = [f"hidden_states.{i}" for i in range(7)]
        features = nrjax.extract_features(f"hf:{encoder()}", words, layers)
        yield from ((f"minilm/{i}", features[layer]) for i, layer in enumerate(layers))
        layers = [f"hidden_states.{i}" for i in (0, 3, 6)]
        features = nrjax.extract_features(f"hf:{untrained(Path(folder) / 'untrained')}", words, layers)
        yield from ((f"untrained/{str(layer)[-1]}", features[layer]) for layer in layers)
    texts = [word.text for word in words]
    counts = np.array([[text.lower().count(letter) for letter in LETTERS] for text in texts], float)
    shape = np.array([[text[0].isupper(), text.isupper(), text.isalpha(), len(text)] for text in texts], float)
    yield "letters", counts
    yield "shape", shape
    yield "letters and shape", np.hstack([counts, shape])
