"""What is fine-tuned: small networks, trained on other data, on less of it, in part, or not at all; and large ones.

M10, F0-4, ...   the nine bundled networks
early/M10        after 60 of their 2,400 steps
conv/M10         the convolutions of M10; its last dense layer is drawn anew
untrained/0      drawn at random
imagenet/lite0   EfficientNet-Lite 0 to 2 of ImageNet, at 96 x 96: on `LARGE_TARGETS`, with few labelled samples
minilm/0 to 6    the embeddings and so many layers of all-MiniLM-L6-v2: on texts, with few labelled samples
untrained/minilm3, untrained/minilm6  the same, drawn at random
"""

import dataclasses
import functools
from typing import Any

import nrjax
from benchmarks.paper.training import Recipe, train
from benchmarks.paper.zoos import DATASETS, IMAGE_SIZE
from benchmarks.sources.networks import LITE, lite
from benchmarks.trust.finetuning import encoder, imagenet, paper_cnn
from benchmarks.trust.finetuning.paper_cnn import drawn, module
from benchmarks.trust.finetuning.targets import IMAGES, LABELLED, TEXTS
from benchmarks.trust.finetuning.tune import Begin
from nrjax.models import Model

EARLY_STEPS = 60
LARGE_TARGETS = ("F10", "C10")  # all of them would take a day on two cores
FEW = 200  # labelled samples, the most for networks that take minutes on so many


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Where fine-tuning starts.

    Attributes:
      model: it, for nrjax.
      begin: begins to train a copy.
      rates: learning rates, one of which is chosen.
      trained_head: whether its outputs mean something.
      own_accuracy: on the test images of its own classes; 0 where it was never trained.
      targets: those that it is fine-tuned on.
      budget: the most labelled samples that it is fine-tuned on.
    """

    model: Model
    begin: Begin
    rates: tuple[float, ...]
    trained_head: bool = False
    own_accuracy: float = 0.0
    targets: tuple[str, ...] = IMAGES
    budget: int = LABELLED

    def is_tried(self, target: str, budget: int) -> bool:
        """Whether it is fine-tuned on so many samples of a target."""
        return target in self.targets and budget <= self.budget


def candidates(data_dir: str | None) -> dict[str, Candidate]:
    """All of them, by name."""
    zoo = nrjax.load_demo().zoo
    bundled = {name: dict(zoo[name].variables["params"]) for name in zoo}
    own = {name: zoo.info(name).tags["accuracy"] for name in zoo}
    small = {name: _small(params, True, own[name]) for name, params in bundled.items()}
    for letter, dataset in DATASETS.items():
        small[f"early/{letter}10"] = _small(_early(dataset, data_dir), True)
    for seed, letter in enumerate(DATASETS, 10):
        params = bundled[f"{letter}10"] | {"dense": drawn(seed)["dense"]}
        small[f"conv/{letter}10"] = _small(params, False, own[f"{letter}10"])
    for seed in range(2):
        small[f"untrained/{seed}"] = _small(drawn(seed), False)
    large = {f"imagenet/lite{version}": _large(version) for version in LITE}
    texts = {f"minilm/{layers}": _encoder(layers, True) for layers in range(encoder.LAYERS + 1)}
    return small | large | texts | {f"untrained/minilm{layers}": _encoder(layers, False) for layers in (3, 6)}


def _small(params: Any, trained_head: bool, own_accuracy: float = 0.0) -> Candidate:
    network = module(len(params["logits"]["bias"]))
    model = nrjax.from_linen(network, {"params": params}, input_shape=paper_cnn.INPUT_SHAPE)
    begin = functools.partial(paper_cnn.PaperCNNRun, params)
    return Candidate(model, begin, paper_cnn.RATES, trained_head, own_accuracy)


def _large(version: int) -> Candidate:
    network = lite(version)
    begin = functools.partial(imagenet.ImageNetRun, network)
    return Candidate(
        imagenet.as_model(network), begin, imagenet.RATES, True, imagenet.TOP1[version], LARGE_TARGETS, FEW
    )


def _encoder(layers: int, trained: bool) -> Candidate:
    network = encoder.cut(layers, trained)
    begin = functools.partial(encoder.EncoderRun, network)
    return Candidate(encoder.as_model(network), begin, encoder.RATES, targets=(TEXTS,), budget=FEW)


def _early(dataset: str, data_dir: str | None) -> Any:
    data = nrjax.load_dataset(dataset, "train", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir)
    return train(module(10), data, [Recipe(steps=EARLY_STEPS)])[0]["params"]
