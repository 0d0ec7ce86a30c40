"""What is fine-tuned: small networks, trained on other data, on less of it, in part, or not at all; and large ones.

M10, F0-4, ...   the nine bundled networks
early/M10        after 60 of their 2,400 steps
conv/M10         the convolutions of M10; its last dense layer is drawn anew
untrained/0      drawn at random
imagenet/lite0   EfficientNet-Lite 0 to 2 of ImageNet, at 96 x 96: on `LARGE_TARGETS`, with few labelled samples
"""

import dataclasses
import functools
from typing import Any

import nrjax
from benchmarks.paper.training import Recipe, train
from benchmarks.paper.zoos import DATASETS, IMAGE_SIZE
from benchmarks.sources.networks import LITE, lite
from benchmarks.trust.finetuning.imagenet import TOP1, ImageNetRun, as_model
from benchmarks.trust.finetuning.paper_cnn import INPUT_SHAPE, PaperCNNRun, drawn, module
from benchmarks.trust.finetuning.tune import Begin
from nrjax.models import Model

EARLY_STEPS = 60
LARGE_TARGETS, LARGE_BUDGET = ("F10", "C10"), 200  # all targets and budgets would take a day on two cores


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Where fine-tuning starts.

    Attributes:
      model: it, for nrjax.
      begin: begins to train a copy.
      trained_head: whether its outputs mean something.
      own_accuracy: on the test images of its own classes; 0 where it was never trained.
      is_large: whether fine-tuning takes a quarter of an hour on 200 samples; see `LARGE_TARGETS`.
    """

    model: Model
    begin: Begin
    trained_head: bool
    own_accuracy: float
    is_large: bool = False

    def is_tried(self, target: str, budget: int) -> bool:
        """Whether it is fine-tuned on so many samples of a target."""
        return not self.is_large or (target in LARGE_TARGETS and budget <= LARGE_BUDGET)


def candidates(data_dir: str | None) -> dict[str, Candidate]:
    """All of them, by name."""
    zoo = nrjax.load_demo().zoo
    bundled = {name: dict(zoo[name].variables["params"]) for name in zoo}
    own = {name: zoo.info(name).tags["accuracy"] for name in zoo}
    small = {name: _small(params, True, own[name]) for name, params in bundled.items()}
    for letter, dataset in DATASETS.items():
        small[f"early/{letter}10"] = _small(_early(dataset, data_dir), True, 0.0)
    for seed, letter in enumerate(DATASETS, 10):
        params = bundled[f"{letter}10"] | {"dense": drawn(seed)["dense"]}
        small[f"conv/{letter}10"] = _small(params, False, own[f"{letter}10"])
    for seed in range(2):
        small[f"untrained/{seed}"] = _small(drawn(seed), False, 0.0)
    return small | {f"imagenet/lite{version}": _large(version) for version in LITE}


def _small(params: Any, trained_head: bool, own_accuracy: float) -> Candidate:
    network = module(len(params["logits"]["bias"]))
    model = nrjax.from_linen(network, {"params": params}, input_shape=INPUT_SHAPE)
    return Candidate(model, functools.partial(PaperCNNRun, params), trained_head, own_accuracy)


def _large(version: int) -> Candidate:
    network = lite(version)
    return Candidate(as_model(network), functools.partial(ImageNetRun, network), True, TOP1[version], True)


def _early(dataset: str, data_dir: str | None) -> Any:
    data = nrjax.load_dataset(dataset, "train", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir)
    return train(module(10), data, [Recipe(steps=EARLY_STEPS)])[0]["params"]
