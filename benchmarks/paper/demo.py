"""Makes what is bundled in `nrjax/demo`: the nine small models and 1,000 Fashion-MNIST test images.

    python -m benchmarks.paper.demo [--data-dir DIR]

Models that are there already are kept; remove `nrjax/demo/zoo` to train them again (about 5 minutes on 2 cores).
"""

import click
import numpy as np

from benchmarks.paper.train import train_missing
from benchmarks.paper.training import Recipe
from benchmarks.paper.zoos import specs
from nrjax.datasets import load_dataset
from nrjax.demo import IMAGES, ZOO


@click.command(help=__doc__)
@click.option("--data-dir", help="Where TFDS keeps its datasets.")
def main(data_dir: str | None) -> None:
    """The command."""
    data = load_dataset("fashion_mnist", "test", classes="0-4", max_samples=1000, data_dir=data_dir)
    names = np.array(data.class_names[:5])
    np.savez_compressed(IMAGES, images=data.images, labels=data.labels.astype(np.uint8), class_names=names)
    train_missing([(ZOO, spec, Recipe(steps=None, epochs=4)) for spec in specs("demo")], data_dir)


if __name__ == "__main__":
    main()
