"""Trains the nine models of the paper's Table 1 on the real train splits and saves them as a zoo.

    python -m benchmarks.paper.train ZOO [--variant full|lite|512|demo] [--epochs N] [--seed N]

Models that are there already with the same recipe are kept, so an interrupted run goes on where it was.
"""

import dataclasses
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.paper.convolution import training_convolution
from benchmarks.paper.training import Recipe, accuracy, train
from benchmarks.paper.zoos import IMAGE_SIZE, VARIANTS, Spec, specs
from nrjax.datasets import Dataset, load_dataset
from nrjax.models import paper_cnn
from nrjax.zoo import ZooError, load_zoo, save_model


def train_zoo(zoo: Path, models: list[Spec], recipe: Recipe, data_dir: str | None, max_samples: int | None) -> None:
    """Trains the `models` that `zoo` does not have yet; progress on stderr.

    Raises:
      ValueError: the zoo has a model of that name with another configuration or recipe.
    """
    missing = [spec for spec in models if not _is_there(zoo, spec, recipe, max_samples)]
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    loaded: dict[tuple[str, str], Dataset] = {}

    def load(spec: Spec, split: str) -> Dataset:
        key = (spec.dataset, split)
        if key not in loaded:
            loaded.clear() if split == "train" else None  # one training set in memory at a time
            loaded[key] = load_dataset(
                spec.dataset, split, image_size=IMAGE_SIZE, grayscale=True, max_samples=max_samples, data_dir=data_dir
            )
        data = loaded[key]
        first, last = map(int, spec.classes.split("-"))
        chosen = (data.labels >= first) & (data.labels <= last)
        return Dataset(data.images[chosen], data.labels[chosen], data.class_names)

    for number, spec in enumerate(missing, start=1):
        start = time.perf_counter()
        module = paper_cnn(**spec.config, convolve=training_convolution())
        data = load(spec, "train")
        steps = recipe.epochs * (len(data.labels) // recipe.batch_size)
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"{spec.name} ({number} of {len(missing)})", total=steps)
            variables = train(module, data, recipe, on_step=lambda loss, task=task: progress.advance(task))
        own = accuracy(module, variables, load(spec, "test"))
        save_model(
            zoo, spec.name, variables,
            architecture="paper_cnn", config=spec.config, input_shape=(*IMAGE_SIZE, 1),
            tags=_tags(spec, recipe, max_samples) | {"accuracy": round(own, 4)},
            license="Apache-2.0", source="python -m benchmarks.paper.train (nrjax)",
        )  # fmt: skip
        console.print(f"{spec.name}: accuracy {own:.4f} on its own test images, {time.perf_counter() - start:.0f} s")


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
    tags = {key: value for key, value in info.tags.items() if key != "accuracy"}
    if info.config != wanted or tags != _tags(spec, recipe, max_samples):
        raise ValueError(
            f"{zoo / spec.name} was trained with another configuration or recipe ({info.config}, {tags}); "
            "remove it or choose another zoo."
        )
    return True


@click.command(help=__doc__)
@click.argument("zoo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--variant", type=click.Choice(sorted(VARIANTS)), default="full", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--data-dir", help="Where TFDS keeps its datasets.")
@click.option("--max-samples", type=click.IntRange(min=1), help="Train on so many images only.")
def main(zoo: Path, variant: str, epochs: int, seed: int, data_dir: str | None, max_samples: int | None) -> None:
    """The command."""
    try:
        train_zoo(zoo, specs(variant), Recipe(epochs=epochs, seed=seed), data_dir, max_samples)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
