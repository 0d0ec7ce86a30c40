"""Features that no kernel was tuned on: EfficientNet-Lite of ImageNet, layers of a sentence encoder, pixels.

    pip install . --group wider
    python -m benchmarks.kernels.elsewhere [--out DIR]

3,000 test images of three data sets and 2,225 news, each as `NAME.npz` of features and labels, made once. What was
made is raced on by `python -m benchmarks.kernels`, and carried to machines that have neither data nor networks.
"""

from pathlib import Path

import click
import numpy as np

import nrjax

FOLDER = Path.home() / ".cache" / "nrjax" / "features"
IMAGES = 3_000
DATASETS = {"CIFAR-10": "cifar10", "Fashion-MNIST": "fashion_mnist", "MNIST": "mnist"}
LAYERS = (1, 3, 6)  # of the encoder


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=FOLDER, show_default=True)
@click.option("--data-dir", help="Where TFDS keeps its datasets.")
def main(out: Path, data_dir: str | None) -> None:
    """The command."""
    from benchmarks.trust.wider import collect, networks  # PyTorch, after --help

    out.mkdir(parents=True, exist_ok=True)
    for title, dataset in DATASETS.items():
        data = nrjax.load_dataset(dataset, "test", data_dir=data_dir, max_samples=IMAGES)
        images = np.asarray(data.images)
        colours = np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images
        _save(out / f"pixels, {title}.npz", images.reshape(len(images), -1).astype(np.float32), data.labels)
        for name, features in networks.of_images(colours):
            if "lite1" not in name:
                _save(out / f"{name.replace('/', ' ')}, {title}.npz", features, data.labels)
    texts, labels = collect.news()
    for name, features in networks.of_texts(texts):
        if name in {f"minilm/{layer}" for layer in LAYERS}:
            _save(out / f"{name.replace('/', ' layer ')}, news.npz", features, labels)


def _save(path: Path, features: np.ndarray, labels: np.ndarray) -> None:
    np.savez(path, features=features, labels=labels)
    click.echo(f"{path.name}: {features.shape}")


if __name__ == "__main__":
    main()
