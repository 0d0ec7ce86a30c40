"""The bundled zoo and target: nine small CNNs, and 1,000 Fashion-MNIST test images of classes 0-4.

Made by `python -m benchmarks.paper.demo`, from MNIST, Fashion-MNIST and CIFAR-10.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from nrjax.datasets import load_dataset
from nrjax.models import Zoo, load_zoo

ZOO = Path(__file__).parent / "zoo"
IMAGES = Path(__file__).parent / "fashion_mnist.npz"


class Demo(NamedTuple):
    """Unpacks as `zoo, images, labels`: the arguments of `nrjax.rank`."""

    zoo: Zoo
    images: np.ndarray
    labels: np.ndarray


def load_demo() -> Demo:
    """The bundled zoo, images (uint8 `[1000, 28, 28, 1]`) and labels; no download.

    Examples:
      >>> zoo, images, labels = nrjax.load_demo()
      >>> len(zoo), images.shape, labels.shape
      (9, (1000, 28, 28, 1), (1000,))
    """
    data = load_dataset(IMAGES)
    return Demo(load_zoo(ZOO), data.images, data.labels)


__all__ = ["IMAGES", "ZOO", "Demo", "load_demo"]
