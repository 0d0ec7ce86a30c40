"""What is fine-tuned: networks of one architecture, trained on other data, on less of it, in part, or not at all.

M10, F0-4, ...   the nine bundled networks
early/M10        after 60 of their 2,400 steps
conv/M10         the convolutions of M10; its last dense layer is drawn anew
untrained/0      drawn at random
"""

import dataclasses
from typing import Any

import jax
import numpy as np

import nrjax
from benchmarks.paper.training import Recipe, train
from benchmarks.paper.zoos import DATASETS, IMAGE_SIZE
from nrjax.models import JaxModel, PaperCNN

EARLY_STEPS = 60
INPUT_SHAPE = (*IMAGE_SIZE, 1)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Where fine-tuning starts.

    Attributes:
      params: of `PaperCNN`, the head included.
      trained_head: whether its outputs mean something.
      own_accuracy: on the test images of its own classes; 0 where it was never trained.
    """

    params: Any
    trained_head: bool
    own_accuracy: float

    @property
    def model(self) -> JaxModel:
        """It, for nrjax."""
        network = module(len(self.params["logits"]["bias"]))
        return nrjax.from_linen(network, {"params": self.params}, input_shape=INPUT_SHAPE)


def module(classes: int) -> PaperCNN:
    """The architecture of the bundled networks."""
    return PaperCNN(classes, (8, 16), 128)


def candidates(data_dir: str | None) -> dict[str, Candidate]:
    """All of them, by name."""
    zoo = nrjax.load_demo().zoo
    bundled = {
        name: Candidate(dict(zoo[name].variables["params"]), True, zoo.info(name).tags["accuracy"]) for name in zoo
    }
    early = {
        f"early/{letter}10": Candidate(_early(dataset, data_dir), True, 0.0) for letter, dataset in DATASETS.items()
    }
    parts = {
        f"conv/{letter}10": Candidate(
            bundled[f"{letter}10"].params | {"dense": drawn(seed)["dense"]}, False, bundled[f"{letter}10"].own_accuracy
        )
        for seed, letter in enumerate(DATASETS, 10)
    }
    untrained = {f"untrained/{seed}": Candidate(drawn(seed), False, 0.0) for seed in range(2)}
    return bundled | early | parts | untrained


def drawn(seed: int, classes: int = 10) -> Any:
    """Parameters as they are before any training."""
    return dict(module(classes).init(jax.random.key(seed), np.zeros((1, *INPUT_SHAPE), np.float32))["params"])


def _early(dataset: str, data_dir: str | None) -> Any:
    data = nrjax.load_dataset(dataset, "train", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir)
    return train(module(10), data, [Recipe(steps=EARLY_STEPS)])[0]["params"]
