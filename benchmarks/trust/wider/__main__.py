"""Data and features from outside the paper, for `python -m benchmarks.trust`.

    pip install . --group wider
    apt-get install fonts-...; npm pack emoji-datasource-google@16.0.0   # benchmarks/trust/README.md has the list
    python -m benchmarks.trust.wider --emoji emoji-datasource-google-16.0.0.tgz

Writes, into one folder a data set, labels, images or texts, and the features of networks that come with PyTorch. They
are made once: what is there already is left as it is.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import nrjax
from benchmarks.command import answer
from benchmarks.paper.zoos import DATASETS
from benchmarks.trust.wider import collect

OUT = Path.home() / ".cache" / "nrjax" / "trust"


def main(argv: list[str] | None = None) -> int:
    """The command; 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trust.wider", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--emoji", type=Path, required=True, help="The npm package.")
    parser.add_argument("--out", type=Path, default=OUT, help=f"Where the folders go [{OUT}].")
    parser.add_argument("--data-dir", help="Where TFDS keeps its datasets.")
    options = parser.parse_args(argv)
    return answer(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Makes what is not there."""
    from benchmarks.trust.wider import networks  # PyTorch, after --help

    targets = {"kana": collect.kana, "emoji": lambda: collect.emoji(options.emoji), "digits": collect.digits}
    targets |= {dataset: lambda d=dataset: _of_tfds(d, options.data_dir) for dataset in DATASETS.values()}
    for name, load in targets.items():
        images, labels = load()
        _save(options.out / name, {"labels": labels} | ({"images": images} if name not in DATASETS.values() else {}))
        _save_features(options.out / name, networks.of_images(images))
    texts, labels = collect.news()
    _save(options.out / "news", {"labels": labels})
    _save_features(options.out / "news", networks.of_texts(texts))


def _of_tfds(dataset: str, data_dir: str | None) -> tuple[np.ndarray, np.ndarray]:
    data = nrjax.load_dataset(dataset, "test", data_dir=data_dir)
    images = np.asarray(data.images)
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images, data.labels


def _save(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _save_features(folder: Path, found: Iterable[tuple[str, np.ndarray]]) -> None:
    for name, features in found:
        _save(folder, {name.replace("/", "-"): features})
        print(f"{folder.name}: {name} {features.shape}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
