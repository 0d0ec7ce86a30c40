"""Trains the nine models of the paper's Table 1 on the real train splits and saves them as a zoo.

    python -m benchmarks.paper.train ZOO [--variant full|lite|512|demo] [--steps N | --epochs N] [--seed N]

Models that are there already with the same recipe are kept, so an interrupted run goes on where it was.
"""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.paper.convolution import training_convolution
from benchmarks.paper.training import Recipe, accuracy, train
from benchmarks.paper.zoos import IMAGE_SIZE, VARIANTS, Spec, specs
from nrjax.datasets import Dataset, load_dataset
from nrjax.models import ZooError, load_zoo, paper_cnn, save_model

MEASURED = ("accuracy", "training_s")  # tags that are results, not part of what a model is


def train_missing(
    jobs: Sequence[tuple[Path, Spec, Recipe]], data_dir: str | None = None, max_samples: int | None = None
) -> int:
    """Trains the models that their zoos do not have yet, data set by data set; progress on stderr.

    Args:
      jobs: zoo directory, model, recipe.
      data_dir: where TFDS keeps its datasets.
      max_samples: train on so many images of every data set only.

    Returns:
      How many were trained.

    Raises:
      ValueError: a zoo has a model of that name with another configuration or recipe.
      FileNotFoundError: a data set is not prepared; names the command.
    """
    missing = [job for job in jobs if not _is_there(*job, max_samples)]
    alike = defaultdict(list)  # the same model with several seeds
    for zoo, spec, recipe in sorted(missing, key=lambda job: job[1].dataset):
        alike[spec].append((zoo, recipe))
    data = _Data(data_dir, max_samples)
    console = Console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        steps = {spec: sum(_steps(spec, recipe, max_samples) for _, recipe in group) for spec, group in alike.items()}
        whole = progress.add_task(f"{len(missing)} models, steps", total=sum(steps.values()))
        for spec, group in alike.items():
            start = time.perf_counter()
            task = progress.add_task(f"{spec.name} {spec.variant}", total=steps[spec])

            def on_step(task=task) -> None:
                progress.advance(task)
                progress.advance(whole)

            module = paper_cnn(**spec.config, convolve=training_convolution())
            trained = train(module, data.load(spec, "train"), [recipe for _, recipe in group], on_step)
            seconds = (time.perf_counter() - start) / len(group)
            for (zoo, recipe), variables in zip(group, trained, strict=True):
                own = accuracy(module, variables, data.load(spec, "test"))
                results = {"accuracy": round(own, 4), "training_s": round(seconds, 1)}
                save_model(
                    zoo, spec.name, variables,
                    architecture="paper_cnn", config=spec.config, input_shape=(*IMAGE_SIZE, 1),
                    tags=_tags(spec, recipe, max_samples) | results,
                    license="Apache-2.0", source="python -m benchmarks.paper.train (nrjax)",
                )  # fmt: skip
                console.print(f"{spec.name} {spec.variant}: accuracy {own:.4f} on its own test images, {seconds:.0f} s")
            progress.remove_task(task)
    return len(missing)


class _Data:
    """Splits by name; one training set in memory at a time."""

    def __init__(self, data_dir: str | None, max_samples: int | None):
        self._options = {"data_dir": data_dir, "max_samples": max_samples}
        self._held: dict[str, tuple[str, Dataset]] = {}

    def load(self, spec: Spec, split: str) -> Dataset:
        if self._held.get(split, ("",))[0] != spec.dataset:
            data = load_dataset(spec.dataset, split, image_size=IMAGE_SIZE, grayscale=True, **self._options)
            self._held[split] = spec.dataset, data
        _, data = self._held[split]
        first, last = map(int, spec.classes.split("-"))
        chosen = (data.labels >= first) & (data.labels <= last)
        return Dataset(data.images[chosen], data.labels[chosen], data.class_names)


def _steps(spec: Spec, recipe: Recipe, max_samples: int | None) -> int:
    """Steps that the model will take, to within the imbalance of MNIST's classes."""
    images = min(50_000 if spec.dataset == "cifar10" else 60_000, max_samples or 60_000)
    return recipe.steps_on(int(images * spec.config["classes"] / 10))


def _tags(spec: Spec, recipe: Recipe, max_samples: int | None) -> dict:
    return {
        "training_data": spec.dataset,
        "classes": spec.classes,
        "max_samples": max_samples,
        "recipe": dataclasses.asdict(recipe),
    }


def _is_there(zoo: Path, spec: Spec, recipe: Recipe, max_samples: int | None) -> bool:
    if not (zoo / spec.name).is_dir():
        return False
    try:
        info = load_zoo(zoo).info(spec.name)
    except ZooError as error:
        raise ValueError(f"{zoo / spec.name} is there and is not a model ({error}); remove it.") from error
    wanted = {**spec.config, "conv_features": list(spec.config["conv_features"])}
    tags = {key: value for key, value in info.tags.items() if key not in MEASURED}
    if info.config != wanted or tags != _tags(spec, recipe, max_samples):
        raise ValueError(
            f"{zoo / spec.name} was trained with another configuration or recipe ({info.config}, {tags}); "
            "remove it or choose another place."
        )
    return True


def recipe_of(steps: int | None, epochs: int | None, seed: int) -> Recipe:
    """The recipe that options ask for: steps, or epochs, or neither."""
    if steps is None and epochs is None:
        return Recipe(seed=seed)
    return Recipe(steps=steps, epochs=epochs, seed=seed)


@click.command(help=__doc__)
@click.argument("zoo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--variant", type=click.Choice(sorted(VARIANTS)), default="full", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), help="Of the optimiser, for every model.  [default: 1200]")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of steps.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--data-dir", help="Where TFDS keeps its datasets.")
@click.option("--max-samples", type=click.IntRange(min=1), help="Train on so many images only.")
def main(
    zoo: Path, variant: str, steps: int | None, epochs: int | None, seed: int, data_dir: str | None,
    max_samples: int | None,
) -> None:  # fmt: skip
    """The command."""
    try:
        recipe = recipe_of(steps, epochs, seed)
        train_missing([(zoo, spec, recipe) for spec in specs(variant)], data_dir, max_samples)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
