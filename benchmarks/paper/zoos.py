"""The models of the paper: Table 1's nine data sets, times the variants of the network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

IMAGE_SIZE = (28, 28)  # CIFAR-10 is resized to it and made grey, as in §4
DATASETS = {"M": "mnist", "F": "fashion_mnist", "C": "cifar10"}
CLASSES = {"10": "0-9", "0-4": "0-4", "5-9": "5-9"}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "full": {"conv_features": (32, 64), "dense_features": 1024},  # Figure 1
    "lite": {"conv_features": (32,), "dense_features": 1024},  # §4.5
    "512": {"conv_features": (32, 64), "dense_features": 512},  # Table 6
    "demo": {"conv_features": (8, 16), "dense_features": 128},  # bundled with nrjax: nine under 4 MB
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """One model to train: `M0-4` is MNIST, classes 0-4."""

    name: str
    dataset: str
    classes: str
    variant: str

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the `paper_cnn` architecture."""
        first, last = map(int, self.classes.split("-"))
        return {"classes": last - first + 1, **VARIANTS[self.variant]}


FIVE_BEST = ("F10", "F0-4", "C10", "C0-4", "C5-9")  # of the paper's Table 3; its Table 6 has these alone at 512


def specs(variant: str) -> list[Spec]:
    """The nine models of Table 1, in its order; for `512` the five of Table 6."""
    nine = [
        Spec(f"{letter}{suffix}", dataset, classes, variant)
        for letter, dataset in DATASETS.items()
        for suffix, classes in CLASSES.items()
    ]
    return [spec for spec in nine if spec.name in FIVE_BEST] if variant == "512" else nine
